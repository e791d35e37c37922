"""Marks, captions and long audio, with a model that says how much it heard."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebridge.contract.config import SessionConfig, Transcription
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.stages import Mark, Transcript, Usage
from voicebridge_local.recogniser import Decoded, Hints, Recogniser
from voicebridge_local.utterance import RATE
from voicebridge_local.weights import Weights
from voicebridge_local.worker import Stop, Worker


class Counter:
    """Writes how many tenths of a second it was given."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, tuple[int, ...], Hints]] = []
        self.repeats = 0
        self.hold: threading.Event | None = None
        self.held = threading.Event()
        self.stopped = threading.Event()
        self.fault: Exception | None = None

    def transcribe(self, samples: NDArray[np.float32], draft: tuple[int, ...], stop: Stop, hints: Hints) -> Decoded:
        self.calls.append((len(samples), draft, hints))
        if self.fault:
            raise self.fault
        if self.hold is not None:
            stop.on_set(lambda: (self.stopped.set(), self.hold and self.hold.set()))
            self.held.set()
            self.hold.wait(10)
        if self.repeats:
            self.repeats -= 1
            return Decoded("again and again and", (7,) * 9, complete=False)
        tenths = round(len(samples) / RATE * 10)
        return Decoded(f"{tenths}", (tenths,))


@pytest.fixture
def counter() -> Counter:
    return Counter()


def stage(counter: Counter, *, interim: bool = False) -> Recogniser:
    return Recogniser(Weights("Counter", lambda: counter), Worker("counter"), interim=interim)


