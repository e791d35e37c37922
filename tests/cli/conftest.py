"""The command line with scripted backends: in this process, or in one of its own that can be sent a signal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from voicebridge.cli import main
from voicebridge.registry.registry import Registry, use_registry

SITE = Path(__file__).parent / "site"
ROOT = Path(__file__).parents[2]
RATE = 16_000

Samples = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugins of these tests are installed; no others count."""
    monkeypatch.syspath_prepend(SITE)
    monkeypatch.setenv("VOICEBRIDGE_PLUGINS", "scripted")
    monkeypatch.setenv("COLUMNS", "100")
    before = use_registry(Registry())
    yield
    use_registry(before)


@pytest.fixture
def run(site: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command in this process."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        status = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Ended(status, out, err)

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command in a process of its own. `extra`: folders that come first on its path."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, extra: tuple[Path, ...] = (), **variables: str) -> subprocess.Popen[str]:
        path = os.pathsep.join(map(str, (*extra, SITE, ROOT)))
        environment = os.environ | {"PYTHONPATH": path, "VOICEBRIDGE_PLUGINS": "scripted", "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", "-m", "voicebridge.cli", *map(str, arguments)],
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def tone(seconds: float) -> Samples:
    """A voice of sorts."""
    return np.sin(np.arange(round(seconds * RATE)) * 0.1) * 0.3


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE))


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """A recording of one short turn."""
    return write(tmp_path / "hello.wav", silence(0.2), tone(0.5))


def write(path: Path, *parts: Samples, subtype: str = "PCM_16", rate: int = RATE) -> Path:
    """A recording of parts."""
    soundfile.write(path, np.concatenate(parts), rate, subtype=subtype)
    return path
