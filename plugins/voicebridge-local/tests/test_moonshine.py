"""Moonshine on recordings of people."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebridge.contract.stages import Mark, Transcript
from voicebridge_local import moonshine
from voicebridge_local.moonshine import Moonshine
from voicebridge_local.recogniser import Hints
from voicebridge_local.worker import Stop, Stopped

RATE = 16_000
NO_HINTS = Hints()


@pytest.fixture(scope="module")
def model() -> Moonshine:
    return Moonshine.load()


def numbers(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    return samples.astype(np.float32) / np.float32(32768)


def words(text: str) -> list[str]:
    return "".join(char for char in text.lower() if char.isalpha() or char.isspace()).split()


def test_a_sentence(model: Moonshine, best_of_times: NDArray[np.int16]) -> None:
    found = model.transcribe(numbers(best_of_times[: int(4.9 * RATE)]), (), Stop(), NO_HINTS)
    assert found.text == "It was the best of times, it was the worst of times."
    assert found.complete


def test_a_draft_saves_steps(model: Moonshine, best_of_times: NDArray[np.int16]) -> None:
    samples = numbers(best_of_times[: int(4.9 * RATE)])
    plain = model.transcribe(samples, (), Stop(), NO_HINTS)
    steps: list[int] = []
    step = model._step

    def counted(*args: object, **kwargs: object) -> object:
        steps.append(1)
        return step(*args, **kwargs)

    model._step = counted
    try:
        helped = model.transcribe(samples, plain.tokens, Stop(), NO_HINTS)
        assert helped == plain
        assert len(steps) == 1
        misled = model.transcribe(samples, (*plain.tokens[:4], 999, 1000, 1001), Stop(), NO_HINTS)
        assert words(misled.text) == words(plain.text)
    finally:
        model._step = step


@pytest.mark.parametrize("count", [0, 1, 100, 1_599, 1_600, 4_000])
def test_very_little_audio(model: Moonshine, count: int) -> None:
    found = model.transcribe(np.zeros(count, np.float32), (), Stop(), NO_HINTS)
    assert len(found.text) < 40


def test_told_to_stop_it_stops(model: Moonshine, two_cities: NDArray[np.int16]) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        model.transcribe(numbers(two_cities[: 20 * RATE]), (), stop, NO_HINTS)
    stop = Stop()
    timer = threading.Timer(0.02, stop.set)
    timer.start()
    with pytest.raises(Stopped):
        model.transcribe(numbers(two_cities[: 25 * RATE]), (), stop, NO_HINTS)
    timer.join()


def test_two_threads_at_once(model: Moonshine, two_cities: NDArray[np.int16]) -> None:
    """The library of the wheel mixes such results up."""
    parts = [numbers(two_cities[start * RATE : (start + 5) * RATE]) for start in (0, 10, 20, 30)]
    alone = [model.transcribe(part, (), Stop(), NO_HINTS).text for part in parts]
    together: dict[int, str] = {}

    def run(at: int) -> None:
        together[at] = model.transcribe(parts[at], (), Stop(), NO_HINTS).text

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[at] for at in range(len(parts))] == alone


def test_the_stage_on_a_recording(beckett: NDArray[np.int16]) -> None:
    """Six sentences, each an utterance, with a mark while the silence lasts and one at its end."""
    ends = [1.30, 2.90, 4.20, 5.60, 7.50, 9.05]

    async def audio() -> AsyncIterator[bytes | Mark]:
        begin = 0
        for number, end in enumerate(ends):
            at = int(end * RATE)
            yield beckett[begin:at].tobytes()
            yield Mark(2 * number)
            yield beckett[at : at + RATE // 5].tobytes()
            yield Mark(2 * number + 1, fresh=True)
            begin = at + RATE // 5

    async def main() -> dict[int, str]:
        stage = moonshine.recogniser()
        await stage.warm()
        heard = [one async for one in stage.listen(audio()) if isinstance(one, Transcript) and one.final]
        return {one.mark: one.text for one in heard if one.mark is not None}

    texts = asyncio.run(main())
    assert sorted(texts) == list(range(12))
    whole = " ".join(texts[mark] for mark in range(1, 12, 2))
    expected = words("Ever tried. Ever failed. No matter. Try again. Fail again. Fail better.")
    assert sum(a == b for a, b in zip(words(whole), expected, strict=False)) >= 10
