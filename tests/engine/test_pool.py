"""A pool's agents and the tasks that wait for them, on virtual time with agents that exist in memory only."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from engine.agents.backend import AgentIdentity, AgentSpec, Exit, LogSink, PoolSettings
from engine.agents.pool import Pool
from engine.agents.pool_members import Kind, Member
from engine.agents.warm import UnfitError
from engine.errors import BackendError, Reason
from tests.engine.virtual_time import run_virtual

START, CLEAN, CHECK, REMOVE = 0.35, 0.01, 0.05, 0.2


class Agent:
    """A warm agent in memory; `trouble` makes its cleaning or its comparison fail."""

    mode: Literal["shell", "exec"] = "shell"
    spent = 0.0

    def __init__(self, maker: Maker, name: str, image: str) -> None:
        self.name = self.agent_id = name
        self.image = image
        self.ended = asyncio.Event()
        self.unusable = asyncio.Event()
        self.uncleanable = self.changed = ""
        self._maker = maker

    async def begin(self, spec: AgentSpec, sink: LogSink) -> None:
        raise NotImplementedError

    async def wait(self) -> Exit:
        raise NotImplementedError

    async def stop(self, grace: float) -> None:
        self.die()

    async def kill(self) -> None:
        self.die()

    async def clean(self) -> str:
        await asyncio.sleep(CLEAN)
        return self.uncleanable

    async def check(self) -> str:
        await asyncio.sleep(CHECK)
        return self.changed

    async def keep(self, name: str) -> None:
        self.name = name

    async def discard(self) -> None:
        await asyncio.sleep(REMOVE)
        self.die()
        self._maker.there.remove(self)

    def die(self) -> None:
        self.ended.set()
        self.unusable.set()


@dataclass
class Maker:
    """Makes agents in memory; knows which are there, and the most there ever were."""

    there: list[Agent] = field(default_factory=list)
    made: int = 0
    most: int = 0
    errors: list[Exception] = field(default_factory=list)

    async def make(self, spec: AgentSpec, name: str) -> Agent:
        assert spec.image is not None
        agent = Agent(self, name, spec.image)
        self.there.append(agent)
        self.most = max(self.most, len(self.there))
        try:
            await asyncio.sleep(START)
            if self.errors:
                raise self.errors.pop(0)
        except BaseException:
            self.there.remove(agent)
            raise
        self.made += 1
        return agent


def spec_of(run: str = "run", image: str = "image") -> AgentSpec:
    identity = AgentIdentity("home", "flow", run, "step", None, 1, "task")
    return AgentSpec("agent", identity, image, None, {})


KIND = Kind("plain", "image", "sha256:1")


class Bench:
    """One pool with what tests do to it."""

    def __init__(self, **sizes: Any) -> None:
        self.maker = Maker()
        numbers = itertools.count(1)
        settings = PoolSettings("pool", **{"max_size": 4} | sizes)
        self.pool = Pool(settings, self.maker, lambda: f"warm-{next(numbers)}")

    async def task(self, seconds: float = 1.0, *, run: str = "run", kind: Kind = KIND) -> Member:
        member, _ = await self.pool.acquire(kind, spec_of(run, kind.image))
        await asyncio.sleep(seconds)
        self.pool.release(member)
        return member

    @property
    def names(self) -> list[str]:
        return sorted(agent.name for agent in self.maker.there)


def on_time(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story on virtual time."""

    async def main(_: object) -> None:
        await story()

    run_virtual(main)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_the_first_task_waits_for_an_agent_and_the_next_finds_it() -> None:
    async def story() -> None:
        bench = Bench()
        began = now()
        first, ready = await bench.pool.acquire(KIND, spec_of())
        assert now() - began == pytest.approx(START)
        assert not ready
        bench.pool.release(first)
        await asyncio.sleep(CLEAN)
        began = now()
        second, ready = await bench.pool.acquire(KIND, spec_of())
        assert (now() - began, ready, second) == (0, True, first)
        report = bench.pool.report()
        assert (report.hits, report.misses, report.tasks, report.size, report.busy) == (1, 1, 2, 1, 1)
        await bench.pool.close()

    on_time(story)


