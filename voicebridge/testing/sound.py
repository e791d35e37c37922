"""A microphone and a speaker without a device, for tests of agents, at virtual or real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from typing import Any

from voicebridge.audio.playout import DUCKED, PlayoutQueue
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.stages import PCM_16K

__all__ = ["FRAME_MS", "ScriptedMicrophone", "ScriptedSpeaker"]

FRAME_MS = 20
_BUFFER_MS = 10
_LOUD = b"\x00\x20"


class ScriptedMicrophone:
    """Hears 20 ms frames at the pace of real time: silence, but where the user speaks. Ends with the user's script.

    Args:
        script: what the user does; calls `say`, and sleeps between.
    """

    format = PCM_16K

    def __init__(self, script: Callable[[ScriptedMicrophone], Coroutine[Any, Any, None]]) -> None:
        self._script = script
        self._loud_until = 0.0
        self.now: Callable[[], float] = lambda: 0.0
        """Seconds of the running loop."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.now = asyncio.get_running_loop().time
        user = asyncio.create_task(self._script(self))
        try:
            while not user.done():
                await asyncio.sleep(FRAME_MS / 1000)
                loud = self.now() <= self._loud_until + 1e-9
                yield (_LOUD if loud else b"\0\0") * (PCM_16K.size(FRAME_MS) // 2)
            user.result()
        finally:
            user.cancel()

    async def say(self, seconds: float) -> None:
        """Speak."""
        self._loud_until = self.now() + seconds
        await asyncio.sleep(seconds)


class ScriptedSpeaker:
    """Takes 10 ms of audio every 10 ms while `run` runs, as a sound card does. Is a `HoldableSink`."""

    def __init__(self, format: AudioFormat = DOOR_FORMAT) -> None:
        self.format = format
        self._queue = PlayoutQueue(format, limit_ms=600_000)
        self._reported: dict[str, float] = {}
        self.given = 0
        """Bytes that it was given to play."""
        self.heard = bytearray()
        """What came out of it, silence included."""
        self._now = 0.0

    def play(self, pcm: bytes, response_id: str = "") -> None:
        """Take a piece of a response."""
        self.given += len(pcm)
        self._queue.add(response_id, pcm)

    def end(self) -> None:
        """No more of it will come."""
        self._queue.end()

    def clear(self) -> float:
        """Drop what was not taken yet; milliseconds of it."""
        return self._queue.clear()

    def drop(self, response_ids: Collection[str]) -> dict[str, float]:
        """Drop what was not taken yet of these; the milliseconds of each that will have been heard."""
        return self._queue.drop(response_ids)

    def pause(self) -> None:
        """Give silence, and keep what is queued."""
        self._queue.paused = True

    def resume(self) -> None:
        """Go on from there."""
        self._queue.paused = False

    def duck(self, on: bool) -> None:
        """Be softer, or as loud as before."""
        self._queue.loudness = DUCKED if on else 1.0

    def played_ms(self, response_id: str = "") -> float:
        """Milliseconds of a response that were heard."""
        return self._queue.played(self._now).get(response_id, 0.0)

    def progress(self) -> dict[str, float]:
        """The same of each response that went on since the last call."""
        played = self._queue.played(self._now)
        changed = {key: ms for key, ms in played.items() if ms != self._reported.get(key)}
        self._reported = played
        return changed

    async def run(self) -> None:
        """Play until cancelled."""
        out = bytearray(self.format.size(_BUFFER_MS))
        now = asyncio.get_running_loop().time
        while True:
            self._now = now()
            self._queue.fill(memoryview(out), now=self._now, starts_at=self._now)
            self.heard += out
            await asyncio.sleep(_BUFFER_MS / 1000)
