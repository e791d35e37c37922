"""How a realtime transcription session is opened: its address and its settings. Pure.

The fields are those of the `openai` SDK 3.54: `types/realtime/realtime_transcription_session_create_request_param.py`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import orjson

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import Unsupported
from voicebridge_openai.addresses import address
from voicebridge_openai.dialects import DIALECTS, PCM24K, Dialect

from .models import transcriber
from .options import TranscriptionSessionOptions

__all__ = ["FORMAT", "session_update", "session_url"]

FORMAT = PCM24K
"""The only one that such a session takes."""


def session_url(dialect: Dialect, base_url: str | None) -> str:
    """Where to dial.

    Raises:
        ConfigError: see `address`.
    """
    parts = urlsplit(address(dialect, "", base_url))
    query = "&".join(filter(None, (parts.query, urlencode({"intent": "transcription"}))))
    return urlunsplit(parts._replace(query=query))


def session_update(model: str, config: SessionConfig, options: TranscriptionSessionOptions) -> str:
    """The first frame: what to write down, and that turns end by `commit`.

    Raises:
        Unsupported: the model takes no keywords, no prompt, no list of languages, or no delay.
    """
    audio: dict[str, Any] = {
        "format": {"type": "audio/pcm", "rate": FORMAT.rate},
        "transcription": _transcription(model, config, options),
        "turn_detection": None,
    }
    if config.noise_reduction is not None:
        strength = {} if options.noise_strength is None else {"strength": options.noise_strength}
        audio["noise_reduction"] = {"type": config.noise_reduction, **strength}
    elif options.noise_strength is not None:
        raise Unsupported("noise_strength needs noise_reduction.")
    session = {"type": "transcription", "audio": {"input": audio}}
    return orjson.dumps({"type": "session.update", "event_id": "settings", "session": session}).decode()


def _transcription(model: str, config: SessionConfig, options: TranscriptionSessionOptions) -> dict[str, Any]:
    row = transcriber("openai", model)
    keywords = list(config.transcription.keywords) if config.transcription else []
    body: dict[str, Any] = {"model": model}
    if options.languages:
        if row is not None and row.keywords != "keywords":
            raise Unsupported(f"{model} takes no list of languages: choose gpt-live-transcribe, or set `language`.")
        body["languages"] = list(options.languages)
    elif config.language:
        body["language"] = config.language.partition("-")[0].lower()
    how = "prompt" if row is None else row.keywords
    if how == "none" and (keywords or options.prompt is not None):
        raise Unsupported(f"{model} takes no keywords and no prompt: choose gpt-live-transcribe or gpt-4o-transcribe.")
    if how == "keywords" and keywords:
        body["keywords"], keywords = keywords, []
    if prompt := " ".join(filter(None, (options.prompt, ", ".join(keywords)))):
        body["prompt"] = prompt
    if options.delay is not None:
        if row is not None and not row.delays:
            raise Unsupported(f"{model} takes no delay: choose gpt-realtime-whisper.")
        body["delay"] = options.delay
    return body


OPENAI: Dialect = DIALECTS["openai"]
