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
    """A place in the session's audio where speech began or ended, or where it was silent for too long."""

    phase: Literal["speech", "end", "idle"]
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
        self._waits_from_ms: float | None = None
        """Where the last response has been played. None: the user has spoken since, or there was none."""

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

    def answered(self, audio_ms: float) -> None:
        """A response is done, and plays for so long: from its end on the user is waited for."""
        self._waits_from_ms = self._ms + audio_ms

    def waits_no_more(self) -> None:
        """Until the next response is done."""
        self._waits_from_ms = None

    async def append(self, audio: bytes) -> list[Found]:
        """Take audio; tell where in it speech began or ended."""
        self._ms += self._format.ms(len(audio))
        if self._keep:
            self._pcm += audio
            del self._pcm[: max(len(self._pcm) - self._format.size(_KEPT_MS), 0)]
        if self._ears is None:
            return []
        signals = await self._ears.push(audio)
        found = [Found(s.phase, self._ears_from_ms + s.audio_ms) for s in signals if s.phase in ("speech", "end")]
        return found or self._idle()

    def _idle(self) -> list[Found]:
        limit, begun = self._session.idle_timeout_ms, self._waits_from_ms
        if limit is None or begun is None or self._speech_ms is not None or self._ms < begun + limit:
            return []
        return [Found("idle", begun)]

    def waited(self, begun_ms: float) -> tuple[int, int, Utterance]:
        """Nothing was said since `begun_ms`: gives the silence's places to tell, and the silence."""
        self.waits_no_more()
        end = self._ms
        return round(begun_ms), round(end), self._cut(max(begun_ms, self._from_ms), end)

    def speech_began(self, ms: float) -> int:
        """Speech was found at `ms`: gives the place to tell, its padding included."""
        self.waits_no_more()
        self._speech_ms = max(ms - self._session.padding_ms, self._from_ms)
        return round(self._speech_ms)

    def speech_ended(self, ms: float) -> tuple[int, Utterance]:
        """It ended: gives the place to tell, the silence that proved it included, and what was said."""
        self.waits_no_more()
        end = min(ms + self._session.silence_ms, self._ms)
        start = self._from_ms if self._speech_ms is None else self._speech_ms
        return round(end), self._cut(start, end)

    async def commit(self) -> Utterance:
        """All that is not committed. Speech that goes on is found anew, as another turn.

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
        await self._hear_anew()
        self.waits_no_more()
        return self._cut(self._from_ms, self._ms)

    async def clear(self) -> None:
        """Forget what is not committed. Speech that goes on is found anew."""
        await self._hear_anew()
        self._from_ms = self._ms
        self._pcm.clear()

    async def _hear_anew(self) -> None:
        """In the middle of speech, the detector would tell an end without a beginning."""
        if self._speech_ms is not None:
            await self.aclose()
            await self.configure()

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
