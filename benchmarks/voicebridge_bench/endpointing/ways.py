"""The ways to find a turn's end that are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from voicebridge.cascade.patient_detector import PatientDetector
from voicebridge.contract.config import SessionConfig, TurnPolicy
from voicebridge.contract.stages import TurnDetector
from voicebridge.registry.registry import registry

__all__ = ["Way", "ready", "ways"]

_SILENCES_MS = (200, 300, 400, 500, 700, 1000, 1500, 2100)
_USUAL_MS = (200, 300, 400, 500, 700)
_LONGEST_MS = (600, 1000, 1500, 2100)
_SEMANTIC = "local/smart-turn"
"""A stage by its name, measured where it is installed."""


@dataclass(frozen=True, slots=True)
class Way:
    """A detector with a setting of `silence_ms`."""

    name: str
    detector: str
    mode: Literal["server_vad", "semantic"]
    silence_ms: int
    reads: bool
    """It wants the text."""
    paced: bool = False


def ways(detector: str) -> Iterator[Way]:
    """All, each series from impatient to patient.

    Args:
        detector: what counts silence, by its name.
    """
    for silence_ms in _SILENCES_MS:
        yield Way("silence", detector, "server_vad", silence_ms, reads=False)
    for usual_ms in _USUAL_MS:
        yield Way("silence and words", detector, "semantic", usual_ms, reads=True)
    rows = {row.name: row for row in registry().rows().stages if row.seat == "detector"}
    if _SEMANTIC in rows and not rows[_SEMANTIC].about.missing():
        for longest_ms in _LONGEST_MS:
            yield Way(_SEMANTIC.partition("/")[2], _SEMANTIC, "semantic", longest_ms, reads=False, paced=True)


async def ready(way: Way) -> TurnDetector:
    """A detector, warm and set.

    Raises:
        VoiceBridgeError: it can't be had.
    """
    stage: TurnDetector = registry().stage("detector", way.detector)  # type: ignore[assignment]  # the seat says so
    detector = PatientDetector(stage)
    detector.configure(SessionConfig(turns=TurnPolicy(mode=way.mode, silence_ms=way.silence_ms)))
    await detector.warm()
    return detector
