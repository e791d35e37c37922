"""Commands from before the backend was ready."""

from __future__ import annotations

import asyncio

from voicebridge.contract.commands import Command, EndTurn, SendAudio, SendText
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.transport.early import EarlyCommands


async def waits(early: EarlyCommands) -> bool:
    try:
        async with asyncio.timeout(1):
            await early.room()
    except TimeoutError:
        return True
    return False


def test_they_come_in_order_and_once() -> None:
    async def test() -> None:
        early = EarlyCommands(1_000)
        given: list[Command] = [SendText(text="Hi"), SendAudio(pcm=bytes(10)), EndTurn(), SendAudio(pcm=bytes(20))]
        for command in given:
            early.add(command)
        assert list(early.release()) == given
        assert list(early.release()) == []

    run_in_virtual_time(test())


def test_there_is_room_for_so_much_audio_and_for_all_else() -> None:
    async def test() -> None:
        early = EarlyCommands(100)
        early.add(SendAudio(pcm=bytes(99)))
        for _ in range(1_000):
            early.add(EndTurn())
        assert not await waits(early)
        early.add(SendAudio(pcm=b"\x00"))
        assert await waits(early)
        waiting = asyncio.create_task(early.room())
        await asyncio.sleep(1)
        assert not waiting.done()
        assert len(early.release()) == 1_002
        await waiting
        early.add(SendAudio(pcm=bytes(99)))
        assert not await waits(early), "what was released takes no room"

    run_in_virtual_time(test())
