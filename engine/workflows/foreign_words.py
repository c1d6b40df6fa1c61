"""Words that people bring from other tools, and ours for the same thing: for advice only."""

from __future__ import annotations

from collections.abc import Container

# Ours, and what others call it. A word may stand in several lines: which is meant depends on where it stands.
_OURS_AND_OTHERS = """
env_vars          environment envs vars
env_file          env_files envfile dotenv env_from envfrom
command           cmd args run script entrypoint shell exec
depends_on        needs depends dependencies after requires upstream depends_upon
retry_policy      retry retries
condition         if only_if run_if unless
resource_limits   resources limits
params            parameters inputs arguments args vars
inputs            with params parameters arguments input
outputs           output returns
steps             tasks jobs stages activities nodes
name              title
map_config        foreach for_each loop with_items with_param matrix iterate
max_attempts      attempts max_retries tries
delay             interval sleep wait pause initial_delay
cpu_limit         cpu cpus
memory_limit      memory mem
gpu_limit         gpu gpus
item_alias        alias as item
max_concurrency   concurrency parallelism
max_parallel      concurrency parallelism max_active_tasks
max_workers       workers replicas parallelism
max_active_runs   max_runs max_active concurrency_limit
input_path        items items_path list
operator          op
volumes           mounts volume_mounts volumemounts bind binds
working_dir       workdir cwd working_directory workingdir chdir
sub_workflow_name uses sub_workflow subworkflow child call workflow_ref child_workflow template_ref
schedule          on cron schedule_interval crontab
on_failure        on_error onerror rescue except catch failure
finally           ensure always cleanup teardown on_exit onexit post
failure_strategy  allow_failure continue_on_error ignore_errors on_fail error_strategy
trigger           trigger_rule
timeout           deadline timeout_seconds timeout_minutes active_deadline
approval          gate manual approve manual_approval suspend
cache             caching memoize memo cache_key
artifacts         artifact files save collect
secrets           secret credentials
privileged        root
decision_node     switch choice case
batch_size        batch chunk_size chunk
timezone          tz time_zone
overlap           concurrency_policy concurrencypolicy
missed            misfire catchup catch_up starting_deadline
choices           enum options values
required          mandatory
default           value fallback
"""


def _inverse(table: str) -> dict[str, tuple[str, ...]]:
    words: dict[str, tuple[str, ...]] = {}
    for line in table.split("\n"):
        ours, *others = line.split() or [""]
        for other in others:
            words[other] = (*words.get(other, ()), ours)
    return words


_OURS = _inverse(_OURS_AND_OTHERS)


def ours_for(word: str) -> tuple[str, ...]:
    """Our words for a foreign one, none where it is not known."""
    return _OURS.get(word.casefold().replace("-", "_"), ())


def foreign_words(known: Container[str]) -> list[str]:
    """The foreign words for any of these of ours."""
    return [word for word, ours in _OURS.items() if any(one in known for one in ours)]
