"""What a call uses, in the units of `UsageReported`, from a talk profile. Pure.

Turn k of n: the user says u tokens, the agent a. The model reads the prompt, all turns before, and u. Of prompt and
turns before, the cached share is billed as cached; in the first turn nothing is. So without cache a call of n turns
reads n * prompt + (u + a) * n (n - 1) / 2 + n * u: the cost of a minute grows with the length of the call.
"""

from __future__ import annotations

from collections.abc import Mapping

from .talk_profile import AudioRate, TalkProfile

__all__ = ["connection_usage", "model_usage", "native_usage", "recogniser_usage", "voice_usage"]


def turns_of(profile: TalkProfile, minutes: float) -> int:
    """How many turns a call has; at least one."""
    return max(1, round(profile.turns_per_minute * minutes))


def native_usage(profile: TalkProfile, minutes: float, rate: AudioRate) -> Mapping[str, float]:
    """Of a speech-to-speech model that is billed by tokens. Its answers are written down as well, as text tokens."""
    turns, seconds = turns_of(profile, minutes), 60 * minutes
    heard_s = seconds * (1 - profile.agent_share if rate.silence_billed else profile.user_share)
    new = heard_s * rate.in_per_s
    spoken = seconds * profile.agent_share * rate.out_per_s
    written = _tokens(profile, seconds * profile.agent_share)
    used = {"output_audio_tokens": spoken, "output_text_tokens": written}
    if not rate.history_billed:
        return used | {"input_audio_tokens": new, "input_text_tokens": float(profile.prompt_tokens)}
    audio = _read_again((new + spoken) / turns, 0.0, turns, profile.cached_share)
    text = _read_again(written / turns, profile.prompt_tokens, turns, profile.cached_share)
    return used | {
        "input_audio_tokens": new + audio[0],
        "cached_audio_tokens": audio[1],
        "input_text_tokens": text[0],
        "cached_text_tokens": text[1],
    }


def connection_usage(minutes: float) -> Mapping[str, float]:
    """Of what is billed by the time that it is connected."""
    return {"session_s": 60 * minutes}


def recogniser_usage(profile: TalkProfile, minutes: float) -> Mapping[str, float]:
    """Of a recogniser that gets the user's speech alone: a detector keeps silence from it."""
    return {"audio_s": 60 * minutes * profile.user_share}


def model_usage(profile: TalkProfile, minutes: float) -> Mapping[str, float]:
    """Of a language model in a cascade, which reads the conversation as text."""
    turns, seconds = turns_of(profile, minutes), 60 * minutes
    new = _tokens(profile, seconds * profile.user_share)
    written = _tokens(profile, seconds * profile.agent_share)
    fresh, cached = _read_again((new + written) / turns, profile.prompt_tokens, turns, profile.cached_share)
    return {"input_text_tokens": new + fresh, "cached_text_tokens": cached, "output_text_tokens": written}


def voice_usage(profile: TalkProfile, minutes: float) -> Mapping[str, float]:
    """Of a voice that is billed by what it reads."""
    return {"characters": 60 * minutes * profile.agent_share * profile.characters_per_second}


def _tokens(profile: TalkProfile, seconds: float) -> float:
    return seconds * profile.characters_per_second / profile.characters_per_token


def _read_again(each: float, prompt: float, turns: int, share: float) -> tuple[float, float]:
    """Tokens of prompt and history over all turns: those that are not in the cache, and those that are."""
    again = each * turns * (turns - 1) / 2 + prompt * (turns - 1)
    return prompt + again * (1 - share), again * share
