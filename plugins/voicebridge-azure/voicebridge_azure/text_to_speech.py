"""The voice's seat: a request for each clause, whose audio streams.

Facts: learn.microsoft.com/azure/ai-services/speech-service/rest-text-to-speech, and `livekit-plugins-azure`, which
asks in the same way. Nobody has tried this on the live service.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import Field

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import TextToSpeech, TextToSpeechTraits, Usage
from voicebridge.core.stage_options import StageOptions, read_stage_options
from voicebridge.transport.body import Body, JsonBody, PcmBody
from voicebridge.transport.clause_voice import ClauseVoice
from voicebridge.transport.http import HttpApi, HttpCall

from .address import Address
from .models import DEFAULT_LANGUAGE, DEFAULT_VOICE, NEURAL, full_language
from .refusals import explain
from .ssml import SpokenAs, ssml

__all__ = ["SsmlRequests", "VoiceOptions", "make_voice", "spoken_as"]

_FORMAT = AudioFormat(rate=24_000)
_TRAITS = TextToSpeechTraits(format=_FORMAT, usage="estimated", heeds=frozenset({"base_url", "api_key"}))
_IDLE_S = 30.0
"""Nobody says how long the vendor keeps an idle connection."""
_NO_LIST = ("http_404", "http_405")
"""A proxy before the vendor may not pass the list on: then a wrong voice shows when it speaks."""
_SLOWEST, _FASTEST = 0.5, 2.0
_WHOLE = re.compile(r"([a-z]{2,3}-[A-Za-z0-9]{2,4}(?:-[a-z]+)?)-[A-Za-z][A-Za-z0-9:._-]{1,80}")
_ALONE = re.compile(r"[A-Za-z][A-Za-z0-9]{1,40}")
_PITCH = r"^([+-]?\d{1,3}(\.\d+)?(%|Hz|st)|x-low|low|medium|high|x-high|default)$"


class VoiceOptions(StageOptions):
    """Of a voice."""

    region: str | None = None
    """None: AZURE_SPEECH_REGION."""
    pitch: str | None = Field(default=None, pattern=_PITCH)
    """As in `+5%`, `-2st` or `high`."""
    style: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z-]{1,40}$")
    """As in `cheerful`, where the voice has it."""
    style_degree: float | None = Field(default=None, ge=0.01, le=2)


def make_voice(model: str | None) -> TextToSpeech:
    """The stage for `neural`, or for a voice by its name. None: the default."""
    return ClauseVoice(lambda config: SsmlRequests(model or NEURAL, config), _TRAITS)


class SsmlRequests:
    """Are `ClauseRequests`.

    Raises:
        ConfigError: a setting does not fit, or the region or the key is missing.
    """

    def __init__(self, model: str, config: SessionConfig) -> None:
        options = read_stage_options(VoiceOptions, config.options, f"azure/{model}")
        self._spoken = spoken_as(model, config, options)
        address = Address.of("tts", options.region, config)
        self.api = HttpApi(address.base_url, headers=address.headers, idle_s=_IDLE_S, explain=explain)

    async def check(self) -> None:
        """Ask for the voices of the region, and see that this one is among them."""
        call = HttpCall(path="cognitiveservices/voices/list", method="GET")
        try:
            async for names in self.api.ask(call, JsonBody(_names_in)):
                if names and self._spoken.voice not in names:
                    raise ConfigError(_no_voice(self._spoken.voice, names), code="unknown_voice")
        except VoiceBridgeError as error:
            if error.fault.code not in _NO_LIST:
                raise

    async def call(self, clause: str) -> HttpCall:
        """See `ClauseRequests.call`."""
        return HttpCall(
            path="cognitiveservices/v1",
            headers={
                "Content-Type": "application/ssml+xml",
                "X-Microsoft-OutputFormat": "raw-24khz-16bit-mono-pcm",
                "User-Agent": "voicebridge",
            },
            content=ssml(clause, self._spoken).encode(),
        )

    def body(self) -> Body[bytes]:
        """See `ClauseRequests.body`."""
        return PcmBody(_FORMAT.frame_bytes)

    def usage(self, clause: str) -> Usage:
        """See `ClauseRequests.usage`."""
        return Usage({"characters": float(len(clause))}, basis="estimated")


def spoken_as(model: str, config: SessionConfig, options: VoiceOptions) -> SpokenAs:
    """How every clause is said.

    Raises:
        ConfigError: a voice, a language or a speed does not fit.
    """
    if config.speed is not None and not _SLOWEST <= config.speed <= _FASTEST:
        raise ConfigError(
            f"Azure speaks at speeds from {_SLOWEST} to {_FASTEST:g}, not {config.speed:g}.", code="bad_speed"
        )
    if options.style_degree is not None and options.style is None:
        raise ConfigError("style_degree says how much of a style: pass style as well.", code="bad_style")
    language = full_language(config.language) if config.language else None
    voice, own = _voice(model, (config.voice or "").strip(), language)
    several = "Multilingual" in voice
    if language and not several and language.partition("-")[0] != own.partition("-")[0]:
        raise ConfigError(
            f"The voice {voice} speaks {own}, not {config.language!r}. Choose one of that language, or a multilingual "
            f"one, such as {DEFAULT_VOICE}.",
            code="bad_language",
        )
    return SpokenAs(
        voice=voice,
        language=(language if several else None) or own,
        guided=several and language is not None,
        speed=config.speed,
        pitch=options.pitch,
        style=options.style,
        style_degree=options.style_degree,
    )


def _voice(model: str, voice: str, language: str | None) -> tuple[str, str]:
    """The whole name of the voice, and its own language."""
    named = voice or (DEFAULT_VOICE if model == NEURAL else model)
    if whole := _WHOLE.fullmatch(named):
        return named, whole[1]
    if not _ALONE.fullmatch(named):
        raise ConfigError(
            f"{named!r} is no voice of Azure: write it as in en-US-JennyNeural, or Jenny with a language.",
            code="unknown_voice",
        )
    own = language or DEFAULT_LANGUAGE
    return f"{own}-{named}{'' if named.endswith('Neural') else 'Neural'}", own


def _names_in(answer: Any) -> Iterable[frozenset[str]]:
    listed = answer if isinstance(answer, list) else []
    yield frozenset(str(one["ShortName"]) for one in listed if isinstance(one, Mapping) and "ShortName" in one)


def _no_voice(voice: str, names: frozenset[str]) -> str:
    locale = voice[:5]
    near = get_close_matches(voice, sorted(names), 4, 0.6) or sorted(name for name in names if name[:5] == locale)[:6]
    hint = f" Near are {', '.join(near)}." if near else ""
    return f"Azure has no voice {voice} in this region.{hint}"
