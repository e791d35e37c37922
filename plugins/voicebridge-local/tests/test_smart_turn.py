"""Pauses that a network judges: a finished sentence ends at once, anything else after the longest silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.config import SessionConfig, TurnPolicy
from voicebridge.contract.errors import MissingExtra
from voicebridge_local.log_mel import BANDS, log_mel
from voicebridge_local.smart_turn import SmartTurn, detector

PIECE_MS = 20
VOICE = (8_000 * np.sin(np.arange(16_000) / 5)).astype("<i2").tobytes()
Judge = Callable[[NDArray[np.float32]], float]


async def told(judge: Judge, script: list[tuple[int, bool]], *, silence_ms: int | None = None) -> list[tuple[str, int]]:
    """What is told and after how many ms of audio, of stretches of ms and whether they are loud."""
    smart = SmartTurn(EnergyDetector(), judge)
    assert smart.traits.semantic
    smart.configure(SessionConfig(turns=TurnPolicy(silence_ms=silence_ms)))
    await smart.warm()
    found: list[tuple[str, int]] = []
    now_ms = 0
    for length_ms, loud in script:
        for _ in range(length_ms // PIECE_MS):
            size = smart.traits.format.size(PIECE_MS)
            now_ms += PIECE_MS
            found += [(one.phase, now_ms) for one in await smart.push(VOICE[:size] if loud else bytes(size))]
            if smart._verdict is not None:  # in the time of audio, a verdict takes one piece
                await asyncio.wait({smart._verdict})
    await smart.aclose()
    return found


async def test_a_finished_sentence_ends_at_the_first_verdict() -> None:
    assert await told(lambda _: 0.9, [(1000, True), (1000, False)]) == [
        ("speech", 100),
        ("eager_end", 1060),
        ("end", 1220),
    ]


async def test_an_unfinished_one_ends_with_the_longest_silence() -> None:
    asked: list[int] = []

    def judge(samples: NDArray[np.float32]) -> float:
        asked.append(len(samples))
        return 0.1

    found = await told(judge, [(1000, True), (2000, False)])
    assert found[-1] == ("end", 2500)
    assert len(asked) == 2
    assert (await told(judge, [(1000, True), (2000, False)], silence_ms=800))[-1] == ("end", 1800)


async def test_who_goes_on_is_judged_anew() -> None:
    verdicts = iter([0.2, 0.3, 0.8])
    found = await told(lambda _: next(verdicts), [(1000, True), (700, False), (500, True), (600, False)])
    assert [phase for phase, _ in found] == ["speech", "eager_end", "resumed", "eager_end", "end"]


async def test_after_an_end_by_verdict_speech_is_another_turn() -> None:
    found = await told(lambda _: 0.9, [(1000, True), (500, False), (500, True), (500, False)])
    assert [phase for phase, _ in found] == ["speech", "eager_end", "end"] * 2


async def test_the_other_detectors_end_is_no_second_one() -> None:
    found = await told(lambda _: 0.9, [(1000, True), (3000, False), (500, True)])
    assert [phase for phase, _ in found] == ["speech", "eager_end", "end", "speech"]


async def test_a_judge_that_fails_is_told() -> None:
    def judge(_: Any) -> float:
        raise ValueError("no such picture")

    with pytest.raises(ValueError, match="no such picture"):
        await told(judge, [(1000, True), (1000, False)])


def test_log_mel_is_the_shape_that_the_network_reads() -> None:
    picture = log_mel((np.sin(np.arange(8 * 16_000) / 3) * 0.1).astype(np.float32))
    assert picture.shape == (BANDS, 800)
    assert picture.dtype == np.float32
    # A tone lights one band: 849 Hz lies at 12.7 of 15 linear mels, in the scale's band 26 of 80.
    assert abs(int(picture.mean(axis=1).argmax()) - 22) <= 5
    assert picture.max() - picture.min() == pytest.approx(2.0)  # 80 dB in units of 40


@pytest.mark.skipif(find_spec("pipecat") is not None, reason="its weights are installed")
async def test_without_its_weights_it_says_what_brings_them() -> None:
    with pytest.raises(MissingExtra, match="smart-turn"):
        await detector().warm()


@pytest.mark.skipif(find_spec("pipecat") is None, reason="its weights come with the extra smart-turn")
async def test_the_network_itself_tells_a_sentence_from_half_of_it() -> None:
    smart = detector()
    await smart.warm()
    assert 0 <= smart._judge(np.zeros(16_000, np.float32)) <= 1
