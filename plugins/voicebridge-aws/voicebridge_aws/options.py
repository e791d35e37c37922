"""What only these stages know."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from voicebridge.core.stage_options import StageOptions

__all__ = ["AccountOptions", "PollyOptions", "TranscribeOptions"]


class AccountOptions(StageOptions):
    """Of both."""

    region: str | None = Field(default=None, pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    """Such as `eu-central-1`. None: AWS_REGION, AWS_DEFAULT_REGION, or that of the profile."""
    profile: str | None = Field(default=None, min_length=1)
    """A section of the vendor's own files of settings and credentials. None: AWS_PROFILE, or the default."""


class PollyOptions(AccountOptions):
    """Of the voices."""

    ssml: bool = False
    """The text is SSML, without the `<speak>` around it. Else it is spoken as it is written."""
    lexicons: tuple[str, ...] = Field(default=(), max_length=5)
    """Names of pronunciation lexicons of the account."""


class TranscribeOptions(AccountOptions):
    """Of the recogniser."""

    partial_results_stability: Literal["low", "medium", "high"] | None = None
    """How little interim texts may still change; the more stable, the less accurate. None: they may change."""
    vocabulary_name: str | None = Field(default=None, min_length=1)
    """A vocabulary of the account. The wire takes no single words."""
    languages: tuple[str, ...] = ()
    """Two or more, of which the vendor finds out the one that is spoken. Instead of `language`."""
