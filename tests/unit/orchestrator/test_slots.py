"""Limits on tasks: fair, cancellable, and true about what runs already."""

from __future__ import annotations

import asyncio

from engine.orchestrator.slots import Limit, Slots


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_places_are_given_first_come_first_served() -> None:
    limit, order = Limit(1), list[int]()

    async def one(number: int) -> None:
        await limit.acquire()
        order.append(number)
        await asyncio.sleep(0)
        limit.release()

    await asyncio.gather(*(one(number) for number in range(5)))

    assert order == [0, 1, 2, 3, 4]
    assert not limit.full


async def test_who_gives_up_waiting_loses_no_place() -> None:
    limit = Limit(1)
    await limit.acquire()
    first, second = (asyncio.create_task(limit.acquire()) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    limit.release()
    await second

    assert limit.full


async def test_a_place_given_to_one_who_is_cancelled_at_that_moment_goes_to_the_next() -> None:
    limit = Limit(1)
    await limit.acquire()
    first, second = (asyncio.create_task(limit.acquire()) for _ in range(2))
    await settle()
    limit.release()
    first.cancel()
    async with asyncio.timeout(5):
        await second


async def test_a_place_given_back_before_the_cancelled_one_has_noticed_passes_over_it() -> None:
    limit = Limit(1)
    await limit.acquire()
    first, second = (asyncio.create_task(limit.acquire()) for _ in range(2))
    await settle()
    first.cancel()
    limit.release()
    async with asyncio.timeout(5):
        await second
    assert first.cancelled()


async def test_what_runs_already_counts_even_over_the_limit() -> None:
    slots = Slots.of(1)
    slots.claim()
    slots.claim()
    held = asyncio.Event()

    async def one() -> None:
        async with slots.hold():
            held.set()

    task = asyncio.create_task(one())
    slots.give_back()
    await settle()
    assert not held.is_set()
    slots.give_back()
    await task
    assert held.is_set()


async def test_a_task_that_waits_for_its_run_holds_nothing_of_the_machine() -> None:
    machine = Slots.of(2)
    run = Slots.of(1).within(machine)
    async with run.hold():
        waiting = asyncio.create_task(run.hold().__aenter__())
        await settle()
        assert not machine.full
        waiting.cancel()
        await settle()


async def test_what_is_held_of_the_machine_can_be_told() -> None:
    machine = Slots.of(4)
    run = Slots.of(2).within(machine)
    async with run.hold():
        assert (machine.held, run.held, Slots.of(0).held) == (1, 1, 0)
    assert machine.held == 0
