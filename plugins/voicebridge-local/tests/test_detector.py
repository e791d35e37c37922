"""The detectors on recordings of people, and audio cut in any way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebridge.contract.config import SessionConfig, TurnPolicy
from voicebridge.contract.stages import TurnSignal
from voicebridge_local import silero, webrtc
from voicebridge_local.detector import Detector
from voicebridge_local.endpoint import Policy

RATE = 16_000
MAKERS = [silero.detector, webrtc.detector]


def signals(detector: Detector, pcm: bytes, piece: int = 640) -> list[TurnSignal]:
    """All signals of some audio, pushed in pieces of so many bytes."""

    async def push() -> list[TurnSignal]:
        await detector.warm()
        told: list[TurnSignal] = []
        for start in range(0, len(pcm), piece):
            told += await detector.push(pcm[start : start + piece])
        await detector.aclose()
        return told

    return asyncio.run(push())


def configured(make: Callable[[], Detector], **turns: float) -> Detector:
    detector = make()
    detector.configure(SessionConfig(turns=TurnPolicy.model_validate(turns)))
    return detector


def turns_of(told: list[TurnSignal]) -> list[tuple[float, float]]:
    """Where each turn began and ended."""
    begun = [signal.audio_ms for signal in told if signal.phase == "speech"]
    ended = [signal.audio_ms for signal in told if signal.phase == "end"]
    return list(zip(begun, ended, strict=False))


def pauses(samples: NDArray[np.int16]) -> NDArray[np.bool_]:
    """For each 10 ms, whether it is quiet, by a look at the whole recording."""
    levels = np.sqrt(np.mean(samples[: len(samples) // 160 * 160].reshape(-1, 160).astype(float) ** 2, axis=1))
    quiet: NDArray[np.bool_] = levels < 0.05 * np.percentile(levels, 99)
    return quiet


def test_silero_finds_six_sentences_to_twenty_milliseconds(beckett: NDArray[np.int16]) -> None:
    pcm = np.concatenate([beckett, np.zeros(RATE, "<i2")])
    turns = turns_of(signals(silero.detector(), pcm.tobytes()))
    assert len(turns) == 6
    quiet = pauses(pcm)
    for begin, end in turns:
        assert end - begin > 400
        first, last = round(begin / 10), round(end / 10)
        assert not quiet[first : first + 5].all(), "somebody speaks where it begins"
        assert quiet[first - 8 : first].any(), "and did not before"
        assert not quiet[last - 4 : last].all(), "somebody speaks until it ends"
        assert quiet[last : last + 8].any(), "and not after"


def test_webrtc_finds_them_roughly(beckett: NDArray[np.int16]) -> None:
    pcm = np.concatenate([beckett, np.zeros(RATE, "<i2")])
    assert 5 <= len(turns_of(signals(webrtc.detector(), pcm.tobytes()))) <= 8


def test_more_silence_makes_fewer_turns(two_cities: NDArray[np.int16]) -> None:
    pcm = two_cities.tobytes()
    counts = [len(turns_of(signals(configured(silero.detector, silence_ms=ms), pcm))) for ms in (200, 500, 1200)]
    assert counts[0] > counts[1] > counts[2] >= 1


@pytest.mark.parametrize("make", MAKERS)
def test_how_the_audio_is_cut_changes_nothing(make: Callable[[], Detector], beckett: NDArray[np.int16]) -> None:
    pcm = beckett[: 4 * RATE].tobytes()
    whole = signals(make(), pcm, len(pcm))
    assert whole
    for piece in (1, 7, 319, 640, 1024, 33_333):
        assert signals(make(), pcm, piece) == whole


@pytest.mark.parametrize("make", MAKERS)
def test_silence_is_nobody(make: Callable[[], Detector]) -> None:
    assert signals(make(), bytes(60 * 2 * RATE), 64_000) == []


@pytest.mark.parametrize("make", MAKERS)
def test_nothing_is_kept_of_what_was_heard(make: Callable[[], Detector]) -> None:
    detector = make()
    signals(detector, bytes(60 * 2 * RATE + 1), 64_000)
    assert len(detector._pcm) < 2_048


def test_silero_takes_noise_for_nobody() -> None:
    noise = np.random.default_rng(5).normal(0, 300, 10 * RATE).astype("<i2")
    assert signals(silero.detector(), noise.tobytes()) == []


def test_sensitivity(two_cities: NDArray[np.int16]) -> None:
    """So faint a voice is heard only by a detector that is told to listen closely."""
    speech = two_cities[int(0.4 * RATE) : int(3.4 * RATE)]
    faint = np.round(speech * 0.05) + np.random.default_rng(2).normal(0, 100, len(speech))
    pcm = faint.astype("<i2").tobytes()
    assert signals(configured(silero.detector, sensitivity=0.0), pcm) == []
    assert signals(configured(silero.detector, sensitivity=1.0), pcm)


def test_silence_of_the_default() -> None:
    detector = silero.detector()
    detector.configure(SessionConfig())
    assert detector._endpointer.policy.silence_ms == 200


def test_others_get_a_turn_while_much_is_pushed() -> None:
    """A minute pushed at once must not hold the event loop for as long as it takes."""

    async def count() -> int:
        detector = silero.detector()
        await detector.warm()
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticker = asyncio.create_task(tick())
        await detector.push(bytes(60 * 2 * RATE))
        ticker.cancel()
        return ticks

    assert asyncio.run(count()) > 100


class Asked:
    """A model that takes any sound for speech, and counts what it hears."""

    frame = 512

    def __init__(self) -> None:
        self.heard: list[bool] = []

    def load(self) -> None: ...

    def probability(self, pcm: bytes) -> float:
        self.heard.append(any(pcm))
        return 1.0 if any(pcm) else 0.0


def test_in_silence_the_model_is_not_asked_and_hears_the_last_of_it_when_sound_comes() -> None:
    model = Asked()
    tone = (8_000 * np.sin(np.arange(RATE) / 5)).astype("<i2").tobytes()
    detector = Detector(model, Policy())
    told = signals(detector, bytes(2 * RATE) + tone)
    assert [signal.phase for signal in told] == ["speech"]
    assert told[0].audio_ms == pytest.approx(1000, abs=20)
    assert model.heard[:4] == [False] * 4
    assert len(model.heard) == pytest.approx(RATE / 512 + 4, abs=2), "of a second of silence no more than its end"
    model.heard.clear()
    signals(detector, bytes(2 * RATE))
    assert len(model.heard) < 12, "in a turn it is asked until the end is believed, and then no more"
