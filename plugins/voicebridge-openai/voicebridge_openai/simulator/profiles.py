"""Stage times of the vendor as others state them. `speech_to_speech`: from the commit to the first audio."""

from __future__ import annotations

from voicebridge.testing.simulator.profile import Profile, StageTime

__all__ = ["PROFILES"]

_ARTICLE = "a 2026 write-up of gpt-realtime-2, without data: first response 280-450 ms, later turns 200-350 ms"
_AIEWF = "aiewf-eval, March 2026, gpt-realtime, turns without tools, voice to voice: p50 1248 ms, p95 1856 ms"
_STT = "gpt-4o-transcribe, time to the final text after the speech: p50 637 ms, p95 965 ms"

_TABLE = (
    Profile(
        name="claimed",
        about="What the seed article claims, a stated range read as 90 % of the draws.",
        stages={
            "first_speech_to_speech": StageTime.of_range(280, 450, _ARTICLE),
            "speech_to_speech": StageTime.of_range(200, 350, _ARTICLE),
            "transcription": StageTime.of_range(200, 500, "the same: 200-500 ms a stage"),
        },
    ),
    Profile(
        name="published",
        about="Medians and 95th percentiles that others have measured.",
        # Voice to voice holds the wait for the end of the turn; no source splits it off, so it is part of the draw.
        stages={
            "speech_to_speech": StageTime.of_percentiles(1248, 1856, _AIEWF),
            "transcription": StageTime.of_percentiles(637, 965, _STT),
        },
    ),
)
PROFILES = {profile.name: profile for profile in _TABLE}
"""By name. `instant` is the engine's own."""
