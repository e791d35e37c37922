"""The settings of a seat, checked."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import Field

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError
from voicebridge.core.stage_options import StageOptions, read_stage_options

from .addresses import checked_location
from .models import CHIRP_HD, DEFAULT_VOICE, NAMES, PROJECT_VARIABLE, full_language, recogniser_model

__all__ = ["HearingOptions", "HearingSettings", "VoiceOptions", "VoiceSettings"]

_SLOWEST, _FASTEST = 0.25, 2.0
_MOST_PHRASES = 1_000
_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]{0,80}")
_FULL = re.compile(r"([a-z]{2,3}-[A-Za-z0-9]{2,4})-[A-Za-z0-9][A-Za-z0-9-]{1,60}")


class HearingOptions(StageOptions):
    """Of a recogniser."""

    project: str | None = None
    """None: GOOGLE_CLOUD_PROJECT, else the project of the credentials."""
    location: str | None = None
    """`us`, `eu`, `global` or a region. None: as the model has it."""
    punctuation: bool = True
    profanity_filter: bool = False
    denoise: bool = False
    """Let the vendor take noise away first."""
    word_times: bool = False
    """Ask when each word was said, which takes longer."""
    boost: float | None = Field(default=None, ge=0, le=20)
    """How much more likely the session's keywords are. None: as the vendor has it."""


class VoiceOptions(StageOptions):
    """Of a voice."""

    location: str = "global"
    """`global`, `us`, `eu` or a region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HearingSettings:
    """What is asked of a recogniser, whatever it hears."""

    model: str
    project: str | None
    """None: that of the credentials."""
    location: str
    language: str
    """With its country; `auto` where the model finds out."""
    keywords: tuple[str, ...]
    options: HearingOptions

    @classmethod
    def of(cls, model: str, config: SessionConfig) -> HearingSettings:
        """Those that the config holds.

        Raises:
            ConfigError: something in it does not fit.
        """
        options = read_stage_options(HearingOptions, config.options, f"google/{model}")
        row = recogniser_model(model)
        project = options.project or os.environ.get(PROJECT_VARIABLE, "").strip() or None
        if project is not None and not _PROJECT.fullmatch(project):
            raise ConfigError(f"{project!r} is no project id of Google Cloud.", code="bad_project")
        keywords = config.transcription.keywords if config.transcription else ()
        if len(keywords) > _MOST_PHRASES:
            raise ConfigError(f"Google takes {_MOST_PHRASES} keywords at most.", code="bad_keywords")
        unsaid = "auto" if row.detects else "en-US"
        return cls(
            model=model,
            project=project,
            location=checked_location(options.location or row.location),
            language=full_language(config.language, "cmn-Hans-CN") if config.language else unsaid,
            keywords=keywords,
            options=options,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceSettings:
    """What is asked of a voice, whatever it says."""

    voice: str
    """Its whole name."""
    language: str
    """The one in its name."""
    speed: float | None
    location: str

    @classmethod
    def of(cls, model: str, config: SessionConfig) -> VoiceSettings:
        """Those that the config holds.

        Args:
            model: `chirp-3-hd`, or the whole name of a voice.

        Raises:
            ConfigError: something in it does not fit.
        """
        options = read_stage_options(VoiceOptions, config.options, f"google/{model}")
        if config.speed is not None and not _SLOWEST <= config.speed <= _FASTEST:
            raise ConfigError(
                f"Google speaks at speeds from {_SLOWEST} to {_FASTEST:g}, not {config.speed:g}.", code="bad_speed"
            )
        voice, language = _voice(model, (config.voice or "").strip(), config.language)
        return cls(voice=voice, language=language, speed=config.speed, location=checked_location(options.location))


def _voice(model: str, voice: str, language: str | None) -> tuple[str, str]:
    """The whole name of the voice, and its language."""
    named = voice or ("" if model == CHIRP_HD else model)
    if whole := _FULL.fullmatch(named):
        own = whole[1]
        if language and full_language(language, "cmn-CN").partition("-")[0] != own.partition("-")[0]:
            raise ConfigError(
                f"The voice {named} speaks {own}, not {language!r}. Name the voice alone, as in {DEFAULT_VOICE!r}.",
                code="bad_language",
            )
        return named, own
    if model != CHIRP_HD and not voice:
        raise ConfigError(
            f"google/{model} is no voice: choose google/{CHIRP_HD}, or a whole name as in en-US-Chirp3-HD-Kore.",
            code="unknown_model",
        )
    known = {name.casefold(): name for name in NAMES}
    name = known.get((named or DEFAULT_VOICE).casefold())
    if name is None:
        near = [known[one] for one in get_close_matches(named.casefold(), known, 3, 0.5)]
        hint = f"Near are {', '.join(near)}." if near else f"There are {', '.join(NAMES[:10])} and others."
        raise ConfigError(f"Chirp 3 HD has no voice {named!r}. {hint}", code="unknown_voice")
    spoken = full_language(language or "en", "cmn-CN")
    return f"{spoken}-Chirp3-HD-{name}", spoken