def test_short_tasks_share_the_first_agent_instead_of_starting_more() -> None:
    async def story() -> None:
        bench = Bench(max_size=8)
        await asyncio.gather(*(bench.task(0.001) for _ in range(8)))
        await asyncio.sleep(5)
        assert bench.maker.made == 2
        await bench.pool.close()

    on_time(story)


def test_there_are_never_more_agents_than_the_pool_may_have_and_tasks_queue() -> None:
    async def story() -> None:
        bench = Bench(max_size=3)
        await asyncio.gather(*(bench.task(1.0) for _ in range(30)))
        assert bench.maker.most == 3
        assert bench.pool.report().tasks == 30
        await bench.pool.close()
        assert bench.maker.there == []

    on_time(story)


def test_tasks_are_served_in_the_order_in_which_they_came() -> None:
    async def story() -> None:
        bench = Bench(max_size=1)
        order: list[int] = []

        async def one(number: int) -> None:
            member, _ = await bench.pool.acquire(KIND, spec_of())
            order.append(number)
            await asyncio.sleep(0.5)
            bench.pool.release(member)

        tasks = [asyncio.create_task(one(number)) for number in range(6)]
        await asyncio.gather(*tasks)
        assert order == list(range(6))
        await bench.pool.close()

    on_time(story)


def test_a_task_that_gives_up_waiting_costs_nobody_an_agent() -> None:
    async def story() -> None:
        bench = Bench(max_size=1)
        holder = asyncio.create_task(bench.task(10))
        await asyncio.sleep(1)
        impatient = asyncio.create_task(bench.task(1))
        patient = asyncio.create_task(bench.task(1))
        await asyncio.sleep(1)
        impatient.cancel()
        await asyncio.gather(holder, patient)
        assert now() == pytest.approx(10 + START + CLEAN + 1)
        await bench.pool.close()

    on_time(story)


def test_an_agent_that_is_given_in_the_moment_of_a_cancellation_goes_to_the_next() -> None:
    async def story() -> None:
        bench = Bench(max_size=1)
        holder = asyncio.create_task(bench.task(1))
        await asyncio.sleep(START)
        waiting = asyncio.create_task(bench.pool.acquire(KIND, spec_of()))
        other = asyncio.create_task(bench.task(0))
        member = await holder
        while member.state != "busy":  # until it has been given on
            await asyncio.sleep(CLEAN)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        await other
        await bench.pool.close()

    on_time(story)


def test_idle_agents_go_after_a_while_down_to_the_smallest_size() -> None:
    async def story() -> None:
        bench = Bench(max_size=4, min_size=1, idle_timeout=60)
        await asyncio.gather(*(bench.task(5) for _ in range(4)))
        assert len(bench.maker.there) == 4
        await asyncio.sleep(59)
        assert len(bench.maker.there) == 4
        await asyncio.sleep(10)
        assert len(bench.maker.there) == 1
        await asyncio.sleep(3600)
        assert len(bench.maker.there) == 1
        assert bench.pool.report().retired == {"idle": 3}
        await bench.pool.close()

    on_time(story)


def test_an_agent_is_replaced_after_so_many_tasks() -> None:
    async def story() -> None:
        bench = Bench(max_size=1, max_agent_uses=3)
        used = [(await bench.task(0.1)).agent.name for _ in range(7)]
        assert used == ["warm-1"] * 3 + ["warm-2"] * 3 + ["warm-3"]
        await bench.pool.close()

    on_time(story)


def test_where_each_agent_serves_one_task_successors_are_ready_before_it_is_asked_for() -> None:
    async def story() -> None:
        bench = Bench(max_size=6, max_agent_uses=1, idle_timeout=60)
        await bench.task(0.1)
        names = set()
        for _ in range(5):
            await asyncio.sleep(2)
            began = now()
            names.add((await bench.task(0)).agent.name)
            assert now() == began
        assert len(names) == 5
        await asyncio.sleep(120)
        assert bench.maker.there == []  # nobody has asked for a while
        await bench.pool.close()

    on_time(story)


