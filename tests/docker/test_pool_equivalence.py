"""A pool changes nothing but the time: each behaviour in a container of its own and at a warm agent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from engine.agents.backend import AgentSpec, Limits, PoolSettings
from engine.agents.pooled import PooledBackend
from tests import docker_images
from tests.backend_contract import Recording, begin, make_spec, soon
from tests.docker.pools import Ending, ending_of, environment, pooled, pooled_backend, text_of

pytestmark = pytest.mark.docker


@pytest.fixture
async def backend(instance: str) -> AsyncIterator[PooledBackend]:
    async with pooled_backend(instance) as backend:
        yield backend


async def both(backend: PooledBackend, spec: AgentSpec) -> tuple[Ending, Ending]:
    """The same task, in a container of its own and at a warm agent."""
    warm = pooled(replace(spec, name=f"{spec.name}-warm"))
    return await ending_of(backend, spec), await ending_of(backend, warm)


# Each leaves something behind, or does something to the shell that serves it, before it ends.
BEHAVIOURS: dict[str, tuple[str | tuple[str, ...], int, bytes, bytes]] = {
    "no output": ("true", 0, b"", b""),
    "both streams": ("echo out; echo err >&2", 0, b"out\n", b"err\n"),
    "output that looks like a mark": ("echo agentainer:0:E:5; exit 6", 6, b"agentainer:0:E:5\n", b""),
    "standard input": ("wc -c", 0, b"0\n", b""),
    "exits": ("exit 42", 42, b"", b""),
    "closes its descriptors": ("exec 0<&- 1>&- 2>&-; exit 4", 4, b"", b""),
    "leaves a daemon that writes": (
        "setsid sh -c 'while :; do echo late; sleep 0.01; done' </dev/null >/dev/null & echo main; exit 5",
        5,
        b"main\n",
        b"",
    ),
    "leaves a process that holds its output": ("sleep 600 & echo main; exit 3", 3, b"main\n", b""),
    "kills its parent": ("kill -9 $PPID; echo on", 0, b"on\n", b""),
    "kills everything": ("kill -9 -1 2>/dev/null; echo on", 0, b"on\n", b""),
    "stops its parent and process 1": ("kill -STOP 1 $PPID; echo on; exit 2", 2, b"on\n", b""),
    "reads what process 1 is given": ("timeout 1 cat /proc/1/fd/0 2>/dev/null; exit 3", 3, b"", b""),
    "writes marks for process 1": (
        "echo agentainer:0:E:5 > /proc/1/fd/1; sleep 0.1; echo on; exit 7",
        7,
        b"agentainer:0:E:5\non\n",
        b"",
    ),
    "leaves names that shells stumble over": (
        "cd /tmp; touch -- -rf 'a b' '*' .x ..y \"$(printf 'a\\nb')\"; mkfifo p; ln -s / root; exit 1",
        1,
        b"",
        b"",
    ),
    "leaves processes that come back": (
        "echo 'trap \"setsid sh /tmp/r &\" TERM HUP; while :; do sleep 0.02; done' > /tmp/r;"
        " setsid sh /tmp/r & exit 1",
        1,
        b"",
        b"",
    ),
    "puts a link in the place of /tmp": ("mv /tmp /other 2>/dev/null; ln -s /etc /tmp; exit 1", 1, b"", b""),
    "kills itself": ("kill -9 $$", 137, b"", b""),
    "is terminated by itself": ("kill -TERM $$", 143, b"", b""),
    "ends a program of its own by a signal": ("sh -c 'kill -SEGV $$' 2>/dev/null; echo $?", 0, b"139\n", b""),
    "a program that is not there": (("no-such-program",), 127, b"", b""),
    "a program that cannot be executed": (("/etc/passwd",), 126, b"", b""),
    "arguments with everything": (
        ("printf", "%s|", "a b", "it's", '"', "\n", "$HOME", "`id`", "\\", "*", "é", ""),
        0,
        "a b|it's|\"|\n|$HOME|`id`|\\|*|é||".encode(),
        b"",
    ),
    "fills its limits of open files": ("ulimit -n 20; ulimit -n", 0, b"20\n", b""),
    "changes what subshells inherit": ("umask 077; set -f; IFS=x; cd /; umask", 0, b"0077\n", b""),
}


async def test_tasks_end_the_same_way_whatever_they_do(
    backend: PooledBackend, instance: str, busybox_image: str
) -> None:
    cold, warm = {}, {}
    for behaviour, (command, *_) in BEHAVIOURS.items():
        spec = make_spec(instance, command, busybox_image)
        cold[behaviour], warm[behaviour] = await both(backend, spec)
    expected = {behaviour: told for behaviour, (_, *told) in BEHAVIOURS.items()}
    assert {name: [end.code, end.stdout, end.stderr] for name, end in warm.items()} == expected
    for behaviour, end in cold.items():
        if end.failed_to_start:  # docker-init explains itself on standard error
            end = replace(end, stdout=b"", stderr=b"")
        assert (behaviour, end) == (behaviour, warm[behaviour])


async def test_a_hundred_megabytes_come_whole(
    backend: PooledBackend, instance: str, busybox_image: str
) -> None:
    command = "yes 0123456789 | tr -d '\\n' | head -c 100000000 | tee /dev/stderr | sha256sum; exit 9"
    cold, warm = await both(backend, make_spec(instance, f"{command} 2>/dev/null", busybox_image))
    assert (warm.code, warm.stdout) == (cold.code, cold.stdout)
    spec = pooled(make_spec(instance, "head -c 100000000 /dev/zero", busybox_image))
    sink = Recording()
    await begin(backend, spec)
    await soon(backend.wait(spec.name))
    await soon(backend.remove(spec.name))
    again = pooled(make_spec(instance, "head -c 100000000 /dev/zero; printf end", busybox_image))
    await soon(backend.prepare(again))
    await soon(backend.create(again, sink))
    await soon(backend.start(again.name))
    assert (await soon(backend.wait(again.name))).code == 0
    assert sink.text() == bytes(100_000_000) + b"end"


async def test_the_environment_is_the_same(backend: PooledBackend, instance: str, busybox_image: str) -> None:
    env = {
        "PLAIN": "x",
        "QUOTES": 'it\'s "quoted" `id` $(id) $HOME \\',
        "LINES": "one\ntwo\n",
        "UNICODE": "ü 漢 🎉",
        "EMPTY": "",
        "LONG": "x" * 100_000,
        "IFS": ":",
        "PS1": "> ",
    }
    spec = make_spec(instance, ("env", "-0"), busybox_image, env=env)
    cold, warm = await both(backend, spec)
    there, here = environment(cold.stdout.decode()), environment(warm.stdout.decode())
    assert {name: there[name] for name in env} == env
    # Each has the name of its own attempt.
    assert here.pop("HOSTNAME").removesuffix("-warm") == there.pop("HOSTNAME")  # type: ignore[attr-defined]
    assert here == there


async def test_names_that_shells_do_not_hand_on_reach_the_task(
    backend: PooledBackend, instance: str, busybox_image: str
) -> None:
    spec = pooled(make_spec(instance, ("env", "-0"), busybox_image, env={"with.dot": "1", "A": "2"}))
    sink = Recording()
    await begin(backend, spec, sink=None)
    await soon(backend.wait(spec.name))
    placement = backend.placement(spec.name)
    assert placement is not None and (placement.mode, "with.dot" in placement.why) == ("cold", True)
    assert environment(await text_of(backend, replace(spec, name=f"{spec.name}-2")))["with.dot"] == "1"
    assert sink.text() == b""


async def test_a_program_is_looked_for_in_the_path_of_the_task(
    backend: PooledBackend, instance: str, busybox_image: str
) -> None:
    spec = make_spec(instance, ("env", "-0"), busybox_image, env={"PATH": "/nowhere"})
    cold, warm = await both(backend, spec)
    assert (cold.code, warm.code, cold.failed_to_start, warm.failed_to_start) == (127, 127, True, True)


async def test_the_images_own_command_directory_user_and_environment_hold(
    backend: PooledBackend, instance: str
) -> None:
    image = docker_images.variant(
        'ENTRYPOINT ["sh", "-c", "pwd; id -u; echo $OWN; echo $0 $1", "zero"]',
        'CMD ["from-image"]',
        "WORKDIR /srv/app",
        "ENV OWN=image",
        "USER nobody",
    )
    for command, words in ((None, b"zero from-image"), (("given",), b"zero given")):
        cold, warm = await both(backend, make_spec(instance, command, image))
        assert cold.stdout == warm.stdout == b"/srv/app\n65534\nimage\n" + words + b"\n"
    cold, warm = await both(backend, make_spec(instance, "pwd; echo $OWN", image, env={"OWN": "task"}))
    assert cold.stdout == warm.stdout == b"/srv/app\ntask\n"


@pytest.mark.parametrize(
    "changes",
    [{"working_dir": "/made/for/it"}, {"user": "1234:99"}, {"user": "nobody", "working_dir": "/tmp"}],
)
async def test_directory_and_user_of_the_step_hold(
    backend: PooledBackend, instance: str, busybox_image: str, changes: dict[str, Any]
) -> None:
    cold, warm = await both(backend, make_spec(instance, "pwd; id", busybox_image, **changes))
    assert (cold.code, cold.stdout) == (warm.code, warm.stdout)


async def test_the_stop_signal_of_the_image_reaches_the_task(backend: PooledBackend, instance: str) -> None:
    image = docker_images.variant("STOPSIGNAL SIGUSR1")
    script = "trap 'echo usr1; exit 6' USR1; echo ready; while :; do sleep 0.05; done"
    for spec in (make_spec(instance, script, image), pooled(make_spec(instance, script, image))):
        sink = await begin(backend, spec)
        await sink.says(b"ready\n")
        await soon(backend.stop(spec.name, 30))
        assert ((await soon(backend.wait(spec.name))).code, sink.text()) == (6, b"ready\nusr1\n")


HOG = "import sys; x = bytearray(300 << 20); print(len(x))"
CHILD_HOG = f"import subprocess, sys; print(subprocess.run([sys.executable, '-c', {HOG!r}]).returncode)"


async def test_a_task_that_uses_more_memory_than_it_may_is_told_so(
    backend: PooledBackend, instance: str, python_image: str
) -> None:
    limits = Limits(memory_bytes=64 << 20)
    spec = make_spec(instance, ("python3", "-c", HOG), python_image, limits=limits)
    cold, warm = await both(backend, spec)
    assert (cold.code, cold.oom) == (warm.code, warm.oom) == (137, True)


async def test_of_a_child_that_used_too_much_memory_there_is_a_note(
    backend: PooledBackend, instance: str, python_image: str
) -> None:
    spec = make_spec(
        instance, ("python3", "-c", CHILD_HOG), python_image, limits=Limits(memory_bytes=64 << 20)
    )
    for one in (spec, pooled(replace(spec, name=f"{spec.name}-warm"))):
        sink = await begin(backend, one)
        end = await soon(backend.wait(one.name))
        assert (end.code, end.oom, sink.text()) == (0, False, b"-9\n")
        assert "memory" in end.note


async def test_a_warm_agent_is_bounded_as_a_container_of_its_own(
    backend: PooledBackend, instance: str, busybox_image: str
) -> None:
    limits = Limits(nano_cpus=500_000_000, memory_bytes=32 << 20)
    spec = make_spec(instance, "sleep 600", busybox_image, limits=limits)
    found = []
    for one in (spec, pooled(replace(spec, name=f"{spec.name}-warm"))):
        await begin(backend, one)
        placement = backend.placement(one.name)
        container = placement.agent if placement is not None else one.name
        host = docker_images.client().inspect_container(container)["HostConfig"]
        found.append([host[key] for key in ("NanoCpus", "Memory", "MemorySwap", "SecurityOpt", "Privileged")])
        await soon(backend.kill(one.name))
    assert found[0] == found[1] == [500_000_000, 32 << 20, 32 << 20, ["no-new-privileges"], False]


@pytest.mark.parametrize(
    ("image", "command", "mode"),
    [
        ("busybox", ("true",), "shell"),
        ("python", ("python3", "-c", "pass"), "shell"),
        ("shellless", ("python3", "-c", "pass"), "exec"),
        ("static", None, "cold"),
    ],
)
async def test_the_way_is_chosen_by_what_the_image_has(
    backend: PooledBackend, instance: str, image: str, command: tuple[str, ...] | None, mode: str
) -> None:
    spec = pooled(make_spec(instance, command, docker_images.image(image)))
    await begin(backend, spec)
    assert (await soon(backend.wait(spec.name))).code == 0
    placement = backend.placement(spec.name)
    assert placement is not None and placement.mode == mode
    if mode == "cold":
        assert "neither a usable shell nor Python" in placement.why


EXECUTED = {
    "both streams": ("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)", 3),
    "standard input": ("import sys; print(len(sys.stdin.read()))", 0),
    "leaves a process": ("import os, time\nif os.fork() == 0: os.setsid(); time.sleep(600)", 0),
    "kills itself": ("import os; os.kill(os.getpid(), 9)", 137),
    "environment": ("import os; print(sorted(set(os.environ) - {'HOSTNAME'}), os.getcwd())", 0),
}


async def test_without_a_shell_tasks_end_the_same_way(backend: PooledBackend, instance: str) -> None:
    image = docker_images.image("shellless")
    for behaviour, (program, code) in EXECUTED.items():
        env, place = {"A": "it's\n"}, "/new/dir"
        spec = make_spec(instance, ("python3", "-c", program), image, env=env, working_dir=place)
        cold, warm = await both(backend, spec)
        assert (behaviour, warm.code) == (behaviour, code)
        assert cold == warm


async def test_without_a_shell_the_stop_signal_reaches_the_task(
    backend: PooledBackend, instance: str
) -> None:
    program = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye'), sys.exit(7)))\n"
        "print('ready', flush=True)\ntime.sleep(600)"
    )
    spec = pooled(make_spec(instance, ("python3", "-c", program), docker_images.image("shellless")))
    sink = await begin(backend, spec)
    await sink.says(b"ready\n")
    await soon(backend.stop(spec.name, 30))
    assert ((await soon(backend.wait(spec.name))).code, sink.text()) == (7, b"ready\nbye\n")


ONE = PoolSettings("one", max_size=1)
TRACES = (
    "touch /tmp/trace /var/tmp/trace /dev/shm/trace ~/trace trace .hidden 2>/dev/null; mkdir -p /tmp/a/b;"
    " head -c 1000000 /dev/zero > /tmp/a/b/c; sleep 600 & setsid sleep 601 & export LEAK=1; umask 0; true"
)
LOOK = (
    "ls -A /tmp /var/tmp /dev/shm ~ . 2>/dev/null | grep -v : | grep -v '^$'; ps -o args | grep -c '[s]leep';"
    " echo leak=$LEAK; umask"
)


@pytest.mark.parametrize("disposable", [True, False])
async def test_the_next_task_finds_nothing_of_the_one_before(
    backend: PooledBackend, instance: str, disposable: bool
) -> None:
    image = docker_images.variant("RUN mkdir -p /work /var/tmp && touch /work/own", "WORKDIR /work")
    fresh = await text_of(backend, pooled(make_spec(instance, LOOK, image), ONE))
    await ending_of(backend, pooled(make_spec(instance, TRACES, image, disposable=disposable), ONE))
    assert await text_of(backend, pooled(make_spec(instance, LOOK, image), ONE)) == fresh
    assert "own" in fresh and "trace" not in fresh
    (report,) = backend.reports()
    assert (report.size, report.tasks, report.hits, dict(report.retired)) == (1, 3, 2, {})


@pytest.mark.parametrize(
    "damage", ["rm own", "echo more > /tmp/seen/kept", "chattr +i /tmp/x 2>/dev/null || rm own"]
)
async def test_an_agent_that_cannot_be_cleaned_is_replaced(
    backend: PooledBackend, instance: str, damage: str
) -> None:
    image = docker_images.variant("RUN mkdir -p /work && touch /work/own", "WORKDIR /work")
    command = f"mkdir -p /tmp/seen; {damage}"
    await ending_of(backend, pooled(make_spec(instance, command, image), ONE))
    assert (await text_of(backend, pooled(make_spec(instance, "ls /tmp; ls", image), ONE))).split() == ["own"]


async def test_what_another_run_did_to_the_images_files_is_never_seen(
    backend: PooledBackend, instance: str, busybox_image: str
) -> None:
    spec = pooled(make_spec(instance, "echo changed >> /etc/passwd; mkdir -p /opt/new", busybox_image), ONE)
    await ending_of(backend, spec)
    look = pooled(make_spec(instance, "grep -c changed /etc/passwd; ls -d /opt/new", busybox_image), ONE)
    other = replace(look, identity=replace(look.identity, run_id="fedcba987654"))
    ended = await ending_of(backend, other)
    assert ended.stdout == b"0\n"
    (report,) = backend.reports()
    assert dict(report.retired) == {"unclean": 1}


async def test_a_clean_agent_serves_the_next_run(
    backend: PooledBackend, instance: str, busybox_image: str
) -> None:
    spec = pooled(make_spec(instance, "echo x > /tmp/x", busybox_image), ONE)
    await ending_of(backend, spec)
    other = pooled(make_spec(instance, "ls -A /tmp", busybox_image), ONE)
    other = replace(other, identity=replace(other.identity, run_id="fedcba987654"))
    assert await text_of(backend, other) == ""
    (report,) = backend.reports()
    assert (report.hits, dict(report.retired)) == (1, {})


async def test_a_kept_agent_leaves_the_pool_as_it_is_under_the_tasks_name(
    backend: PooledBackend, instance: str, busybox_image: str
) -> None:
    spec = pooled(make_spec(instance, "echo kept > /tmp/file; exit 1", busybox_image), ONE)
    await begin(backend, spec)
    await soon(backend.wait(spec.name))
    await soon(backend.keep(spec.name))
    assert await text_of(backend, pooled(make_spec(instance, "ls /tmp", busybox_image), ONE)) == ""
    found = docker_images.client().exec_create(spec.name, ["cat", "/tmp/file"])
    assert docker_images.client().exec_start(found["Id"]) == b"kept\n"
    await soon(backend.remove(spec.name))
    assert spec.name not in [info.name for info in await soon(backend.list_agents(instance))]


@pytest.mark.parametrize("how", ["kill", "remove"])
async def test_a_task_whose_agent_dies_under_it_runs_again_in_its_own_container(
    backend: PooledBackend, instance: str, busybox_image: str, how: str
) -> None:
    script = 'echo begins; case $(hostname) in *warm*) sleep 600;; esac; echo "ends in $(hostname)"'
    spec = pooled(make_spec(instance, script, busybox_image), ONE)
    sink = await begin(backend, spec)
    await sink.says(b"begins\n")
    placement = backend.placement(spec.name)
    assert placement is not None
    client = docker_images.client()
    if how == "kill":
        client.kill(placement.agent)
    else:
        client.remove_container(placement.agent, force=True)
    end = await soon(backend.wait(spec.name))
    assert (end.code, sink.text().decode()) == (0, f"begins\nends in {spec.name}\n")
    assert "run again" in end.note
