"""One connection kept ready: opened once, handed out once, never a dead one. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge.transport.spare import Spare


class Thing:
    """A connection that takes a second to open."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.is_open = True
        self.closes = 0

    async def aclose(self) -> None:
        await asyncio.sleep(0.1)
        self.is_open, self.closes = False, self.closes + 1


class Maker:
    def __init__(self) -> None:
        self.made: list[Thing] = []
        self.begun = self.cancelled = 0
        self.error: Exception | None = None

    async def open(self) -> Thing:
        self.begun += 1
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        self.made.append(Thing(len(self.made) + 1))
        return self.made[-1]

    @property
    def left_open(self) -> list[int]:
        return [thing.n for thing in self.made if thing.is_open]


def run(test: Coroutine[Any, Any, None]) -> None:
    async def guarded() -> None:
        async with no_leaked_tasks():
            await test

    run_in_virtual_time(guarded())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_one_that_waits_is_handed_out_at_once_and_once() -> None:
    async def test() -> None:
        maker = Maker()
        spare = Spare(maker.open, idle_s=30)
        await spare.get_ready()
        assert now() == 0, "in the background"
        await spare.get_ready()
        await asyncio.sleep(5)
        began = now()
        first = await spare.take()
        assert (first.n, now() - began) == (1, 0)
        second = await spare.take()
        assert (second.n, now() - began) == (2, 1)
        await spare.aclose()
        assert maker.left_open == [1, 2], "who took one closes it"

    run(test())


def test_one_that_is_being_opened_is_waited_for() -> None:
    async def test() -> None:
        maker = Maker()
        spare = Spare(maker.open, idle_s=30)
        await spare.get_ready()
        await asyncio.sleep(0.4)
        assert (await spare.take()).n == 1
        assert (now(), maker.begun) == (1, 1)

    run(test())


def test_two_at_once_never_get_the_same() -> None:
    async def test() -> None:
        maker = Maker()
        spare = Spare(maker.open, idle_s=30)
        await spare.get_ready()
        got = await asyncio.gather(*(spare.take() for _ in range(3)))
        assert sorted(one.n for one in got) == [1, 2, 3]
        await asyncio.gather(*(spare.get_ready() for _ in range(5)))
        await asyncio.sleep(2)
        assert maker.begun == 4
        await spare.aclose()

    run(test())


@pytest.mark.parametrize("again", [True, False], ids=["get_ready", "take"])
@pytest.mark.parametrize("why", ["too old", "closed by the peer"])
def test_a_stale_one_is_closed_and_replaced(why: str, again: bool) -> None:
    async def test() -> None:
        maker = Maker()
        spare = Spare(maker.open, idle_s=30)
        await spare.get_ready()
        await asyncio.sleep(1.5)
        if why == "too old":
            await asyncio.sleep(30)
        else:
            maker.made[0].is_open = False
        if again:
            await spare.get_ready()
            await asyncio.sleep(2)
        assert (await spare.take()).n == 2
        await asyncio.sleep(1)
        assert maker.made[0].closes == 1
        await spare.aclose()

    run(test())


def test_one_is_young_until_its_time_is_up() -> None:
    async def test() -> None:
        maker = Maker()
        spare = Spare(maker.open, idle_s=30)
        await spare.get_ready()
        await asyncio.sleep(30.5)
        assert (await spare.take()).n == 1

    run(test())


def test_one_that_waits_for_too_long_is_closed_though_nobody_asks() -> None:
    async def test() -> None:
        maker = Maker()
        spare = Spare(maker.open, idle_s=30)
        await spare.get_ready()
        await asyncio.sleep(30)
        assert maker.left_open == [1]
        await asyncio.sleep(2)
        assert maker.left_open == []
        await spare.aclose()
        assert maker.made[0].closes == 1

    run(test())


def test_nothing_is_told_of_a_failed_opening_until_take() -> None:
    async def test() -> None:
        maker = Maker()
        maker.error = OSError("no")
        spare = Spare(maker.open, idle_s=30)
        await spare.get_ready()
        await asyncio.sleep(2)
        maker.error = None
        assert (await spare.take()).n == 1, "the old failure is no news"
        maker.error = OSError("still no")
        await spare.get_ready()
        with pytest.raises(OSError, match="still no"):
            await spare.take()
        await spare.get_ready()
        await asyncio.sleep(2)
        with pytest.raises(OSError, match="still no"):
            await spare.take()
        await spare.get_ready()
        await spare.aclose()

    run(test())


@pytest.mark.parametrize("at_s", [0.0, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("ready", [True, False])
def test_a_take_that_is_cancelled_loses_nothing(at_s: float, ready: bool) -> None:
    async def test() -> None:
        maker = Maker()
        spare = Spare(maker.open, idle_s=30)
        if ready:
            await spare.get_ready()
        taking = asyncio.create_task(spare.take())
        await asyncio.sleep(at_s)
        taking.cancel()
        taken = (await asyncio.gather(taking, return_exceptions=True))[0]
        await spare.aclose()
        await asyncio.sleep(2)
        assert maker.left_open == ([taken.n] if isinstance(taken, Thing) else [])

    run(test())


def test_one_whose_taker_gave_up_waits_for_the_next() -> None:
    async def test() -> None:
        maker = Maker()
        spare = Spare(maker.open, idle_s=30)
        await spare.get_ready()
        taking = asyncio.create_task(spare.take())
        await asyncio.sleep(0.5)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        assert (await spare.take()).n == 1
        assert (now(), maker.begun) == (1, 1)
        await spare.aclose()

    run(test())


@pytest.mark.parametrize("at_s", [0.0, 0.5, 1.0, 1.5])
def test_closing_leaves_nothing_open(at_s: float) -> None:
    async def test() -> None:
        maker = Maker()
        spare = Spare(maker.open, idle_s=30)
        await spare.get_ready()
        await asyncio.sleep(at_s)
        await asyncio.gather(spare.aclose(), spare.aclose())
        await spare.get_ready()
        await asyncio.sleep(2)
        assert maker.left_open == []
        assert maker.begun <= 1

    run(test())