@pytest.mark.parametrize(
    ("trouble", "why"), [("uncleanable", "unclean"), ("death", "died"), ("sick", "unhealthy")]
)
def test_an_agent_in_trouble_is_not_used_again(trouble: str, why: str) -> None:
    async def story() -> None:
        bench = Bench(max_size=1, min_size=1)
        await bench.task(0)
        await asyncio.sleep(1)
        (agent,) = bench.maker.there
        match trouble:
            case "uncleanable":
                agent.uncleanable = "/tmp could not be emptied"
                await bench.task(0)
            case "death":
                agent.die()
            case "sick":
                agent.unusable.set()
        await asyncio.sleep(1)
        assert bench.pool.report().retired == {why: 1}
        assert bench.names == ["warm-2"]  # the smallest size is kept up
        assert (await bench.task(0)).agent.name == "warm-2"
        await bench.pool.close()

    on_time(story)


def test_an_agent_that_a_run_has_changed_serves_no_other_run() -> None:
    async def story() -> None:
        bench = Bench(max_size=1)
        await bench.task(0, run="one")
        await asyncio.sleep(1)
        bench.maker.there[0].changed = "/etc/passwd and 0 more were changed"
        assert (await bench.task(0, run="one")).agent.name == "warm-1"
        await asyncio.sleep(1)
        assert (await bench.task(0, run="two")).agent.name == "warm-2"
        await bench.pool.close()

    on_time(story)


def test_an_agent_is_compared_when_its_run_is_over_so_that_the_next_need_not_wait() -> None:
    async def story() -> None:
        bench = Bench(max_size=1)
        await bench.task(0, run="one")
        await asyncio.sleep(1)
        bench.pool.release_run("one")
        await asyncio.sleep(1)
        began = now()
        await bench.task(0, run="two")
        assert now() == began
        await bench.pool.close()

    on_time(story)


def test_an_agent_that_is_of_use_to_one_run_goes_with_it() -> None:
    async def story() -> None:
        bench = Bench()
        await bench.task(0, run="one", kind=Kind("bound", "image", "sha256:1", run_id="one"))
        await asyncio.sleep(1)
        bench.pool.release_run("one")
        await asyncio.sleep(1)
        assert bench.maker.there == []
        await bench.pool.close()

    on_time(story)


def test_agents_of_what_an_image_name_meant_before_go() -> None:
    async def story() -> None:
        bench = Bench(min_size=1)
        await bench.task(0)
        await asyncio.sleep(1)
        newer = Kind("plain", "image", "sha256:2")
        member = await bench.task(0, kind=newer)
        await asyncio.sleep(1)
        assert [agent.image for agent in bench.maker.there] == ["sha256:2"]
        assert member.agent.name == "warm-2"
        assert bench.pool.report().retired == {"outdated": 1}
        await bench.pool.close()

    on_time(story)


def test_an_idle_agent_makes_room_for_another_kind_and_nobody_starves() -> None:
    async def story() -> None:
        bench = Bench(max_size=1)
        other = Kind("other", "other", "sha256:9")
        served: list[str] = []

        async def one(kind: Kind) -> None:
            await bench.task(0.1, kind=kind)
            served.append(kind.image)

        tasks = [asyncio.create_task(one(kind)) for kind in (KIND, KIND, other, KIND, KIND)]
        await asyncio.gather(*tasks)
        assert served[:3] == ["image", "image", "other"]
        assert bench.maker.most == 1
        await bench.pool.close()

    on_time(story)


def test_a_start_that_fails_is_told_to_one_task_and_tried_again_for_the_next() -> None:
    async def story() -> None:
        bench = Bench(max_size=1)
        bench.maker.errors.append(BackendError(Reason.INFRA_ERROR, "no room", transient=True))
        first, second = await asyncio.gather(bench.task(0), bench.task(0), return_exceptions=True)
        assert isinstance(first, BackendError)
        assert isinstance(second, Member)
        assert "no room" in bench.pool.report().note
        await bench.pool.close()

    on_time(story)


def test_an_image_that_cannot_serve_is_told_to_all_and_not_tried_again() -> None:
    async def story() -> None:
        bench = Bench()
        bench.maker.errors += [UnfitError("no shell"), UnfitError("no shell")]
        ends = await asyncio.gather(*(bench.task(0) for _ in range(3)), return_exceptions=True)
        assert [type(end) for end in ends] == [UnfitError] * 3
        with pytest.raises(UnfitError):
            await bench.task(0)
        assert bench.maker.made == 0
        await bench.pool.close()

    on_time(story)


