import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile


def _speech(rate: int, seconds: float, lead_s: float = 0.4, tail_s: float = 0.5) -> np.ndarray:
    """Noise in bursts of 200 ms with dips of 40 ms, in a quiet room: to a level meter, someone speaks."""
    noise = np.random.default_rng(5)
    total = round((lead_s + seconds + tail_s) * rate)
    samples = noise.normal(0, 0.0005, total)
    start = round(lead_s * rate)
    voiced = noise.normal(0, 0.1, round(seconds * rate))
    voiced[np.arange(len(voiced)) % round(0.24 * rate) >= round(0.2 * rate)] *= 0.01
    samples[start : start + len(voiced)] += voiced
    return samples.astype(np.float32)


@pytest.fixture
def speech():
    """A maker of signals that look like speech: `speech(rate, seconds)`."""
    return _speech


@pytest.fixture
def recordings(tmp_path):
    """A folder with two recordings and their words."""
    for name, seconds in (("one", 1.0), ("two", 1.5)):
        soundfile.write(tmp_path / f"{name}.wav", _speech(16_000, seconds), 16_000)
        (tmp_path / f"{name}.txt").write_text(f"this is {name}\n")
    return tmp_path


@pytest.fixture
def parrot_path():
    """The folder that holds the parrot's distribution, for the path of another process."""
    return Path(__file__).parent / "parrot"


@pytest.fixture
def parrot(parrot_path, monkeypatch):
    """The module of a backend made for these tests; its backends are found by name as well."""
    monkeypatch.syspath_prepend(str(parrot_path))
    module = importlib.import_module("bench_parrot")
    yield module
    sys.modules.pop("bench_parrot", None)
