"""The listening half of a cascade: audio in, turn signals and transcripts out.

One task takes the audio to the detector and, while the user's turn is open, on to the recogniser; another reads what
the recogniser writes. Between turns the recogniser gets nothing, so silence costs only the detector.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Mark, SpeechToText, Transcript, TurnDetector, TurnSignal, Usage

from .stage_fault import fault_of

__all__ = ["Ear"]

_PRE_ROLL_MS = 150
"""Audio before the first sample of speech that the recogniser also hears: soft onsets are noticed late, and a longer
lead-in makes recognisers write words that nobody said."""
_KEPT_MS = 2_000
"""The latest audio, kept so that a detector may look back this far to the first sample of speech."""
_MAX_WAITING_MS = 30_000
"""Audio that may wait for the detector, and for the recogniser, before `room` waits."""
_FAILURES_ALLOWED = 3
"""Recogniser failures in a row, without a transcript between them, after which the session gives up."""


class Ear:
    """Owns the detector, the recogniser and the audio on its way to them.

    Args:
        format: of the audio fed.
        on_signal, on_transcript, on_usage: called in the event loop, one after the other.
        on_failure: the recogniser failed and starts again; the fault tells why.
    """

    def __init__(
        self,
        stt: SpeechToText,
        detector: TurnDetector | None,
        format: AudioFormat,
        *,
        on_signal: Callable[[TurnSignal], None],
        on_transcript: Callable[[Transcript], None],
        on_usage: Callable[[Usage], None],
        on_failure: Callable[[Fault], None],
    ) -> None:
        self._stt, self._detector, self._format = stt, detector, format
        self._on_signal, self._on_transcript, self._on_usage = on_signal, on_transcript, on_usage
        self._on_failure = on_failure
        to_detector = detector.traits.format if detector else format
        self._to_detector = None if to_detector == format else Converter(format, to_detector)
        self._intake: deque[bytes | Callable[[], None]] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._kept = _Recent(format)
        self._listening = False
        self._recogniser = _Pipe(format.size(_MAX_WAITING_MS))
        self._failures = 0
        self.interim = ""

    @property
    def heard_ms(self) -> float:
        """Milliseconds of audio that have passed the detector."""
        return self._format.ms(self._kept.end)

    async def room(self) -> None:
        """Wait while too much audio is waiting already."""
        await self._room.wait()

    def feed(self, pcm: bytes) -> None:
        """Take whole frames of audio."""
        self._intake.append(pcm)
        self._waiting_bytes += len(pcm)
        if self._waiting_bytes >= self._format.size(_MAX_WAITING_MS):
            self._room.clear()
        self._arrived.set()

    def after_audio(self, act: Callable[[], None]) -> None:
        """Call `act` once all audio fed so far has been listened to."""
        self._intake.append(act)
        self._arrived.set()

    def listen(self, from_ms: float) -> None:
        """The recogniser hears the audio from there on, and a little before."""
        self.interim = ""
        if not self._listening:
            self._listening = True
            self._recogniser.put(self._kept.since(self._format.size(max(0.0, from_ms - _PRE_ROLL_MS))))

    def mark(self, mark: Mark) -> None:
        """Put a mark behind the audio heard so far. A fresh one ends the utterance."""
        self._recogniser.put(mark)
        if mark.fresh:
            self._listening = self._always_listening

    @property
    def _always_listening(self) -> bool:
        return self._detector is None and self._stt.traits.turns == "own"

    async def run(self) -> None:
        """Listen until cancelled.

        Raises:
            ExceptionGroup: of one `VoiceBridgeError`: the detector failed, or the recogniser did so again and again.
        """
        self._listening = self._always_listening
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take_audio(), name="ear: audio")
            tasks.create_task(self._read_transcripts(), name="ear: recogniser")

    async def _take_audio(self) -> None:
        while True:
            while not self._intake:
                self._arrived.clear()
                await self._arrived.wait()
            piece = self._intake.popleft()
            if callable(piece):
                piece()
                continue
            await self._hear(piece)
            self._waiting_bytes -= len(piece)
            self._room.set()

    async def _hear(self, pcm: bytes) -> None:
        self._kept.add(pcm)
        if self._listening:
            self._recogniser.put(pcm)
            await self._recogniser.room()
        if self._detector is not None:
            converted = self._to_detector.convert(pcm) if self._to_detector else pcm
            try:
                signals = await self._detector.push(converted, self.interim)
            except Exception as error:
                raise VoiceBridgeError(fault_of("turn detector", error)) from error
            for signal in signals:
                self._on_signal(signal)
        self._kept.forget(self._format.size(_KEPT_MS))

    async def _read_transcripts(self) -> None:
        while True:
            try:
                await self._read_until_it_ends()
                raise RuntimeError("it stopped listening")
            except Exception as error:
                self._failures += 1
                fault = fault_of("speech recogniser", error)
                if self._failures >= _FAILURES_ALLOWED:
                    raise VoiceBridgeError(fault) from error
                self._recogniser = _Pipe(self._format.size(_MAX_WAITING_MS))
                self._on_failure(fault)

    async def _read_until_it_ends(self) -> None:
        outputs: Any = self._stt.listen(self._recogniser.read())
        async with aclosing(outputs):
            async for output in outputs:
                if isinstance(output, Transcript):
                    self._failures = 0
                    self.interim = output.text
                    self._on_transcript(output)
                elif isinstance(output, TurnSignal):
                    self._on_signal(output)
                else:
                    self._on_usage(output)


class _Recent:
    """The latest audio, addressed by its byte offset in the whole stream."""

    def __init__(self, format: AudioFormat) -> None:
        self._data = bytearray()
        self._start = 0
        self._frame = format.frame_bytes

    @property
    def end(self) -> int:
        return self._start + len(self._data)

    def add(self, pcm: bytes) -> None:
        self._data += pcm

    def since(self, offset: int) -> bytes:
        return bytes(self._data[max(0, offset - self._start) :])

    def forget(self, keep: int) -> None:
        """Drop what is older than the last `keep` bytes, now and then, since moving memory costs."""
        if len(self._data) > 2 * keep:
            dropped = len(self._data) - keep
            dropped -= dropped % self._frame
            del self._data[:dropped]
            self._start += dropped


class _Pipe:
    """Audio and marks on their way to the recogniser. Marks are never held up; audio waits for room."""

    def __init__(self, limit: int) -> None:
        self._queue: asyncio.Queue[bytes | Mark] = asyncio.Queue()
        self._limit = limit
        self._bytes = 0
        self._free = asyncio.Event()
        self._free.set()

    def put(self, piece: bytes | Mark) -> None:
        self._queue.put_nowait(piece)
        if isinstance(piece, bytes):
            self._bytes += len(piece)
            if self._bytes >= self._limit:
                self._free.clear()

    async def room(self) -> None:
        await self._free.wait()

    async def read(self) -> AsyncIterator[bytes | Mark]:
        while True:
            piece = await self._queue.get()
            if isinstance(piece, bytes):
                self._bytes -= len(piece)
                if self._bytes < self._limit:
                    self._free.set()
            yield piece
