"""The listening half of a cascade: audio in, turn signals and transcripts out.

One task takes the audio to the detector and, while the user's turn is open, on to the recogniser; another reads what
the recogniser writes. Between turns the recogniser gets nothing, so silence costs only the detector.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Mark, SpeechToText, Transcript, TurnDetector, TurnSignal, Usage
from voicebridge.core.recent_audio import RecentAudio

from .detector_feed import DetectorFeed
from .pipe import Pipe
from .stage_fault import closing, fault_of, own_cancellation

__all__ = ["InputPipeline", "Listener"]

_PIECE_MS = 20
"""Audio is listened to in pieces of this length, however it came, so that a signal is acted upon where it happened."""
_PRE_ROLL_MS = 150
"""Audio before the first sample of speech that the recogniser also hears: soft onsets are noticed late, and a longer
lead-in makes recognisers write words that nobody said."""
_KEPT_MS = 2_000
"""The latest audio, kept so that a detector may look back this far to the first sample of speech."""
_MAX_WAITING_MS = 30_000
"""Audio that may wait for the detector, and for the recogniser, before `room` waits; also the longest utterance that a
recogniser gets a second time after it has failed."""
_FAILURES_ALLOWED = 3
"""Recogniser failures in a row, without a transcript between them, after which the session gives up."""


class Listener(Protocol):
    """Who is told, in the event loop, one thing after the other."""

    def on_signal(self, signal: TurnSignal) -> None:
        """The detector, or the recogniser itself, noticed something."""

    def on_transcript(self, heard: Transcript) -> None:
        """The recogniser wrote something."""

    def on_stt_usage(self, usage: Usage) -> None:
        """The recogniser used something."""

    def on_stt_failure(self, fault: Fault) -> None:
        """The recogniser failed, and starts again with what the open turn holds."""


class InputPipeline:
    """Owns the detector, the recogniser and the audio on its way to them.

    Args:
        format: of the audio fed.
        timeout_s: the longest wait for the detector, and for the text of a mark.
    """

    def __init__(
        self,
        stt: SpeechToText,
        detector: TurnDetector | None,
        format: AudioFormat,
        listener: Listener,
        *,
        timeout_s: float,
    ) -> None:
        self._stt, self._detector, self._format, self._listener = stt, detector, format, listener
        self._timeout_s = timeout_s
        self._to_detector = DetectorFeed(format, detector.traits.format if detector else format)
        self._piece_bytes = format.size(_PIECE_MS)
        self._intake: deque[bytes | Callable[[], None]] = deque()
        self._waiting_bytes = 0
        self._limit = format.size(_MAX_WAITING_MS)
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._recent = RecentAudio(format)
        self._listening_from: int | None = None
        """Byte offset from which the recogniser hears the open turn."""
        self._asked_at: float | None = None
        """When the detector was given what it has not answered yet."""
        self._stt_from = 0
        """Byte offset of the first sample that the recogniser was given, since it began anew."""
        self._fresh_from = 0
        """Byte offset where the last utterance ended: pre-roll never reaches behind it."""
        self._in_speech = False
        """As the detector has it, which may go on when a command has ended the turn."""
        self._pipe = Pipe(self._limit)
        self._failures = 0
        self._interim = ""

    @property
    def heard_ms(self) -> float:
        """Milliseconds of audio that have been listened to."""
        return self._format.ms(self._recent.end)

    async def room(self) -> None:
        """Wait while too much audio is waiting already, but not after `close`."""
        await self._room.wait()

    def feed(self, pcm: bytes) -> None:
        """Take whole frames of audio."""
        self._intake.append(pcm)
        self._waiting_bytes += len(pcm)
        if self._waiting_bytes >= self._limit:
            self._room.clear()
        self._arrived.set()

    def after_audio(self, act: Callable[[], None]) -> None:
        """Call `act` once all audio fed so far has been listened to."""
        self._intake.append(act)
        self._arrived.set()

    def listen(self, from_ms: float, *, exact: bool = False) -> None:
        """The recogniser hears the audio from there on, and a little before unless `exact`."""
        self._interim = ""
        if self._listening_from is None:
            start = self._format.size(max(0.0, from_ms - (0 if exact else _PRE_ROLL_MS)))
            self._listening_from = max(start, self._fresh_from)
            self._pipe.put(self._recent.since(self._listening_from))

    def mark(self, mark: Mark) -> None:
        """Put a mark behind the audio heard so far. A fresh one ends the utterance."""
        self._interim = ""  # what was written before says nothing of the last words, until the mark is answered
        self._pipe.put(mark)
        if mark.fresh:
            self._fresh_from = self._recent.end
            self._listening_from = self._fresh_from if self._always_listening else None

    @property
    def _always_listening(self) -> bool:
        return self._detector is None

    def close(self) -> None:
        """Nothing is listened to any more; nobody waits for room."""
        self._intake.clear()
        self._room.set()

    async def run(self) -> None:
        """Listen until cancelled.

        Raises:
            ExceptionGroup: of one `VoiceBridgeError`: the detector failed, or the recogniser did so again and again.
        """
        if self._always_listening:
            self._listening_from = 0
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take_audio(), name="input: audio")
            tasks.create_task(self._read_transcripts(), name="input: recogniser")
            if self._detector is not None:
                tasks.create_task(self._watch_detector(), name="input: watch")

    async def _take_audio(self) -> None:
        while True:
            while not self._intake:
                self._arrived.clear()
                await self._arrived.wait()
            item = self._intake.popleft()
            if callable(item):
                item()
                continue
            for start in range(0, len(item), self._piece_bytes):
                if start:
                    await asyncio.sleep(0)  # a minute of audio in one command must not hold the event loop
                await self._hear(item[start : start + self._piece_bytes])
            self._waiting_bytes -= len(item)
            if self._waiting_bytes < self._limit:
                self._room.set()

    async def _hear(self, pcm: bytes) -> None:
        self._recent.add(pcm)
        if self._listening_from is not None:
            self._pipe.put(pcm)
            await self._pipe.room()
        if self._detector is not None:
            for signal in await self._signals(self._detector, pcm):
                self._in_speech = signal.phase in ("speech", "resumed")
                if self._in_speech:
                    self._interim = ""  # a recogniser that tells no interims would not replace it
                self._listener.on_signal(signal)
        kept = self._recent.end - self._format.size(_KEPT_MS)
        if self._listening_from is not None:
            kept = min(kept, self._listening_from)
        elif self._in_speech:
            kept = min(kept, self._fresh_from)
        self._recent.forget(max(kept, self._recent.end - self._limit))

    async def _signals(self, detector: TurnDetector, pcm: bytes) -> list[TurnSignal]:
        converted = self._to_detector.take(pcm)
        try:
            self._asked_at = asyncio.get_running_loop().time()
            signals = list(await detector.push(converted, self._interim))
            self._asked_at = None
            for signal in signals:
                if not isinstance(signal, TurnSignal):
                    raise TypeError(f"it gave a {type(signal).__name__}")
            return [self._to_detector.place(signal) for signal in signals]
        except (Exception, asyncio.CancelledError) as error:
            if own_cancellation(error):
                raise
            raise VoiceBridgeError(fault_of("turn detector", error)) from error

    async def _watch_detector(self) -> None:
        """Give the detector up where it hangs. One timer for all its pushes: there are fifty a second."""
        clock = asyncio.get_running_loop().time
        while True:
            asked_at = self._asked_at
            await asyncio.sleep((clock() if asked_at is None else asked_at) + self._timeout_s - clock())
            if asked_at is not None and asked_at == self._asked_at:
                raise VoiceBridgeError(fault_of("turn detector", TimeoutError()))

    async def _read_transcripts(self) -> None:
        while True:
            try:
                await self._read_until_it_ends()
                raise RuntimeError("it stopped listening")
            except (Exception, asyncio.CancelledError) as error:
                self._pipe.clear()
                if own_cancellation(error):
                    raise
                self._failures += 1
                fault = fault_of("speech recogniser", error)
                if self._failures >= _FAILURES_ALLOWED:
                    raise VoiceBridgeError(fault) from error
            self._listener.on_stt_failure(fault)
            if self._listening_from is not None:
                again = self._recent.since(self._listening_from)
                self._stt_from = self._recent.end - len(again)
                self._pipe.put(again)

    def _rebased(self, signal: TurnSignal) -> TurnSignal:
        """A signal of the recogniser, which counts from the first sample that it was given."""
        if not self._stt_from:
            return signal
        return replace(signal, audio_ms=signal.audio_ms + self._format.ms(self._stt_from))

    async def _read_until_it_ends(self) -> None:
        async with asyncio.timeout(None) as deadline:
            async with closing(self._stt.listen(self._pipe.read(deadline, self._timeout_s))) as outputs:
                async for output in outputs:
                    if isinstance(output, Transcript):
                        self._failures = 0
                        self._interim = output.text
                        if output.final and output.mark is not None:
                            self._pipe.answered(output.mark)
                        self._listener.on_transcript(output)
                    elif isinstance(output, TurnSignal):
                        if self._detector is None:  # else that one finds the turns
                            self._listener.on_signal(self._rebased(output))
                    elif isinstance(output, Usage):
                        self._listener.on_stt_usage(output)
                    else:
                        raise TypeError(f"it gave a {type(output).__name__}")
