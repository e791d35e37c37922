"""The detector's frames end where the microphone's do, whatever is resampled on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from voicebridge.audio.converter import Converter
from voicebridge.cascade.detector_feed import DetectorFeed
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.stages import TurnSignal

SPOKEN_MS, SILENCE_MS = 400, 800
RATES = (8_000, 16_000, 24_000, 48_000)


def noticed(rate: int, door: int, detector_rate: int, piece_ms: int = 20) -> list[tuple[int, TurnSignal]]:
    """Signals, each with the ms of the microphone's audio that had been heard by then."""
    microphone, session = AudioFormat(rate=rate), AudioFormat(rate=door)
    detector = EnergyDetector(rate=detector_rate)
    at_door, feed = Converter(microphone, session), DetectorFeed(session, detector.traits.format)
    loud = (np.sin(np.arange(SPOKEN_MS * rate // 1000) / 5) * 8000).astype("<i2").tobytes()
    audio = bytes(microphone.size(200)) + loud + bytes(microphone.size(SILENCE_MS))

    async def hear() -> list[tuple[int, TurnSignal]]:
        found: list[tuple[int, TurnSignal]] = []
        size = microphone.size(piece_ms)
        for number, start in enumerate(range(0, len(audio), size), 1):
            pcm = at_door.convert(audio[start : start + size])
            signals: Sequence[TurnSignal] = await detector.push(feed.take(pcm))
            found += [(number * piece_ms, feed.place(signal)) for signal in signals]
        return found

    return asyncio.run(hear())


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("door", RATES)
@pytest.mark.parametrize("detector_rate", [16_000, 24_000])
def test_no_frame_waits_for_the_next_of_the_microphone(rate: int, door: int, detector_rate: int) -> None:
    speech, eager, end = noticed(rate, door, detector_rate)
    held_back = 0 if rate == door == detector_rate else 20  # what rings on past the end may fill one frame more
    assert speech[1].phase == "speech"
    assert eager[1].phase == "eager_end"
    assert end[1].phase == "end"
    assert speech[1].audio_ms == pytest.approx(200, abs=20)
    for at, signal, waited in ((*eager, 60), (*end, 500)):
        assert at == round((signal.audio_ms + waited) / 20) * 20, "as soon as the silence was long enough"
        assert 600 <= signal.audio_ms <= 600 + held_back


def test_without_resampling_nothing_is_put_before() -> None:
    feed = DetectorFeed(AudioFormat(rate=16_000), AudioFormat(rate=16_000))
    piece = b"\1\0" * 320
    assert feed.take(piece) is piece or feed.take(piece) == piece
    signal = TurnSignal("end", 40.0)
    assert feed.place(signal) is signal


def test_what_comes_in_other_lengths_is_only_put_in_step_once() -> None:
    feed = DetectorFeed(AudioFormat(rate=16_000), AudioFormat(rate=16_000))
    sizes = [len(feed.take(bytes(size))) for size in (2, 100, 640, 0, 30)]
    assert sizes == [320, 100, 640, 0, 30]
    assert feed.place(TurnSignal("speech", 100.0)).audio_ms == pytest.approx(100 - 318 / 32)
    assert feed.place(TurnSignal("speech", 1.0)).audio_ms == 0
