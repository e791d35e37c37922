"""Silence around clauses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from voicebridge_local.sound import trimmed

RATE = 1_000


def around(lead: int, sound: int, trail: int) -> NDArray[np.float32]:
    """So many milliseconds of silence, sound and silence."""
    return np.concatenate([np.zeros(lead), np.full(sound, 0.5), np.zeros(trail)]).astype(np.float32)


@pytest.mark.parametrize(("lead", "trail"), [(0, 0), (5, 5), (50, 20), (500, 500)])
def test_no_more_silence_than_asked_for(lead: int, trail: int) -> None:
    kept = trimmed(around(100, 200, 300), RATE, lead_ms=lead, trail_ms=trail)
    assert len(kept) == min(lead, 100) + 200 + min(trail, 300)


def test_a_cut_does_not_click() -> None:
    kept = trimmed(around(100, 200, 300), RATE, lead_ms=0, trail_ms=0)
    assert kept[0] == kept[-1] == 0
    assert kept[10] == 0.5


def test_what_is_not_cut_is_not_faded() -> None:
    sound = around(0, 200, 0)
    assert np.array_equal(trimmed(sound, RATE, lead_ms=0, trail_ms=0), sound)


def test_silence_becomes_nothing() -> None:
    assert len(trimmed(around(500, 0, 0), RATE, lead_ms=10, trail_ms=10)) == 0
    assert len(trimmed(np.zeros(0, np.float32), RATE, lead_ms=10, trail_ms=10)) == 0


def test_the_samples_given_stay_as_they_are() -> None:
    sound = around(100, 200, 300)
    before = sound.copy()
    trimmed(sound, RATE, lead_ms=0, trail_ms=0)
    assert np.array_equal(sound, before)
