"""Stage times as others state them.

transcription   listen v1: from `Finalize` to the final text
end_of_turn     listen v2: from the last sample of speech to `EndOfTurn`, in the time of the audio
eager_gain      listen v2: how much earlier `EagerEndOfTurn` is
speech          speak: from `Flush`, or the request, to the first audio
"""

from __future__ import annotations

from voicebridge.testing.simulator.profile import Profile, StageTime

__all__ = ["PROFILES"]

_ARTICLE = "a 2026 write-up of cascades, without data: 200-500 ms a stage"
_TTFS = "stt-benchmark, June 2026, nova-3, time from the end of speech to the final text: p50 247 ms, p95 298 ms"
_FLUX = "a reseller's model card of Flux, 2026: end of turn found in under 300 ms at the median, p95 1.5 s"
_EAGER = "a reseller's page on Flux thresholds, 2026: eager ends save some 150-250 ms"
_TTFA = "Coval, May 2026, Aura-2, time to first audio: p50 313 ms, interquartile range 68 ms"

_TABLE = (
    Profile(
        name="claimed",
        about="What the seed article claims, a stated range read as 90 % of the draws.",
        stages={
            "transcription": StageTime.of_range(200, 500, _ARTICLE),
            "end_of_turn": StageTime.of_range(200, 500, _ARTICLE),
            "eager_gain": StageTime.of_range(150, 250, _EAGER),
            "speech": StageTime.of_range(200, 500, _ARTICLE),
        },
    ),
    Profile(
        name="published",
        about="Medians and spreads that others have measured. Of Flux only a reseller's figures were found.",
        stages={
            "transcription": StageTime.of_percentiles(247, 298, _TTFS),
            "end_of_turn": StageTime.of_percentiles(300, 1500, _FLUX),
            "eager_gain": StageTime.of_range(150, 250, _EAGER),
            "speech": StageTime.of_iqr(313, 68, _TTFA),
        },
    ),
)
PROFILES = {profile.name: profile for profile in _TABLE}
"""By name. `instant` is the engine's own."""
