"""How a conversation is talked, and what audio is in tokens: the assumptions of an estimate, as data."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voicebridge.contract.errors import ConfigError
from voicebridge_bench.text_file import read_text

__all__ = ["AudioRate", "TalkProfile", "TalkProfiles", "load", "profile_named"]

_BUNDLED = Path(__file__).with_name("profiles.toml")
Name = Annotated[str, Field(min_length=1)]
_SHARE = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_AMOUNT = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TalkProfile(_Part):
    """A way to talk."""

    name: Name
    user_share: _SHARE
    """Of the call's time, in which the user speaks."""
    agent_share: _SHARE
    turns_per_minute: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)]
    prompt_tokens: Annotated[int, Field(ge=0)]
    """Of instructions and tools."""
    characters_per_second: _AMOUNT
    """Of speech."""
    characters_per_token: _AMOUNT
    cached_share: _SHARE
    """Of the tokens that were sent in the turn before already, what share is billed as cached."""

    @model_validator(mode="after")
    def _fits_in_a_call(self) -> TalkProfile:
        if self.user_share + self.agent_share > 1:
            raise ValueError(f"profile {self.name}: user and agent speak for more than the whole call")
        return self

    def __str__(self) -> str:
        silence = 1 - self.user_share - self.agent_share
        return (
            f"{self.name}: user {self.user_share:.0%}, agent {self.agent_share:.0%}, silence {silence:.0%}, "
            f"{self.turns_per_minute:g} turns a minute, prompt of {self.prompt_tokens} tokens, "
            f"{self.characters_per_second:g} characters a second, {self.characters_per_token:g} a token, "
            f"{self.cached_share:.0%} of what was sent before cached"
        )


class AudioRate(_Part):
    """How a vendor counts audio."""

    vendor: Name
    in_per_s: _AMOUNT
    """Tokens for a second of the user's audio."""
    out_per_s: _AMOUNT
    silence_billed: bool
    """Whether silence of the microphone is billed as the user's audio."""
    history_billed: bool
    """Whether the whole conversation is billed again in each turn."""
    source: Name


class TalkProfiles(_Part):
    """What a file holds."""

    version: Literal[1]
    profiles: Annotated[tuple[TalkProfile, ...], Field(min_length=1)]
    rates: tuple[AudioRate, ...] = ()

    def rate(self, vendor: str) -> AudioRate | None:
        """How that vendor counts audio; None: no source tells."""
        return next((one for one in self.rates if one.vendor == vendor), None)


def load(path: Path = _BUNDLED) -> TalkProfiles:
    """The profiles in a file.

    Raises:
        ConfigError: it can't be read or holds none; the message names the first thing that is wrong.
    """
    try:
        return TalkProfiles.model_validate(tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML file: {error}.") from None
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise ConfigError(
            f"{path} holds no talk profiles: {'.'.join(map(str, fault['loc']))}: {fault['msg']}."
        ) from None


def profile_named(name: str, profiles: TalkProfiles) -> TalkProfile:
    """The profile of that name.

    Raises:
        ConfigError: there is none; the message lists those that there are.
    """
    for one in profiles.profiles:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in profiles.profiles)
    raise ConfigError(f"There is no talk profile {name!r}. There are: {known}.")