def test_warm_up_starts_agents_before_they_are_asked_for() -> None:
    async def story() -> None:
        bench = Bench(max_size=3)
        bench.pool.warm_up(KIND, spec_of(), 2)
        bench.pool.warm_up(KIND, spec_of(), 2)
        bench.pool.warm_up(KIND, spec_of(), 99)
        await asyncio.sleep(2)
        assert len(bench.maker.there) == 3
        _, ready = await bench.pool.acquire(KIND, spec_of())
        assert ready
        await bench.pool.close()

    on_time(story)


def test_a_kept_agent_makes_room() -> None:
    async def story() -> None:
        bench = Bench(max_size=1)
        member, _ = await bench.pool.acquire(KIND, spec_of())
        waiting = asyncio.create_task(bench.task(0))
        await asyncio.sleep(1)
        bench.pool.detach(member)
        assert (await waiting).agent.name == "warm-2"
        assert "warm-1" in bench.names
        await bench.pool.close()
        assert bench.names == ["warm-1"]

    on_time(story)


def test_closing_in_the_middle_of_everything_leaves_nothing() -> None:
    async def story() -> None:
        bench = Bench(max_size=3, min_size=2)
        tasks = [asyncio.create_task(bench.task(5)) for _ in range(6)]
        bench.pool.warm_up(KIND, spec_of(), 3)
        await asyncio.sleep(START + 0.1)
        await bench.pool.close()
        assert bench.maker.there == []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with pytest.raises(BackendError):
            await bench.task(0)

    on_time(story)


KINDS = (KIND, Kind("plain", "image", "sha256:2"), Kind("other", "other", "sha256:9"))


@pytest.mark.parametrize("seed", range(150), ids=lambda seed: f"seed_{seed}")
def test_whatever_happens_every_task_is_served_and_no_agent_is_left(seed: int) -> None:
    chance = random.Random(seed)
    sizes = {
        "max_size": chance.randint(1, 4),
        "max_agent_uses": chance.choice((0, 0, 1, 3)),
        "idle_timeout": chance.choice((0, 1, 300)),
    }
    sizes["min_size"] = chance.randint(0, sizes["max_size"])

    async def story() -> None:
        bench = Bench(**sizes)
        busy: set[str] = set()
        served = 0

        async def one() -> None:
            nonlocal served
            await asyncio.sleep(chance.uniform(0, 10))
            run, kind = chance.choice(("one", "two")), chance.choice(KINDS)
            while True:
                try:
                    member, _ = await bench.pool.acquire(kind, spec_of(run, kind.image))
                    break
                except BackendError:
                    continue  # the platform's failure: tried again
            agent = member.agent
            assert isinstance(agent, Agent)
            assert agent.name not in busy
            assert agent.image == kind.content
            busy.add(agent.name)
            try:
                await asyncio.sleep(chance.uniform(0, 2))
            except asyncio.CancelledError:
                bench.pool.retire(member, "stopped")
                raise
            finally:
                busy.discard(agent.name)
            served += 1
            match chance.randrange(8):
                case 0:
                    bench.pool.retire(member, "stopped")
                case 1:
                    agent.uncleanable = "x"
                    bench.pool.release(member)
                case 2:
                    agent.changed = "y"
                    bench.pool.release(member)
                case 3:
                    bench.pool.give_back(member)
                case _:
                    bench.pool.release(member)

        async def trouble() -> None:
            for _ in range(20):
                await asyncio.sleep(chance.uniform(0, 1))
                match chance.randrange(4):
                    case 0 if bench.maker.there:
                        chance.choice(bench.maker.there).die()
                    case 1:
                        bench.maker.errors.append(BackendError(Reason.INFRA_ERROR, "x", transient=True))
                    case 2:
                        bench.pool.release_run(chance.choice(("one", "two")))
                    case 3:
                        bench.pool.warm_up(chance.choice(KINDS), spec_of(), chance.randint(1, 4))

        impatient = [asyncio.create_task(one()) for _ in range(5)]
        tasks = [asyncio.create_task(one()) for _ in range(30)]
        making_trouble = asyncio.create_task(trouble())
        for task in impatient:
            await asyncio.sleep(chance.uniform(0, 2))
            task.cancel()
        async with asyncio.timeout(600):
            await asyncio.gather(*tasks, making_trouble)
        assert served >= 30
        assert bench.maker.most <= sizes["max_size"]
        await bench.pool.close()
        assert bench.maker.there == []

    on_time(story)
