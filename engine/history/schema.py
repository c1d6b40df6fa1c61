"""The tables of the history database, one tuple of statements per schema version.

`events` is the truth. `runs`, `steps`, `items`, `attempts` and `state_changes` are views of it, written in
the same transaction (`projection.py`) and re-derivable from it. A version that has been released is never
edited; a change is a new tuple in `VERSIONS`.
"""

from __future__ import annotations

from engine.events import TERMINAL_RUN

# "AGNT": lets us tell our file from any other SQLite database.
APPLICATION_ID = 0x41474E54

# The number that stands for "no item" in the key of an attempt.
NO_ITEM = -1

_OVER = ", ".join(f"'{status.value}'" for status in sorted(TERMINAL_RUN))

# An attempt that got as far as an agent; one that runs another workflow has none.
_STARTED = "started_at IS NOT NULL AND agent != ''"
_WARM = "coalesce(json_extract(placement, '$.mode'), 'cold') != 'cold'"
_USED = f"({_WARM} AND json_extract(placement, '$.uses') > 1)"
_READY = f"{_WARM} AND json_extract(placement, '$.reused')"

TALLY = f"""
    count(*) FILTER (WHERE {_STARTED}) AS tasks,
    count(*) FILTER (WHERE {_STARTED} AND NOT {_USED}) AS deployed,
    count(*) FILTER (WHERE {_STARTED} AND {_READY}) AS pool_hits,
    count(*) FILTER (WHERE {_STARTED} AND placement IS NOT NULL AND NOT ({_READY})) AS pool_misses,
    sum(CAST(json_extract(usage, '$.cpu_seconds') AS REAL)) AS cpu_seconds,
    max(CAST(json_extract(usage, '$.memory_peak') AS INTEGER)) AS memory_peak,
    sum(CAST(json_extract(usage, '$.network_in') AS INTEGER)) AS network_in,
    sum(CAST(json_extract(usage, '$.network_out') AS INTEGER)) AS network_out
"""
"""Of attempts: tasks, new agents, tasks of pools that found a ready agent and that did not, what was used."""

DURATION = (
    "coalesce(duration, max(0.0, round((julianday(finished_at) - julianday(started_at)) * 86400.0, 3)))"
)
"""Seconds something took: as the engine measured, else between the wall times, which may have jumped."""

KEEP_FIGURES = f"""
    INSERT OR REPLACE INTO run_figures
    SELECT seq, workflow, parent_run_id IS NOT NULL, status, reason, created_at, {DURATION}, retries,
        (SELECT count(*) FROM steps WHERE run_id = runs.id),
        (SELECT count(*) FROM steps WHERE run_id = runs.id AND status = 'failed'),
        coalesce(tasks, 0), coalesce(deployed, 0), coalesce(pool_hits, 0), coalesce(pool_misses, 0),
        cpu_seconds, memory_peak, network_in, network_out
    FROM runs
    LEFT JOIN (SELECT run_id, {TALLY} FROM attempts WHERE {{attempts}} GROUP BY run_id) ON run_id = id
    WHERE {{runs}}
"""
"""Keeps the figures of runs that are over; the conditions say of which."""

