"""Where an utterance is cut that is too long for one upload, and what of it is worth one. Pure; PCM16 at 16 kHz."""

from __future__ import annotations

from voicebridge.contract.stages import PCM_16K

__all__ = ["first_part", "goes_on"]

_STEP = PCM_16K.size(20)
_PAUSE_STEPS = 10
"""A pause as long as that separates words."""
_LOOKED_AT_MS = 10_000
"""The end of the longest part: a pause is looked for there."""
_WORD_STEPS = 8
_SAME_VOICE = 0.15
"""What is quieter than this share of the voice is breath, echo or somebody else far off."""
_QUIET = 60.0
"""Root mean square of samples below which nobody speaks."""


def first_part(pcm: bytes, longest_ms: float) -> int:
    """How many bytes to send first: all, or up to the quietest moment near the end of what may be sent."""
    longest = PCM_16K.size(longest_ms)
    if len(pcm) <= longest:
        return len(pcm)
    begin = max(longest - PCM_16K.size(_LOOKED_AT_MS), longest // 2) // _STEP * _STEP
    levels = _levels(pcm[begin:longest])
    width = min(_PAUSE_STEPS, len(levels))
    if not width:
        return longest
    places = range(len(levels) - width + 1)
    quietest = min(places, key=lambda n: (sum(levels[n : n + width]), -n))
    return begin + (quietest + width // 2) * _STEP


def goes_on(rest: bytes, heard: bytes) -> bool:
    """Whether somebody speaks in the rest about as loud as in what was heard, for as long as a word takes."""
    loudest = max(_levels(heard), default=0.0)
    limit = max(_QUIET**2, loudest * _SAME_VOICE**2)
    return sum(level > limit for level in _levels(rest)) >= _WORD_STEPS


def _levels(pcm: bytes) -> list[float]:
    """Mean squares of steps of 20 ms; what is less at the end is left out."""
    import numpy as np

    steps = len(pcm) // _STEP
    samples = np.frombuffer(pcm[: steps * _STEP], "<i2").astype(np.float64).reshape(steps, _STEP // 2)
    return [float(level) for level in np.mean(samples**2, axis=1)] if steps else []
