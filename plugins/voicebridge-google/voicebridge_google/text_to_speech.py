"""The voice's seat: `text:synthesize`, a request for each clause.

Facts: cloud.google.com/text-to-speech/docs/reference/rest/v1/text/synthesize: LINEAR16 comes as a WAV file in base64,
which pipecat-ai 1.14 also strips. Chirp voices take no SSML. Nobody has tried this on the live service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pybase64

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import TextToSpeech, TextToSpeechTraits, Usage
from voicebridge.transport.body import Body, JsonBody
from voicebridge.transport.clause_voice import ClauseVoice
from voicebridge.transport.http import HttpApi, HttpCall

from .addresses import service_url
from .credentials import Credentials, credentials_for
from .models import CHIRP_HD
from .refusals import explain
from .settings import VoiceSettings

__all__ = ["SynthesizeRequests", "make_voice", "samples_in", "synthesis_request"]

_FORMAT = AudioFormat(rate=24_000)
_TRAITS = TextToSpeechTraits(format=_FORMAT, usage="estimated", heeds=frozenset({"base_url", "api_key"}))
_IDLE_S = 30.0
"""Nobody says how long the vendor keeps an idle connection."""

_NO_LIST = ("http_404", "http_405", "not_found")
"""A proxy before the vendor may not pass the list on: then a wrong voice shows when it speaks."""


def make_voice(model: str | None) -> TextToSpeech:
    """The stage for `chirp-3-hd`, or for a voice by its whole name. None: the default."""
    name = CHIRP_HD if model is None or model.replace("_", "-") == CHIRP_HD else model
    return ClauseVoice(lambda config: SynthesizeRequests(name, config), _TRAITS)


class SynthesizeRequests:
    """Are `ClauseRequests`.

    Raises:
        ConfigError: a setting does not fit, or there is nobody to ask as.
    """

    def __init__(self, model: str, config: SessionConfig) -> None:
        self._settings = settings = VoiceSettings.of(model, config)
        base_url = service_url("texttospeech", settings.location, config.base_url)
        self._credentials: Credentials = credentials_for(config, base_url)
        self.api = HttpApi(base_url, headers={}, idle_s=_IDLE_S, explain=explain)

    async def get_ready(self) -> None:
        """Have a token, and a connection."""
        await self._credentials.headers()
        await self.api.get_ready()

    async def check(self) -> None:
        """Ask for the voices of the language, and see that this one is among them."""
        query, headers = {"languageCode": self._settings.language}, await self._credentials.headers()
        call = HttpCall(path="v1/voices", method="GET", query=query, headers=headers)
        try:
            async for names in self.api.ask(call, JsonBody(_names_in)):
                if self._settings.voice not in names:
                    raise ConfigError(_no_voice(self._settings, names), code="unknown_voice")
        except VoiceBridgeError as error:
            if error.fault.code not in _NO_LIST:
                raise

    async def call(self, clause: str) -> HttpCall:
        """See `ClauseRequests.call`."""
        headers = await self._credentials.headers()
        return HttpCall(path="v1/text:synthesize", headers=headers, json=synthesis_request(self._settings, clause))

    def body(self) -> Body[bytes]:
        """See `ClauseRequests.body`."""
        return JsonBody(samples_in)

    def usage(self, clause: str) -> Usage:
        """See `ClauseRequests.usage`."""
        return Usage({"characters": float(len(clause))}, basis="estimated")


def synthesis_request(settings: VoiceSettings, clause: str) -> dict[str, Any]:
    """The body of a request."""
    audio: dict[str, Any] = {"audioEncoding": "LINEAR16", "sampleRateHertz": _FORMAT.rate}
    if settings.speed is not None:
        audio["speakingRate"] = settings.speed
    return {
        "input": {"text": clause},
        "voice": {"languageCode": settings.language, "name": settings.voice},
        "audioConfig": audio,
    }


def samples_in(answer: Any) -> Iterable[bytes]:
    """The samples of an answer, without the header of a file.

    Raises:
        VoiceBridgeError: it holds none.
    """
    content = answer.get("audioContent") if isinstance(answer, Mapping) else None
    try:
        audio = pybase64.b64decode(content, validate=True) if isinstance(content, str) else None
    except ValueError:
        audio = None
    if audio is None:
        raise VoiceBridgeError("Google answered without audioContent in base64.", code="bad_answer")
    pcm = _without_header(audio)
    yield pcm[: len(pcm) // _FORMAT.frame_bytes * _FORMAT.frame_bytes]


def _without_header(audio: bytes) -> bytes:
    """The data of a WAV file; what is none, as it is."""
    if audio[:4] != b"RIFF" or audio[8:12] != b"WAVE":
        return audio
    at = 12
    while at + 8 <= len(audio):
        size = int.from_bytes(audio[at + 4 : at + 8], "little")
        if audio[at : at + 4] == b"data":
            return audio[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return b""


def _names_in(answer: Any) -> Iterable[frozenset[str]]:
    voices = answer.get("voices") if isinstance(answer, Mapping) else None
    found = voices if isinstance(voices, list) else []
    yield frozenset(str(one["name"]) for one in found if isinstance(one, Mapping) and "name" in one)


def _no_voice(settings: VoiceSettings, names: frozenset[str]) -> str:
    some = ", ".join(sorted(names, key=lambda name: ("Chirp3-HD" not in name, name))[:8])
    return f"Google has no voice {settings.voice}. " + (
        f"In {settings.language} there are {some}." if some else f"It speaks no {settings.language}."
    )
