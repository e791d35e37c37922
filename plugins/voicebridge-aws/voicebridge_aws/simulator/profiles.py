"""Stage times of the vendor as others state them. Published measurements of these two are not known here.

`speech`: from the text to its first audio. `transcription`: from the end of the audio to its text.
"""

from __future__ import annotations

from voicebridge.testing.simulator.profile import Profile, StageTime

__all__ = ["PROFILES"]

_ARTICLE = "a 2026 write-up of voice agents, without data: 200-500 ms a stage"
_CLAIMED = Profile(
    name="claimed",
    about="What the seed article claims, a stated range read as 90 % of the draws.",
    stages={
        "speech": StageTime.of_range(200, 500, _ARTICLE),
        "transcription": StageTime.of_range(200, 500, _ARTICLE),
    },
)
PROFILES = {_CLAIMED.name: _CLAIMED}
"""By name. `instant` is the engine's own."""
