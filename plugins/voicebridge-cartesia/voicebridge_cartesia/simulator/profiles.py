"""Stage times as others state them.

transcription   listening: from `finalize` to the final text
end_of_turn     listening with turns: from the last sample of speech to `turn.end`, in the time of the audio
eager_gain      listening with turns: how much earlier `turn.eager_end` is
speech          speaking: from the first text of a context, or the request, to the first audio
"""

from __future__ import annotations

from voicebridge.testing.simulator.profile import Profile, StageTime

__all__ = ["PROFILES"]

_ARTICLE = "a 2026 write-up of cascades, without data: 200-500 ms a stage"
_TTFS = "stt-benchmark, June 2026, ink-2, time from the end of speech to the final text: p50 299 ms, p95 328 ms"
_TTFA = "Coval, May 2026, sonic-3, time to first audio: p50 188 ms, interquartile range 100 ms"
_NONE = "nothing is published: taken as that of another vendor's eager ends, 150-250 ms"

_TABLE = (
    Profile(
        name="claimed",
        about="What the seed article claims, a stated range read as 90 % of the draws.",
        stages={
            "transcription": StageTime.of_range(200, 500, _ARTICLE),
            "end_of_turn": StageTime.of_range(200, 500, _ARTICLE),
            "eager_gain": StageTime.of_range(150, 250, _NONE),
            "speech": StageTime.of_range(200, 500, _ARTICLE),
        },
    ),
    Profile(
        name="published",
        about="Medians and spreads that others have measured. Of ends of turns: the time to the final text.",
        stages={
            "transcription": StageTime.of_percentiles(299, 328, _TTFS),
            "end_of_turn": StageTime.of_percentiles(299, 328, _TTFS),
            "eager_gain": StageTime.of_range(150, 250, _NONE),
            "speech": StageTime.of_iqr(188, 100, _TTFA),
        },
    ),
)
PROFILES = {profile.name: profile for profile in _TABLE}
"""By name. `instant` is the engine's own."""
