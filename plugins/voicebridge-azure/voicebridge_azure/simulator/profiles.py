"""Stage times of the vendor as others state them.

`transcription`: from the upload to its text. `speech`: from the text to its first audio.
"""

from __future__ import annotations

from voicebridge.testing.simulator.profile import Profile, StageTime

__all__ = ["PROFILES"]

_ARTICLE = "a 2026 write-up of voice agents, without data: 200-500 ms a stage"
_TABLE = (
    Profile(
        name="claimed",
        about="What the seed article claims, a stated range read as 90 % of the draws. No measured figure was found.",
        stages={
            "transcription": StageTime.of_range(200, 500, _ARTICLE),
            "speech": StageTime.of_range(200, 500, _ARTICLE),
        },
    ),
)
PROFILES = {profile.name: profile for profile in _TABLE}
"""By name. `instant` is the engine's own. There is no `published`: nobody was found who has measured these."""
