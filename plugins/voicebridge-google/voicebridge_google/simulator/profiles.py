"""Stage times of the vendor as others state them.

`transcription`: from the upload to its text. `speech`: from the text to its audio.
"""

from __future__ import annotations

from voicebridge.testing.simulator.profile import Profile, StageTime

__all__ = ["PROFILES"]

_ARTICLE = "a 2026 write-up of voice agents, without data: 200-500 ms a stage"
_TTFS = (
    "stt-benchmark, Google latest-long, streamed over gRPC, time to the final text after the speech: p50 878 ms, "
    "p95 1155 ms. Of Chirp 3 over REST no figure was found"
)
_TABLE = (
    Profile(
        name="claimed",
        about="What the seed article claims, a stated range read as 90 % of the draws.",
        stages={
            "transcription": StageTime.of_range(200, 500, _ARTICLE),
            "speech": StageTime.of_range(200, 500, _ARTICLE),
        },
    ),
    Profile(
        name="published",
        about="What others have measured. Of the voices over REST no figure was found: `speech` takes no time.",
        stages={"transcription": StageTime.of_percentiles(878, 1155, _TTFS)},
    ),
)
PROFILES = {profile.name: profile for profile in _TABLE}
"""By name. `instant` is the engine's own."""
