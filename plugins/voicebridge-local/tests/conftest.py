"""Recordings of people, which come with the packages of the models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from voicebridge_local.weights import installed_folder

RATE = 16_000


def read(name: str) -> NDArray[np.int16]:
    """A recording, as PCM16 at 16 kHz."""
    path: Path = installed_folder("moonshine_voice") / "assets" / name
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != RATE:
        samples = soxr.resample(samples, rate, RATE)
    return np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")


@pytest.fixture(scope="session")
def beckett() -> NDArray[np.int16]:
    """Ten seconds: "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better." with pauses between."""
    return read("beckett.wav")


@pytest.fixture(scope="session")
def two_cities() -> NDArray[np.int16]:
    """44 seconds: the beginning of A Tale of Two Cities."""
    return read("two_cities.wav")


@pytest.fixture(scope="session")
def best_of_times(two_cities: NDArray[np.int16]) -> NDArray[np.int16]:
    """Five seconds of it: "It was the best of times, it was the worst of times." with silence around."""
    return two_cities[: int(5.2 * RATE)]
