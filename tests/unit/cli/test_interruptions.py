"""Signals as wishes, on a real loop with real signals."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from agentainer_tui.commands.interruptions import Interrupted, Interruptions, run_async


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")],
)
async def test_the_first_signal_asks_and_the_second_insists(number: signal.Signals, name: str) -> None:
    with Interruptions() as interruptions:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(interruptions.asked.wait(), 5)
        assert not interruptions.insisted.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(interruptions.insisted.wait(), 5)

    assert interruptions.by == name


async def test_what_is_awaited_is_cancelled_by_a_signal_and_cleans_up() -> None:
    cleaned = False

    async def slow() -> None:
        nonlocal cleaned
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned = True

    with Interruptions() as interruptions:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            await interruptions.unless(slow())

    assert cleaned


async def test_without_a_signal_the_value_or_the_error_comes_through() -> None:
    async def fails() -> None:
        raise ValueError("as it is")

    with Interruptions() as interruptions:
        assert await interruptions.unless(asyncio.sleep(0, result=3)) == 3
        with pytest.raises(ValueError, match="as it is"):
            await interruptions.unless(fails())


async def test_afterwards_the_signals_are_as_they_were() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interruptions():
        pass

    assert signal.getsignal(signal.SIGTERM) == before


def test_ctrl_c_ends_what_runs_after_its_clean_up() -> None:
    cleaned = False

    async def main() -> None:
        nonlocal cleaned
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned = True

    with pytest.raises(KeyboardInterrupt):
        run_async(main())

    assert cleaned
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
