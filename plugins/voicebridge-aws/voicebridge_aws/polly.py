"""Amazon Polly: a signed request for each clause, its sound as it comes.

Facts: `SynthesizeSpeech` and `DescribeVoices` in the service model of botocore 1.44.8. PCM has 8 or 16 kHz there, mono
and 16 bits, never more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlencode

import orjson

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import PCM_16K, TextToSpeechTraits, Usage
from voicebridge.core.stage_options import read_stage_options
from voicebridge.transport.body import Body, JsonBody, PcmBody
from voicebridge.transport.clause_voice import ClauseVoice
from voicebridge.transport.http import HttpApi, HttpCall

from .account import Account
from .faults import explain
from .models import SPOKEN, Engine, engine_of
from .options import PollyOptions

__all__ = ["PollyRequests", "polly"]

_TRAITS = TextToSpeechTraits(format=PCM_16K, usage="estimated", heeds=frozenset({"base_url", "api_key"}))
_IDLE_S = 20.0
"""The vendor does not say for how long it keeps a connection that nobody uses."""
_TAG = re.compile(r"<[^>]*>")
_OWN_VOICE = "vc-"
"""How the ids of custom voices begin."""


def polly(model: str | None) -> ClauseVoice:
    """The stage, for one session.

    Raises:
        ConfigError: there is no such engine.
    """
    engine = engine_of(model)
    return ClauseVoice(lambda config: PollyRequests(engine, config), _TRAITS)


class PollyRequests:
    """Is `ClauseRequests`, with one choice of settings.

    Raises:
        ConfigError: a setting does not fit.
    """

    def __init__(self, engine: Engine, config: SessionConfig) -> None:
        self._options = read_stage_options(PollyOptions, config.options, f"aws/{engine.model}")
        if config.speed is not None:
            raise ConfigError(
                "Amazon Polly has no setting for speed. With ssml=True a text can say <prosody rate='110%'>.",
                code="unsupported_speed",
            )
        self._engine = engine
        self._voice = (config.voice or "").strip()
        self._language = _language(config.language, self._voice)
        self._account = Account.of(config, self._options)
        self._url = (config.base_url or f"https://polly.{self._account.region}.amazonaws.com").rstrip("/")
        self._url = self._url.replace("ws", "http", 1) if self._url.startswith("ws") else self._url
        self.api = HttpApi(self._url, headers={}, idle_s=_IDLE_S, explain=explain)

    @property
    def voice(self) -> str:
        """Its `VoiceId`."""
        return self._voice or self._engine.voice

    async def call(self, clause: str) -> HttpCall:
        """See `ClauseRequests.call`."""
        asked: dict[str, Any] = {
            "Engine": self._engine.name,
            "OutputFormat": "pcm",
            "SampleRate": str(PCM_16K.rate),
            "Text": f"<speak>{clause}</speak>" if self._options.ssml else clause,
            "TextType": "ssml" if self._options.ssml else "text",
            "VoiceId": self.voice,
        }
        if self._language is not None:
            asked["LanguageCode"] = self._language
        if self._options.lexicons:
            asked["LexiconNames"] = list(self._options.lexicons)
        return await self._signed("POST", "v1/speech", content=orjson.dumps(asked))

    def body(self) -> Body[bytes]:
        """See `ClauseRequests.body`."""
        return PcmBody()

    def usage(self, clause: str) -> Usage:
        """See `ClauseRequests.usage`. The vendor counts characters; tags of SSML are free."""
        text = _TAG.sub("", clause) if self._options.ssml else clause
        return Usage({"characters": len(text)}, basis="estimated")

    async def check(self) -> None:
        """Find out whether the keys are taken and the voice is there, where the account may look at the list.

        Raises:
            VoiceBridgeError: there are no keys, they are refused, or there is no such voice.
        """
        call = await self._signed("GET", "v1/voices", query={"Engine": self._engine.name})
        voices: list[str] = []
        try:
            async with aclosing(self.api.ask(call, JsonBody(_voices))) as found:
                voices = [voice async for voice in found]
        except VoiceBridgeError as error:
            if error.fault.code != "AccessDeniedException":
                raise
        if voices and self.voice not in voices and not self.voice.startswith(_OWN_VOICE):
            near = get_close_matches(self.voice.title(), voices, 3, 0.5) or sorted(voices)[:10]
            raise ConfigError(
                f"Amazon Polly has no voice {self.voice!r} with the engine {self._engine.name} in "
                f"{self._account.region}. Try {', '.join(near)}.",
                code="unknown_voice",
            )

    async def _signed(
        self, method: str, path: str, *, query: Mapping[str, str] = {}, content: bytes | None = None
    ) -> HttpCall:
        keys = await self._account.keys()
        from .signing import signed_headers

        headers = signed_headers(
            keys,
            service="polly",
            region=self._account.region,
            method=method,
            url=f"{self._url}/{path}{f'?{urlencode(query)}' if query else ''}",
            headers={"Content-Type": "application/json"} if content is not None else {},
            content=content,
        )
        return HttpCall(method=method, path=path, query=query, headers=headers, content=content)


def _language(language: str | None, voice: str) -> str | None:
    """What is sent of it: a voice of two languages needs one with its country, all others speak their own.

    Raises:
        ConfigError: it is not English, and no voice was named.
    """
    if language is None:
        return None
    if not voice and not language.lower().startswith("en"):
        raise ConfigError(
            f"For {language!r}, say which voice of Amazon Polly speaks: voice='...'. The default one speaks English.",
            code="missing_voice",
        )
    exact = {known.lower(): known for known in SPOKEN}.get(language.replace("_", "-").lower())
    return exact if voice else None


def _voices(answer: Any) -> Iterable[str]:
    """Ids in an answer to `DescribeVoices`. None, where the list goes on: then nobody knows what is not on it."""
    listed = answer.get("Voices") if isinstance(answer, Mapping) and not answer.get("NextToken") else None
    return [str(voice["Id"]) for voice in listed or () if isinstance(voice, Mapping) and "Id" in voice]
