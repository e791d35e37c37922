"""The user's audio: where it stands, what of it is not committed, and where speech was found in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.ears import Ears

from .protocol_error import ProtocolError
from .session_state import SessionState

__all__ = ["Found", "InputBuffer", "Utterance"]

_LEAST_MS = 100.0
"""Less is no turn."""
_KEPT_MS = 120_000.0
"""Of audio for a recogniser: the oldest goes."""


@dataclass(frozen=True, slots=True)
class Found:
    """A place in the session's audio where speech began or ended."""

    phase: Literal["speech", "end"]
    ms: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """Audio that was committed."""

    audio: bytes
    """Empty where nobody wants to hear it."""
    format: AudioFormat
    ms: float


class InputBuffer:
    """Counts the audio of one session.

    Args:
        session: its settings, as they change.
        detector: the name of what finds speech.
        keep: hold the audio itself, for a recogniser.
    """

    def __init__(self, session: SessionState, detector: str, *, keep: bool) -> None:
        self._session = session
        self._detector = detector
        self._keep = keep
        self._format = session.input_format
        self._ms = 0.0
        """Of all audio that came."""
        self._from_ms = 0.0
        """Where the uncommitted audio begins."""
        self._speech_ms: float | None = None
        """Where the speech that goes on began, its padding included."""
        self._ears: Ears | None = None
        self._ears_from_ms = 0.0
        self._pcm = bytearray()

    async def configure(self) -> None:
        """Follow the session's settings."""
        fresh = self._session.input_format
        if fresh != self._format or self._session.turn_detection is None:
            await self.aclose()
        if fresh != self._format:
            self._format = fresh
            self._pcm.clear()
            self._from_ms = self._ms
        if self._session.turn_detection is not None:
            if self._ears is None:
                self._ears = Ears(self._detector, self._format)
                self._ears_from_ms = self._ms
            self._ears.configure(self._session.silence_ms, self._session.sensitivity)

    async def append(self, audio: bytes) -> list[Found]:
        """Take audio; tell where in it speech began or ended."""
        self._ms += self._format.ms(len(audio))
        if self._keep:
            self._pcm += audio
            del self._pcm[: max(len(self._pcm) - self._format.size(_KEPT_MS), 0)]
        if self._ears is None:
            return []
        signals = await self._ears.push(audio)
        return [Found(s.phase, self._ears_from_ms + s.audio_ms) for s in signals if s.phase in ("speech", "end")]

    def speech_began(self, ms: float) -> int:
        """Speech was found at `ms`: gives the place to tell, its padding included."""
        self._speech_ms = max(ms - self._session.padding_ms, self._from_ms)
        return round(self._speech_ms)

    def speech_ended(self, ms: float) -> tuple[int, Utterance]:
        """It ended: gives the place to tell, the silence that proved it included, and what was said."""
        end = min(ms + self._session.silence_ms, self._ms)
        start = self._from_ms if self._speech_ms is None else self._speech_ms
        return round(end), self._cut(start, end)

    def commit(self) -> Utterance:
        """All that is not committed.

        Raises:
            ProtocolError: it is too short.
        """
        held = self._ms - self._from_ms
        if held < _LEAST_MS:
            raise ProtocolError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer "
                f"only has {held:.2f}ms of audio.",
            )
        return self._cut(self._from_ms, self._ms)

    def clear(self) -> None:
        """Forget what is not committed."""
        self._from_ms = self._ms
        self._speech_ms = None
        self._pcm.clear()

    async def aclose(self) -> None:
        """Release the detector."""
        self._speech_ms = None
        ears, self._ears = self._ears, None
        if ears is not None:
            await ears.aclose()

    def _cut(self, start: float, end: float) -> Utterance:
        tail = len(self._pcm)
        first = max(tail - self._format.size(self._ms - start), 0)
        last = max(tail - self._format.size(self._ms - end), first)
        audio = bytes(self._pcm[first:last])
        del self._pcm[:last]
        self._from_ms = end
        self._speech_ms = None
        return Utterance(audio, self._format, end - start)
