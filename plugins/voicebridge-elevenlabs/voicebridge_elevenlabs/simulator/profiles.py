"""Stage times of the vendor as others state them.

`speech`: from the text to its first audio. `transcription`: from the end of the audio to its text.
"""

from __future__ import annotations

import math

from voicebridge.testing.simulator.profile import Profile, StageTime

__all__ = ["PROFILES", "speech_stage"]

_ARTICLE = "a 2026 write-up of voice agents, without data: 200-500 ms a stage"
_COVAL = "Coval, May 2026, as quoted by gradium.ai: time to first audio"
_SCRIBE = "stt-benchmark, scribe_v2_realtime, time to the final text after the speech: p50 281 ms, p95 348 ms"
_IQR = 1.349
"""Standard deviations between the quartiles of a normal distribution."""


def _of_quartiles(median_ms: float, iqr_ms: float, what: str) -> StageTime:
    return StageTime(
        median_ms=median_ms,
        sigma=math.log((median_ms + iqr_ms / 2) / (median_ms - iqr_ms / 2)) / _IQR,
        source=f"{_COVAL}, {what}: p50 {median_ms:g} ms, IQR {iqr_ms:g} ms",
    )


_TURBO = _of_quartiles(264, 28, "Turbo v2.5")
_FLASH = _of_quartiles(288, 28, "Flash v2.5")
_MULTILINGUAL = StageTime(
    median_ms=1232, sigma=_FLASH.sigma, source=f"{_COVAL}, Multilingual v2: p50 1232 ms; its spread is that of Flash"
)
_TABLE = (
    Profile(
        name="claimed",
        about="What the seed article claims, a stated range read as 90 % of the draws.",
        stages={
            "speech": StageTime.of_range(200, 500, _ARTICLE),
            "transcription": StageTime.of_range(200, 500, _ARTICLE),
        },
    ),
    Profile(
        name="published",
        about="Medians and spreads that others have measured. `speech` is that of Flash v2.5.",
        stages={
            "speech": _FLASH,
            "speech_turbo": _TURBO,
            "speech_multilingual": _MULTILINGUAL,
            "transcription": StageTime.of_percentiles(281, 348, _SCRIBE),
        },
    ),
)
PROFILES = {profile.name: profile for profile in _TABLE}
"""By name. `instant` is the engine's own."""


def speech_stage(model: str, profile: Profile) -> str:
    """The name of the stage time of a voice model: its own where the profile has one."""
    named = next((f"speech_{kind}" for kind in ("turbo", "multilingual") if kind in model), "speech")
    return named if named in profile.stages else "speech"
