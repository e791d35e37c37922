"""Connections that serve one conversation after the other."""

from __future__ import annotations

import asyncio

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.transport.shelf import Shelf


class Line:
    def __init__(self, number: int) -> None:
        self.number = number
        self.is_open = True

    async def aclose(self) -> None:
        await asyncio.sleep(0.5)
        self.is_open = False


class Maker:
    def __init__(self) -> None:
        self.made: list[Line] = []
        self.refuses = False

    async def open(self) -> Line:
        await asyncio.sleep(0.1)
        if self.refuses:
            raise VoiceBridgeError("refused")
        self.made.append(Line(len(self.made)))
        return self.made[-1]


def shelf(maker: Maker) -> Shelf[Line]:
    return Shelf(maker.open, idle_s=60)


def test_what_came_back_is_lent_again():
    async def run() -> None:
        lines = shelf(maker := Maker())
        first = await lines.take()
        lines.put_back(first)
        assert await lines.take() is first
        assert len(maker.made) == 1

    run_in_virtual_time(run())


def test_two_at_once_are_two():
    async def run() -> None:
        lines = shelf(maker := Maker())
        first, second = await lines.take(), await lines.take()
        assert first is not second
        lines.put_back(first)
        lines.put_back(second)
        assert await lines.take() is second
        await lines.aclose()
        assert not first.is_open
        assert len(maker.made) == 2

    run_in_virtual_time(run())


@pytest.mark.parametrize("spoiled", ["closed", "old"])
def test_what_is_stale_is_not_lent(spoiled: str):
    async def run() -> None:
        lines = shelf(Maker())
        first = await lines.take()
        lines.put_back(first)
        if spoiled == "closed":
            first.is_open = False
        else:
            await asyncio.sleep(61)
        second = await lines.take()
        assert second is not first
        await asyncio.sleep(1)
        assert not first.is_open

    run_in_virtual_time(run())


def test_getting_ready_opens_one_unless_one_waits():
    async def run() -> None:
        lines = shelf(maker := Maker())
        await lines.get_ready()
        await asyncio.sleep(0.2)
        began = asyncio.get_running_loop().time()
        line = await lines.take()
        assert asyncio.get_running_loop().time() == began
        lines.put_back(line)
        await lines.get_ready()
        await asyncio.sleep(0.2)
        assert len(maker.made) == 1

    run_in_virtual_time(run())


def test_a_discarded_one_is_not_waited_for():
    async def run() -> None:
        lines = shelf(Maker())
        line = await lines.take()
        lines.discard(line)
        assert asyncio.get_running_loop().time() == 0.1
        await lines.aclose()
        assert not line.is_open

    run_in_virtual_time(run())


def test_what_comes_back_after_the_end_is_closed():
    async def run() -> None:
        lines = shelf(Maker())
        line = await lines.take()
        await lines.aclose()
        lines.put_back(line)
        await asyncio.sleep(1)
        assert not line.is_open

    run_in_virtual_time(run())


def test_a_refusal_is_raised_and_the_next_one_may_succeed():
    async def run() -> None:
        lines = shelf(maker := Maker())
        maker.refuses = True
        with pytest.raises(VoiceBridgeError, match="refused"):
            await lines.take()
        maker.refuses = False
        assert (await lines.take()).is_open

    run_in_virtual_time(run())