_VERSION_1 = (
    # Texts are kept once, however many runs they had.
    """
    CREATE TABLE documents (
        digest TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        path TEXT,
        text TEXT NOT NULL
    ) STRICT
    """,
    # `seq` never goes back, even after the newest events were deleted: subscribers resume by it.
    """
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL,
        type TEXT NOT NULL,
        time TEXT NOT NULL,
        step_id TEXT,
        item INTEGER,
        attempt INTEGER,
        data TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX events_by_run ON events (run_id, seq)",
    # `seq` is that of the run's first event, so "newest first" is the table's own order.
    """
    CREATE TABLE runs (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        workflow TEXT NOT NULL,
        digest TEXT NOT NULL,
        path TEXT,
        status TEXT NOT NULL,
        reason TEXT,
        error TEXT,
        backend TEXT NOT NULL,
        source TEXT,
        params TEXT NOT NULL,
        initial_state TEXT NOT NULL,
        retry_of TEXT,
        retry_scope TEXT,
        recoveries INTEGER NOT NULL DEFAULT 0,
        retries INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL,
        started_at TEXT,
        finished_at TEXT,
        duration REAL
    ) STRICT
    """,
    "CREATE INDEX runs_by_workflow ON runs (workflow, seq)",
    "CREATE INDEX runs_by_status ON runs (status, seq)",
    """
    CREATE TABLE steps (
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        type TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        depends_on TEXT NOT NULL,
        parent TEXT,
        image TEXT,
        command TEXT,
        workers INTEGER,
        max_concurrency INTEGER,
        status TEXT NOT NULL,
        reason TEXT,
        error TEXT,
        result TEXT,
        exit_code INTEGER,
        reused INTEGER NOT NULL DEFAULT 0,
        next_attempt_at TEXT,
        started_at TEXT,
        finished_at TEXT,
        duration REAL,
        started_seq INTEGER,
        finished_seq INTEGER,
        PRIMARY KEY (run_id, id)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE items (
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        step_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        value TEXT NOT NULL,
        status TEXT NOT NULL,
        reason TEXT,
        error TEXT,
        result TEXT,
        exit_code INTEGER,
        reused INTEGER NOT NULL DEFAULT 0,
        next_attempt_at TEXT,
        started_at TEXT,
        finished_at TEXT,
        duration REAL,
        PRIMARY KEY (run_id, step_id, number)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE attempts (
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        step_id TEXT NOT NULL,
        item INTEGER NOT NULL,
        number INTEGER NOT NULL,
        status TEXT NOT NULL,
        reason TEXT,
        error TEXT,
        exit_code INTEGER,
        task_id TEXT NOT NULL,
        agent TEXT NOT NULL,
        agent_id TEXT,
        backend TEXT NOT NULL,
        image TEXT,
        command TEXT,
        log TEXT NOT NULL,
        spec_digest TEXT,
        kept INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL,
        started_at TEXT,
        finished_at TEXT,
        duration REAL,
        PRIMARY KEY (run_id, step_id, item, number)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX attempts_kept ON attempts (run_id, agent) WHERE kept = 1",
    # Folding these over the run's initial state gives the state as of any event.
    """
    CREATE TABLE state_changes (
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        step_id TEXT NOT NULL,
        changed TEXT NOT NULL,
        removed TEXT NOT NULL,
        collections TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) STRICT, WITHOUT ROWID
    """,
)

# Families of runs, roles and routes of steps, gates, artifacts, and results to use again.
_VERSION_2 = (
    "ALTER TABLE runs ADD COLUMN parent TEXT",
    "ALTER TABLE runs ADD COLUMN parent_run_id TEXT",
    "ALTER TABLE runs ADD COLUMN scheduled_for TEXT",
    "ALTER TABLE runs ADD COLUMN no_cache INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN queued TEXT",
    "ALTER TABLE runs ADD COLUMN settled TEXT",
    "CREATE INDEX runs_by_parent ON runs (parent_run_id, seq) WHERE parent_run_id IS NOT NULL",
    "CREATE INDEX runs_by_retried ON runs (retry_of, seq) WHERE retry_of IS NOT NULL",
    "CREATE INDEX runs_by_schedule ON runs (workflow, scheduled_for) WHERE scheduled_for IS NOT NULL",
    "ALTER TABLE steps ADD COLUMN role TEXT NOT NULL DEFAULT 'main'",
    "ALTER TABLE steps ADD COLUMN trigger TEXT",
    "ALTER TABLE steps ADD COLUMN routes TEXT",
    "ALTER TABLE steps ADD COLUMN sub_workflow TEXT",
    "ALTER TABLE steps ADD COLUMN waiting TEXT",
    "ALTER TABLE steps ADD COLUMN artifacts TEXT",
    "ALTER TABLE steps ADD COLUMN cached_from TEXT",
    "ALTER TABLE steps ADD COLUMN partial INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE items ADD COLUMN artifacts TEXT",
    "ALTER TABLE items ADD COLUMN cached_from TEXT",
    "ALTER TABLE items ADD COLUMN partial INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE attempts ADD COLUMN child_run TEXT",
    # The workflows that the steps of a run run, as they were when it began.
    """
    CREATE TABLE run_children (
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        digest TEXT NOT NULL,
        path TEXT,
        PRIMARY KEY (run_id, name)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX run_children_by_digest ON run_children (digest)",
    # Results that may be used again. The newest counts; a run takes its own along when it goes.
    """
    CREATE TABLE remembered (
        key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        step_id TEXT NOT NULL,
        item INTEGER NOT NULL,
        finished_at TEXT NOT NULL,
        PRIMARY KEY (key, seq)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX remembered_by_run ON remembered (run_id)",
)

# What pools, monitor and profiler tell of attempts, each as JSON but the pool's name; figures of runs.
_VERSION_3 = (
    "ALTER TABLE attempts ADD COLUMN pool TEXT",
    "ALTER TABLE attempts ADD COLUMN placement TEXT",
    "ALTER TABLE attempts ADD COLUMN phases TEXT",
    "ALTER TABLE attempts ADD COLUMN usage TEXT",
    # What a run that is over came to, in narrow rows that stand by workflow: figures are sums over these.
    """
    CREATE TABLE run_figures (
        seq INTEGER NOT NULL UNIQUE REFERENCES runs (seq) ON DELETE CASCADE,
        workflow TEXT NOT NULL,
        child INTEGER NOT NULL,
        status TEXT NOT NULL,
        reason TEXT,
        created_at TEXT NOT NULL,
        duration REAL,
        retries INTEGER NOT NULL,
        steps INTEGER NOT NULL,
        failed_steps INTEGER NOT NULL,
        tasks INTEGER NOT NULL,
        deployed INTEGER NOT NULL,
        pool_hits INTEGER NOT NULL,
        pool_misses INTEGER NOT NULL,
        cpu_seconds REAL,
        memory_peak INTEGER,
        network_in INTEGER,
        network_out INTEGER,
        PRIMARY KEY (workflow, child, created_at, seq)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX run_figures_by_time ON run_figures (created_at)",
    KEEP_FIGURES.format(attempts="1", runs=f"status IN ({_OVER})"),
    # The sums of what was deleted, so that counters never go back.
    """
    CREATE TABLE forgotten (
        workflow TEXT NOT NULL,
        status TEXT NOT NULL,
        child INTEGER NOT NULL,
        runs INTEGER NOT NULL,
        timed INTEGER NOT NULL,
        duration REAL NOT NULL,
        retries INTEGER NOT NULL,
        steps INTEGER NOT NULL,
        failed_steps INTEGER NOT NULL,
        tasks INTEGER NOT NULL,
        deployed INTEGER NOT NULL,
        pool_hits INTEGER NOT NULL,
        pool_misses INTEGER NOT NULL,
        cpu_seconds REAL NOT NULL,
        network_in INTEGER NOT NULL,
        network_out INTEGER NOT NULL,
        PRIMARY KEY (workflow, status, child)
    ) STRICT, WITHOUT ROWID
    """,
)

# Index i holds what leads from version i to version i + 1.
VERSIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2, _VERSION_3)
