"""The listening half: which audio reaches the detector and the recogniser, and what happens when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from voicebridge.cascade.energy import EnergyDetector
from voicebridge.cascade.input_pipeline import InputPipeline
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import (
    PCM_16K,
    DetectorTraits,
    Mark,
    SpeechToTextTraits,
    Transcript,
    TurnDetector,
    TurnSignal,
    Usage,
)
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedRecogniser


def numbered(ms: int, first_ms: int = 0, format: AudioFormat = PCM_16K) -> bytes:
    """Audio of which every millisecond says which one it is."""
    frames = format.rate // 1000
    return b"".join(((first_ms + number) % 60_000).to_bytes(2, "little") * frames for number in range(ms))


class Notes:
    """Who listens writes it down."""

    def __init__(self) -> None:
        self.signals: list[TurnSignal] = []
        self.transcripts: list[Transcript] = []
        self.usages: list[Usage] = []
        self.faults: list[Fault] = []
        self.react: Callable[[TurnSignal], None] = lambda signal: None

    def on_signal(self, signal: TurnSignal) -> None:
        self.signals.append(signal)
        self.react(signal)

    def on_transcript(self, heard: Transcript) -> None:
        self.transcripts.append(heard)

    def on_stt_usage(self, usage: Usage) -> None:
        self.usages.append(usage)

    def on_stt_failure(self, fault: Fault) -> None:
        self.faults.append(fault)


class Recogniser(ScriptedRecogniser):
    """Keeps what it heard, one list for each stream. Fails at the pieces of these numbers."""

    def __init__(self, *fails_at: int, traits: SpeechToTextTraits | None = None) -> None:
        super().__init__(["x"], traits=traits)
        self.streams: list[list[bytes | Mark]] = []
        self.fails_at = list(fails_at)

    async def listen(self, audio: Any) -> AsyncIterator[Any]:
        fails_at = self.fails_at.pop(0) if self.fails_at else -1
        self.streams.append(heard := [])
        async for piece in audio:
            heard.append(piece)
            if len(heard) == fails_at:
                raise ConnectionError("gone")
            if isinstance(piece, Mark) and piece.wanted:
                yield Transcript("text", final=True, mark=piece.n)

    @property
    def audio(self) -> bytes:
        return b"".join(piece for piece in self.streams[-1] if isinstance(piece, bytes))


class Detector(EnergyDetector):
    """Hears nothing in anything, but writes it down; signals when it is told to."""

    def __init__(self, format: AudioFormat = PCM_16K) -> None:
        super().__init__()
        self.traits = DetectorTraits(format=format)
        self.pieces: list[bytes] = []
        self.texts: list[str] = []
        self.next: list[TurnSignal] = []

    async def push(self, pcm: bytes, text: str = "") -> Sequence[TurnSignal]:
        self.pieces.append(pcm)
        self.texts.append(text)
        signals, self.next = self.next, []
        return signals


class Stage:
    def __init__(
        self, stt: Any = None, detector: TurnDetector | None = None, *, own: bool = False, timeout_s: float = 5
    ) -> None:
        self.notes = Notes()
        self.stt = stt or Recogniser()
        self.detector = None if own else detector or Detector()
        self.input = InputPipeline(self.stt, self.detector, PCM_16K, self.notes, timeout_s=timeout_s)


@asynccontextmanager
async def staged(*args: Any, **options: Any) -> AsyncIterator[Any]:
    stage = Stage(*args, **options)
    running = asyncio.create_task(stage.input.run())
    await asyncio.sleep(0.1)
    yield stage
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled() or not running.exception()


async def feed(stage: Stage, pcm: bytes) -> None:
    stage.input.feed(pcm)
    await asyncio.sleep(0.1)


# Which audio is heard


def test_between_turns_only_the_detector_listens() -> None:
    async def main() -> None:
        async with staged() as stage:
            await feed(stage, numbered(1000))
            assert b"".join(stage.detector.pieces) == numbered(1000)
            assert stage.stt.audio == b""
            assert stage.input.heard_ms == 1000

    run_in_virtual_time(main())


@pytest.mark.parametrize(("exact", "begins_ms"), [(False, 650), (True, 800)])
def test_the_recogniser_hears_the_turn_and_a_little_before(exact: bool, begins_ms: int) -> None:
    async def main() -> None:
        async with staged() as stage:
            await feed(stage, numbered(1000))
            stage.input.listen(800, exact=exact)
            await feed(stage, numbered(500, 1000))
            assert stage.stt.audio == numbered(1500 - begins_ms, begins_ms)

    run_in_virtual_time(main())


def test_at_the_very_beginning_there_is_nothing_before() -> None:
    async def main() -> None:
        async with staged() as stage:
            await feed(stage, numbered(200))
            stage.input.listen(100)
            await feed(stage, b"")
            assert stage.stt.audio == numbered(200)

    run_in_virtual_time(main())


def test_what_comes_before_reaches_never_into_the_utterance_before() -> None:
    async def main() -> None:
        async with staged() as stage:
            stage.input.listen(0)
            await feed(stage, numbered(1000))
            stage.input.mark(Mark(1, fresh=True))
            await feed(stage, numbered(60, 1000))
            stage.input.listen(1040)
            await feed(stage, numbered(40, 1060))
            assert stage.stt.streams[0][-4:] == [
                Mark(1, fresh=True),
                numbered(60, 1000),
                numbered(20, 1060),
                numbered(20, 1080),
            ]

    run_in_virtual_time(main())


def test_listening_twice_changes_nothing() -> None:
    async def main() -> None:
        async with staged() as stage:
            await feed(stage, numbered(1000))
            stage.input.listen(900, exact=True)
            stage.input.listen(100, exact=True)
            await feed(stage, numbered(20, 1000))
            assert stage.stt.audio == numbered(120, 900)

    run_in_virtual_time(main())


def test_a_mark_on_a_guess_does_not_end_the_utterance() -> None:
    async def main() -> None:
        async with staged() as stage:
            stage.input.listen(0)
            await feed(stage, numbered(40))
            stage.input.mark(Mark(1))
            await feed(stage, numbered(40, 40))
            stage.input.mark(Mark(2, fresh=True))
            await feed(stage, numbered(40, 80))
            assert stage.stt.audio == numbered(80)
            assert [transcript.mark for transcript in stage.notes.transcripts] == [1, 2]

    run_in_virtual_time(main())


def test_a_signal_is_acted_upon_where_it_happened_however_long_the_piece() -> None:
    async def main() -> None:
        async with staged() as stage:
            stage.notes.react = lambda signal: stage.input.listen(stage.input.heard_ms, exact=True)
            stage.input.feed(numbered(1000))
            for _ in range(10):
                await asyncio.sleep(0)
            stage.detector.next = [TurnSignal("speech", 0)]
            heard = len(stage.detector.pieces)
            await feed(stage, b"")
            assert stage.stt.audio == numbered(1000 - 20 * (heard + 1), 20 * (heard + 1))

    run_in_virtual_time(main())


def test_a_detector_that_wants_another_rate_gets_it() -> None:
    async def main() -> None:
        async with staged(detector=Detector(AudioFormat(rate=8000))) as stage:
            await feed(stage, bytes(PCM_16K.size(1000)))
            assert sum(map(len, stage.detector.pieces)) == pytest.approx(16_000, abs=400)

    run_in_virtual_time(main())


def test_the_detector_reads_along() -> None:
    async def main() -> None:
        class Live(Recogniser):
            async def listen(self, audio: Any) -> AsyncIterator[Any]:
                async for piece in audio:
                    if piece:
                        yield Transcript("so far")

        async with staged(Live()) as stage:
            stage.input.listen(0)
            await feed(stage, numbered(20))
            await feed(stage, numbered(20))
            stage.input.listen(40)
            await feed(stage, numbered(20))
            assert stage.detector.texts == ["", "so far", ""]

    run_in_virtual_time(main())


def test_a_recogniser_that_finds_turns_itself_always_listens() -> None:
    async def main() -> None:
        async with staged(own=True) as stage:
            await feed(stage, numbered(40))
            stage.input.listen(20)
            stage.input.mark(Mark(1, fresh=True))
            await feed(stage, numbered(40, 40))
            assert stage.stt.audio == numbered(80)

    run_in_virtual_time(main())


# How much is kept


def test_only_the_latest_audio_is_kept() -> None:
    async def main() -> None:
        async with staged() as stage:
            for second in range(60):
                await feed(stage, numbered(1000, 1000 * second))
            stage.input.listen(0)
            await feed(stage, b"")
            assert 2000 <= PCM_16K.ms(len(stage.stt.audio)) <= 3100
            assert numbered(60_000).endswith(stage.stt.audio)

    run_in_virtual_time(main())


def test_speech_that_goes_on_after_its_turn_was_cut_is_kept() -> None:
    async def main() -> None:
        async with staged() as stage:
            stage.input.listen(0)
            stage.detector.next = [TurnSignal("speech", 0)]
            await feed(stage, numbered(1000))
            stage.input.mark(Mark(1, fresh=True))
            for second in range(1, 20):
                await feed(stage, numbered(1000, 1000 * second))
            stage.input.listen(1000)
            await feed(stage, b"")
            assert stage.stt.audio == numbered(20_000)

    run_in_virtual_time(main())


# Room, and what follows the audio


def test_acts_come_after_the_audio_before_them() -> None:
    async def main() -> None:
        async with staged() as stage:
            at: list[float] = []
            stage.input.feed(numbered(500))
            stage.input.after_audio(lambda: at.append(stage.input.heard_ms))
            stage.input.feed(numbered(500))
            stage.input.after_audio(lambda: at.append(stage.input.heard_ms))
            await asyncio.sleep(1)
            stage.input.after_audio(lambda: at.append(stage.input.heard_ms))
            await asyncio.sleep(1)
            assert at == [500, 1000, 1000]

    run_in_virtual_time(main())


async def has_room(stage: Stage) -> bool:
    try:
        async with asyncio.timeout(1):
            await stage.input.room()
    except TimeoutError:
        return False
    return True


def test_thirty_seconds_may_wait() -> None:
    async def main() -> None:
        stage = Stage()
        stage.input.feed(bytes(PCM_16K.size(29_990)))
        assert await has_room(stage)
        stage.input.feed(bytes(PCM_16K.size(20)))
        assert not await has_room(stage)
        running = asyncio.create_task(stage.input.run())
        assert await has_room(stage)
        running.cancel()

    run_in_virtual_time(main())


def test_after_the_close_nobody_waits_and_nothing_is_heard() -> None:
    async def main() -> None:
        stage = Stage()
        stage.input.feed(bytes(PCM_16K.size(31_000)))
        stage.input.after_audio(lambda: pytest.fail("it is over"))
        stage.input.close()
        assert await has_room(stage)
        running = asyncio.create_task(stage.input.run())
        await asyncio.sleep(1)
        assert stage.input.heard_ms == 0
        running.cancel()

    run_in_virtual_time(main())


# Failures


def test_a_recogniser_that_fails_hears_the_open_turn_again() -> None:
    async def main() -> None:
        async with staged(Recogniser(4)) as stage:
            stage.input.listen(0)
            await feed(stage, numbered(200))
            assert [fault.message for fault in stage.notes.faults] == [
                "The speech recogniser failed with ConnectionError: gone"
            ]
            assert len(stage.stt.streams) == 2
            assert stage.stt.audio == numbered(200)

    run_in_virtual_time(main())


def test_one_that_fails_between_turns_hears_only_the_next() -> None:
    async def main() -> None:
        async with staged(Recogniser(3)) as stage:
            stage.input.listen(0)
            await feed(stage, numbered(20))
            stage.input.mark(Mark(1, fresh=True))
            await feed(stage, numbered(500, 20))
            assert len(stage.notes.faults) == 1
            await feed(stage, numbered(500, 520))
            stage.input.listen(1000, exact=True)
            await feed(stage, numbered(40, 1020))
            assert stage.stt.audio == numbered(60, 1000)

    run_in_virtual_time(main())


async def failure(stage: Stage) -> Fault:
    with pytest.raises(ExceptionGroup) as raised:
        await stage.input.run()
    error = raised.value.exceptions[0]
    assert isinstance(error, VoiceBridgeError)
    return error.fault


def test_the_third_failure_in_a_row_is_the_last() -> None:
    async def main() -> None:
        stage = Stage(Recogniser(1, 1, 1))
        stage.input.listen(0)
        stage.input.feed(numbered(200))
        assert (await failure(stage)).message == "The speech recogniser failed with ConnectionError: gone"
        assert len(stage.notes.faults) == 2

    run_in_virtual_time(main())


def test_a_transcript_between_them_begins_the_count_again() -> None:
    async def main() -> None:
        class AnswersOnce(Recogniser):
            async def listen(self, audio: Any) -> AsyncIterator[Any]:
                async for piece in audio:
                    if isinstance(piece, Mark):
                        yield Transcript("text", final=True, mark=piece.n)
                        raise ConnectionError("gone")

        async with staged(AnswersOnce()) as stage:
            for n in range(1, 7):
                stage.input.mark(Mark(n, fresh=True))
                await feed(stage, numbered(20))
            assert len(stage.notes.transcripts) == 6
            assert len(stage.notes.faults) == 6

    run_in_virtual_time(main())


def test_a_recogniser_that_stops_by_itself_has_failed() -> None:
    async def main() -> None:
        class Short(Recogniser):
            async def listen(self, audio: Any) -> AsyncIterator[Any]:
                return
                yield

        assert "it stopped listening" in (await failure(Stage(Short()))).message

    run_in_virtual_time(main())


def test_a_detector_that_raises_is_the_end() -> None:
    async def main() -> None:
        stage = Stage()
        assert stage.detector

        async def push(pcm: bytes, text: str = "") -> Sequence[TurnSignal]:
            raise ValueError("boom")

        stage.detector.push = push  # type: ignore[method-assign]  # the fault under test
        stage.input.feed(numbered(20))
        assert (await failure(stage)).message == "The turn detector failed with ValueError: boom"

    run_in_virtual_time(main())


def test_usage_and_signals_of_the_recogniser_are_passed_on() -> None:
    async def main() -> None:
        class Chatty(Recogniser):
            async def listen(self, audio: Any) -> AsyncIterator[Any]:
                async for _ in audio:
                    yield Usage({"audio_s": 1})
                    yield TurnSignal("speech", 5)

        async with staged(Chatty(), own=True) as stage:
            await feed(stage, numbered(20))
            assert stage.notes.usages == [Usage({"audio_s": 1})]
            assert stage.notes.signals == [TurnSignal("speech", 5)]

    run_in_virtual_time(main())
