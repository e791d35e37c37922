"""Stage times as others state them. `transcription`: from the last byte of the upload to the final text. `first_token`:
from the request to the first text. `speech`: from the request to the first audio."""

from __future__ import annotations

from voicebridge.testing.simulator.profile import Profile, StageTime

__all__ = ["PROFILES", "TOKENS_PER_SECOND"]

_ARTICLE = "a 2026 write-up of voice stacks, without data: 200-500 ms a stage"
_STT = (
    "stt-benchmark, gpt-4o-transcribe over a websocket, end of speech to the final text: p50 637 ms, p95 965 ms. It "
    "stands in for uploads, and for whisper-1, of which no figure was found"
)
_LLM = "aiewf-eval, gpt-4o, a prompt of 12 000 tokens, request to the first text: p50 546 ms, p95 1369 ms"
_TTS = (
    "Coval, May 2026, as quoted by gradium.ai, another vendor: tts-1-hd, time to the first audio, p50 2295 ms; no "
    "spread is told, so none is drawn. It stands in for tts-1 and gpt-4o-mini-tts, of which no figure was found"
)

_TABLE = (
    Profile(
        name="claimed",
        about="What the seed article claims, a stated range read as 90 % of the draws.",
        stages={name: StageTime.of_range(200, 500, _ARTICLE) for name in ("transcription", "first_token", "speech")},
    ),
    Profile(
        name="published",
        about="Medians and 95th percentiles that others have measured.",
        stages={
            "transcription": StageTime.of_percentiles(637, 965, _STT),
            "first_token": StageTime.of_percentiles(546, 1369, _LLM),
            "speech": StageTime(median_ms=2295, source=_TTS),
        },
    ),
)
PROFILES = {profile.name: profile for profile in _TABLE}
"""By name. `instant` is the engine's own."""
TOKENS_PER_SECOND = {"claimed": 80.0, "published": 80.0}
"""How fast the model writes after its first token, by profile. No source: an assumption, and far faster than speech.
A profile that is not listed writes at once."""
