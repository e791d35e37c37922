"""Turn detection by loudness."""

from __future__ import annotations

import numpy as np
import pytest

from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.config import SessionConfig, TurnPolicy


def noise(ms: int, db: float) -> bytes:
    rng = np.random.default_rng(1)
    return (rng.standard_normal(16 * ms) * 32768 * 10 ** (db / 20)).astype("<i2").tobytes()


@pytest.mark.parametrize("piece", [2, 320, 642, 10_000])
async def test_signals_and_where_they_lie_do_not_depend_on_the_pieces(piece: int) -> None:
    detector = EnergyDetector()
    detector.configure(SessionConfig(turns=TurnPolicy(silence_ms=300)))
    pcm = noise(400, -70) + noise(600, -20) + noise(160, -70) + noise(400, -20) + noise(500, -70)
    signals = []
    for start in range(0, len(pcm), piece):
        signals += await detector.push(pcm[start : start + piece])
    assert [(s.phase, s.audio_ms) for s in signals] == [
        ("speech", 400),
        ("eager_end", 1000),
        ("resumed", 1160),
        ("eager_end", 1560),
        ("end", 1560),
    ]


@pytest.mark.parametrize(("sensitivity", "heard"), [(0.0, False), (0.5, False), (1.0, True)])
async def test_sensitivity_moves_the_threshold(sensitivity: float, heard: bool) -> None:
    detector = EnergyDetector()
    detector.configure(SessionConfig(turns=TurnPolicy(sensitivity=sensitivity)))
    assert bool(await detector.push(noise(500, -50))) is heard


async def test_digital_silence_is_silence() -> None:
    assert await EnergyDetector().push(b"\0\0" * 160_000) == []


async def test_places_are_in_milliseconds_at_any_rate() -> None:
    detector = EnergyDetector(rate=8_000)
    assert detector.traits.format.rate == 8_000
    halved = noise(400, -70) + noise(600, -20) + noise(800, -70)
    signals = await detector.push(np.frombuffer(halved, "<i2")[::2].tobytes())
    assert [(s.phase, s.audio_ms) for s in signals if s.phase != "eager_end"] == [("speech", 400), ("end", 1000)]
