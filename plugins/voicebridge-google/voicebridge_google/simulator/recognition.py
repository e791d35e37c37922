"""A request to recognise, read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pybase64

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import BadAudio
from voicebridge.testing.simulator.upload import read_upload
from voicebridge.testing.simulator.wire import HttpRequest

from .refusal import Refusal

__all__ = ["Recognition", "body_of", "invalid"]

_PATH = re.compile(r"/v2/projects/[^/]+/locations/[^/]+/recognizers/[^/]+:recognize")
_LONGEST_MS = 60_000
_LINEAR16 = ("LINEAR16", 1)
"""By its name, or by its number, as the vendor's own client writes it."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """What is to be heard."""

    pcm: bytes
    format: AudioFormat
    language: str
    word_times: bool

    @classmethod
    def of(cls, request: HttpRequest) -> Recognition:
        """Read it.

        Raises:
            Refusal: it does not fit.
        """
        if not _PATH.fullmatch(request.path):
            raise Refusal(404, "NOT_FOUND", f"{request.path} is not simulated.")
        body = body_of(request)
        config = body.get("config")
        if not isinstance(config, Mapping) or not isinstance(config.get("model"), str):
            raise invalid("config.model is missing.")
        languages = config.get("languageCodes")
        if not isinstance(languages, list) or not languages or not all(isinstance(one, str) for one in languages):
            raise invalid("config.languageCodes is missing.")
        pcm, source = _audio(body.get("content"), config)
        if source.ms(len(pcm)) > _LONGEST_MS:
            raise invalid("The audio is longer than a minute: use BatchRecognize.")
        features = config.get("features")
        timed = isinstance(features, Mapping) and features.get("enableWordTimeOffsets") is True
        return cls(pcm, source, "en-US" if languages[0] == "auto" else languages[0], timed)


def body_of(request: HttpRequest) -> Mapping[str, Any]:
    """The JSON object that was sent.

    Raises:
        Refusal: it is none.
    """
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, Mapping):
        raise invalid("The body is no JSON object.")
    return body


def invalid(message: str) -> Refusal:
    """A request that does not fit."""
    return Refusal(400, "INVALID_ARGUMENT", message)


def _audio(content: object, config: Mapping[str, Any]) -> tuple[bytes, AudioFormat]:
    try:
        audio = pybase64.b64decode(content, validate=True) if isinstance(content, str) else b""
        bare = _bare(config.get("explicitDecodingConfig"))
        if bare is None and "autoDecodingConfig" not in config:
            raise invalid("A decoding config is missing.")
        upload = read_upload(audio, bare=bare)
    except (ValueError, BadAudio) as error:
        raise invalid(f"The content is no audio that can be read: {error}") from None
    return upload.pcm, upload.format


def _bare(decoding: object) -> AudioFormat | None:
    if decoding is None:
        return None
    rate = decoding.get("sampleRateHertz") if isinstance(decoding, Mapping) else None
    if not isinstance(decoding, Mapping) or decoding.get("encoding") not in _LINEAR16 or not isinstance(rate, int):
        raise invalid("Of explicitDecodingConfig only LINEAR16 is simulated.")
    if decoding.get("audioChannelCount", 1) != 1:
        raise invalid("Only one channel is simulated.")
    return AudioFormat(rate=rate)