def tone(ms: int) -> bytes:
    time = np.arange(RATE * ms // 1000) / RATE
    return np.round(np.sin(2 * np.pi * 220 * time) * 6000).astype("<i2").tobytes()


def silence(ms: int) -> bytes:
    return bytes(RATE * ms // 1000 * 2)


async def _fed(pieces: Iterable[bytes | Mark]) -> AsyncIterator[bytes | Mark]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


def heard(recogniser: Recogniser, pieces: Iterable[bytes | Mark]) -> list[Transcript | Usage]:
    async def main() -> list[Transcript | Usage]:
        await recogniser.warm()
        outputs = [output async for output in recogniser.listen(_fed(pieces))]
        await recogniser.aclose()
        return outputs

    return asyncio.run(main())


def finals(outputs: Iterable[Any]) -> list[tuple[int | None, str]]:
    return [(output.mark, output.text) for output in outputs if isinstance(output, Transcript) and output.final]


def test_each_mark_has_its_text(counter: Counter) -> None:
    pieces = [silence(300), tone(700), silence(200), Mark(1), tone(800), silence(200), Mark(2, fresh=True)]
    outputs = heard(stage(counter), [*pieces, silence(200), tone(500), silence(100), Mark(3, fresh=True)])
    # 150 ms before the speech and 120 ms after it, where there are so many.
    assert finals(outputs) == [(1, "10"), (2, "20"), (3, "8")]


def test_silence_after_a_mark_costs_no_second_run(counter: Counter) -> None:
    pieces = [tone(700), silence(60), Mark(1), silence(140), Mark(2, fresh=True)]
    assert finals(heard(stage(counter), pieces)) == [(1, "8"), (2, "8")]
    assert len(counter.calls) == 1


def test_a_mark_too_soon_after_a_word_is_looked_at_again(counter: Counter) -> None:
    pieces = [tone(700), silence(20), Mark(1), silence(180), Mark(2, fresh=True)]
    assert finals(heard(stage(counter), pieces)) == [(1, "7"), (2, "8")]


def test_what_was_written_before_is_the_draft(counter: Counter) -> None:
    heard(stage(counter), [tone(700), silence(60), Mark(1), tone(500), Mark(2, fresh=True), tone(300), Mark(3)])
    assert [draft for _, draft, _ in counter.calls] == [(), (8,), ()]


def test_nothing_and_silence_have_no_text(counter: Counter) -> None:
    pieces = [Mark(1), silence(5000), Mark(2, fresh=True), Mark(3, fresh=True), b"\x00", Mark(4)]
    assert finals(heard(stage(counter), pieces)) == [(1, ""), (2, ""), (3, ""), (4, "")]
    assert counter.calls == []


def test_a_mark_that_nobody_wants_has_no_answer(counter: Counter) -> None:
    pieces = [tone(700), Mark(1, fresh=True, wanted=False), tone(400), Mark(2)]
    assert finals(heard(stage(counter), pieces)) == [(2, "4")]


def test_odd_pieces(counter: Counter) -> None:
    pcm = silence(200) + tone(700) + silence(200)
    pieces = [pcm[start : start + 333] for start in range(0, len(pcm), 333)]
    assert finals(heard(stage(counter), [*pieces, Mark(1)])) == [(1, "10")]


def test_usage_counts_every_second_once(counter: Counter) -> None:
    pieces = [tone(700), Mark(1), silence(300), Mark(2, fresh=True), tone(500), Mark(3, fresh=True)]
    outputs = heard(stage(counter), pieces)
    assert [output.units["audio_s"] for output in outputs if isinstance(output, Usage)] == [1.0, 0.5]
    first = next(at for at, output in enumerate(outputs) if isinstance(output, Usage))
    assert getattr(outputs[first + 1], "mark", None) == 2, "usage comes before what it was used for"


def test_captions_while_the_user_speaks(counter: Counter) -> None:
    async def main() -> list[str]:
        recogniser = stage(counter, interim=True)
        await recogniser.warm()
        captions: list[str] = []
        seen = asyncio.Semaphore(0)

        async def user() -> AsyncIterator[bytes | Mark]:
            for _ in range(3):
                yield tone(1000)
                await seen.acquire()

        async for output in recogniser.listen(user()):
            assert isinstance(output, Transcript)
            assert not output.final
            captions.append(output.text)
            seen.release()
        return captions

    assert asyncio.run(main()) == ["10", "20", "30"]


def test_a_mark_stops_a_caption_in_the_making(counter: Counter) -> None:
    async def main() -> list[Transcript | Usage]:
        recogniser = stage(counter, interim=True)
        await recogniser.warm()
        counter.hold = threading.Event()

        async def user() -> AsyncIterator[bytes | Mark]:
            yield tone(1000)
            await asyncio.to_thread(counter.held.wait, 10)
            yield Mark(1)

        return [output async for output in recogniser.listen(user())]

    outputs = asyncio.run(main())
    assert counter.stopped.is_set()
    assert finals(outputs) == [(1, "10")]
    assert len(outputs) == 1


def test_one_that_repeats_itself_tries_again_a_little_later(counter: Counter) -> None:
    counter.repeats = 1
    assert finals(heard(stage(counter), [tone(1000), silence(200), Mark(1)])) == [(1, "10")]
    first, second = counter.calls
    assert first[0] - second[0] == RATE * 80 // 1000
    counter.repeats = 2
    assert finals(heard(stage(counter), [tone(1000), silence(200), Mark(1)])) == [(1, "again and again and")]


def test_a_long_speech_is_cut_in_its_pauses(counter: Counter) -> None:
    sentence = tone(3600) + silence(400)
    outputs = heard(stage(counter), [sentence] * 15 + [Mark(1, fresh=True)])
    [(_, text)] = finals(outputs)
    parts = [int(part) for part in text.split()]
    assert len(parts) >= 3
    assert max(parts) <= 200
    assert sum(parts) == pytest.approx(15 * 40, abs=3 * len(parts))


def test_ten_minutes_are_never_held_at_once(counter: Counter) -> None:
    recogniser = stage(counter)
    largest = 0

    async def main() -> None:
        nonlocal largest
        await recogniser.warm()
        minute = silence(400) + tone(59_200) + silence(400)

        async def user() -> AsyncIterator[bytes | Mark]:
            for _ in range(10):
                for start in range(0, len(minute), 64_000):
                    yield minute[start : start + 64_000]
            yield Mark(1, fresh=True)

        [*_, last] = [output async for output in recogniser.listen(user())]
        assert isinstance(last, Transcript)
        assert sum(int(part) for part in last.text.split()) == pytest.approx(6_000, rel=0.02)
        largest = max(size for size, _, _ in counter.calls)

    asyncio.run(main())
    assert largest <= 20 * RATE


def test_ten_minutes_of_silence_cost_nothing(counter: Counter) -> None:
    outputs = heard(stage(counter, interim=True), [silence(1000)] * 600 + [tone(560), Mark(1, fresh=True)])
    assert finals(outputs) == [(1, "7")]
    assert len(counter.calls) <= 2


def test_a_model_that_fails_is_heard_of(counter: Counter) -> None:
    counter.fault = ValueError("bad weights")
    with pytest.raises(ValueError, match="bad weights"):
        heard(stage(counter), [tone(700), Mark(1)])
    with pytest.raises(ValueError, match="bad weights"):
        heard(stage(counter, interim=True), [*[tone(100)] * 10, Mark(1), Mark(2)])


def test_a_source_that_fails_is_heard_of(counter: Counter) -> None:
    async def broken() -> AsyncIterator[bytes | Mark]:
        yield tone(100)
        raise OSError("no more audio")

    async def main() -> None:
        async for _ in stage(counter).listen(broken()):
            pass

    with pytest.raises(OSError, match="no more audio"):
        asyncio.run(main())


def test_cancelled_it_leaves_no_task_and_stops_the_model(counter: Counter) -> None:
    async def main() -> set[str]:
        recogniser = stage(counter)
        await recogniser.warm()
        counter.hold = threading.Event()

        async def endless() -> AsyncIterator[bytes | Mark]:
            yield tone(700)
            yield Mark(1)
            await asyncio.Event().wait()

        async def listen() -> None:
            async for _ in recogniser.listen(endless()):
                pass

        task = asyncio.create_task(listen())
        await asyncio.to_thread(counter.held.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        current = asyncio.current_task()
        return {other.get_name() for other in asyncio.all_tasks() if other is not current}

    left = asyncio.run(main())
    assert not left
    assert counter.stopped.wait(10)


def test_hints_reach_the_model(counter: Counter) -> None:
    recogniser = stage(counter)
    recogniser.configure(SessionConfig(language="pt-BR", transcription=Transcription(keywords=("Anna",))))
    heard(recogniser, [tone(700), Mark(1)])
    assert counter.calls[0][2] == Hints("pt", ("Anna",))


def test_a_language_that_it_does_not_know(counter: Counter) -> None:
    english = Recogniser(Weights("Counter", lambda: counter), Worker("w"), interim=False, languages=frozenset({"en"}))
    english.configure(SessionConfig(language="en-GB"))
    english.configure(SessionConfig())
    with pytest.raises(ConfigError, match="understands only en"):
        english.configure(SessionConfig(language="de"))
