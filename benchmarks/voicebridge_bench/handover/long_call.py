"""A long call in time that is compressed: what it holds in memory, minute by minute, and what it leaves behind.

The user's audio is sent, and the agent's comes, so many times faster than it plays. After each answer the application
reports that it was played. Memory is the process's own, garbage collected.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import voicebridge
from voicebridge import OutputAudio, ReportPlayed, ResponseEnded, SendAudio, SessionReady, SessionRestarted
from voicebridge_bench.realtime.memory import own_kb
from voicebridge_bench.realtime.stamp import FRAME_BYTES, FRAME_S

from .caller import SPEC

__all__ = ["measure_long_call"]

_LOUD = (b"\x00\x20" * (FRAME_BYTES // 2), 100)
_SILENT = (b"\x00\x00" * (FRAME_BYTES // 2), 200)
_SCRIPT = (_SILENT, _LOUD)
"""A user who waits four seconds, and speaks for two: frames of each."""
_BURST = 5
"""Frames that are sent at once: timers are not good for less than some milliseconds."""
_BYTES_MS = 48
_FIRST_MINUTE = 2
"""Until then caches fill."""


async def measure_long_call(job: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Hold the call.

    Args:
        job: `urls`, `minutes`, `faster` (how many times).
        tell: gets a row each minute of the call.
    """
    await _call(job, 1, "call-warm", lambda row: None)  # what is loaded once is loaded now
    gc.collect()
    before = _open_files(), len(asyncio.all_tasks())
    found = await _call(job, job["minutes"], "call-long", tell)
    await asyncio.sleep(0.2)
    gc.collect()
    after = _open_files(), len(asyncio.all_tasks())
    left = {"files_left": None if after[0] is None else after[0] - (before[0] or 0), "tasks_left": after[1] - before[1]}
    return found | left


async def _call(job: dict[str, Any], minutes: int, key: str, tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    seen: dict[str, int] = {"answers": 0, "restarts": 0}
    memory: list[tuple[int, int]] = []
    ready = asyncio.Event()
    options = {"base_url": job["urls"]["fast"], "api_key": key}
    async with voicebridge.connect(SPEC, **options) as session:
        listening = asyncio.create_task(_listen(session, seen, ready))
        try:
            async with asyncio.timeout(10):
                await ready.wait()
            frames = round(60 / FRAME_S)
            due = asyncio.get_running_loop().time()
            for number in range(frames * minutes):
                await session.send(SendAudio(pcm=_frame(number)))
                due += FRAME_S / job["faster"]
                if number % _BURST == 0:
                    await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                if (number + 1) % frames == 0:
                    if (kb := own_kb()) is not None:
                        memory.append(((number + 1) // frames, kb))
                    tell({"row": "minute"})
            await asyncio.sleep(1.5)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    account = session.account
    return seen | {
        "memory_kb": [pair for pair in memory if pair[0] > _FIRST_MINUTE or minutes <= _FIRST_MINUTE],
        "minutes": minutes,
        "balanced": account.balanced,
        "captured": account.input.captured,
        "delivered": account.input.delivered,
        "dropped": sum(account.input.dropped.values()),
    }


def _frame(number: int) -> bytes:
    place = number % sum(count for _, count in _SCRIPT)
    return _SCRIPT[0][0] if place < _SCRIPT[0][1] else _SCRIPT[1][0]


async def _listen(session: Any, seen: dict[str, int], ready: asyncio.Event) -> None:
    received: dict[str, int] = {}
    async for event in session:
        if isinstance(event, OutputAudio):
            received[event.response_id] = received.get(event.response_id, 0) + len(event.pcm)
        elif isinstance(event, ResponseEnded):
            seen["answers"] += 1
            ms = received.pop(event.response_id, 0) / _BYTES_MS
            await session.send(ReportPlayed(response_id=event.response_id, ms=ms))
        elif isinstance(event, SessionReady):
            ready.set()
        elif isinstance(event, SessionRestarted):
            seen["restarts"] += 1


def _open_files() -> int | None:
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.exists() else None
