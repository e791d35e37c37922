"""A microphone: frames of 20 ms, each handed over when its last sample would have been captured.

Deadlines are absolute, so that one late frame makes no other late. Between utterances it sends silence.
"""

from __future__ import annotations

import asyncio
from collections import deque

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.commands import SendAudio
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.session import VoiceSession

__all__ = ["FRAME_MS", "Microphone"]

FRAME_MS = 20
_FRAME_BYTES = DOOR_FORMAT.size(FRAME_MS)


class Microphone:
    """Speaks what it is told to `say` into a session, in real time on the running loop's clock.

    It may run before there is a session: what it captures then is kept, and sent once `session` is set.
    """

    def __init__(self, session: VoiceSession | None = None) -> None:
        self.session = session
        self.lateness_ms: list[float] = []
        """Of each frame that was captured while there was a session: how long after its deadline it was handed over."""
        self.failure: str | None = None
        """Why nothing can be sent any more."""
        self._began = 0.0
        self._frames = 0
        self._line = bytearray()
        self._kept: deque[bytes] = deque()

    def say(self, pcm: bytes) -> float:
        """Begin to speak PCM16 mono at 24 kHz; when its first sample is captured, in seconds."""
        at = self._began + (self._frames * FRAME_MS + DOOR_FORMAT.ms(len(self._line))) / 1000
        self._line += pcm
        return at

    def start(self) -> asyncio.Task[None]:
        """Begin to capture. The caller cancels and awaits the task."""
        self._began = asyncio.get_running_loop().time()
        return asyncio.create_task(self._run(), name="bench microphone")

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while self.failure is None:
            deadline = self._began + (self._frames + 1) * FRAME_MS / 1000
            await asyncio.sleep(deadline - clock())
            frame = bytes(self._line[:_FRAME_BYTES]).ljust(_FRAME_BYTES, b"\0")
            del self._line[:_FRAME_BYTES]
            self._frames += 1
            self._kept.append(frame)
            if self.session is not None:
                self.lateness_ms.append((clock() - deadline) * 1000)
                await self._send(self.session)

    async def _send(self, session: VoiceSession) -> None:
        try:
            while self._kept:
                await session.send(SendAudio(pcm=self._kept[0]))
                self._kept.popleft()
        except VoiceBridgeError as error:
            self.failure = str(error)
