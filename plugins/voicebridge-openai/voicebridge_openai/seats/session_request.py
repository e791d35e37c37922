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

__all__ = ["FORMAT", "OPENAI", "PADDING_MS", "session_update", "session_url", "turn_detection"]

FORMAT = PCM24K
"""The only one that such a session takes."""
OPENAI: Dialect = DIALECTS["openai"]
PADDING_MS = 300
"""Of audio before the speech that was found: the vendor counts it in."""
_NO_DETECTION = "gpt-realtime-whisper"


def session_url(dialect: Dialect, base_url: str | None) -> str:
    """Where to dial.

    Raises:
        ConfigError: see `address`.
    """
    parts = urlsplit(address(dialect, "", base_url))
    query = "&".join(filter(None, (parts.query, urlencode({"intent": "transcription"}))))
    return urlunsplit(parts._replace(query=query))


def turn_detection(config: SessionConfig, options: TranscriptionSessionOptions) -> dict[str, Any]:
    """How the vendor is to find the ends of turns.

    Raises:
        Unsupported: a setting of the other way to find them.
    """
    turns = config.turns
    by_silence = turns.silence_ms is not None or turns.sensitivity is not None
    kind = options.detection or ("server_vad" if by_silence else "semantic_vad")
    if kind == "semantic_vad":
        if by_silence:
            raise Unsupported("Semantic turn detection has no silence_ms and no sensitivity: use the option eagerness.")
        return {"type": kind, "eagerness": options.eagerness or "auto"}
    if options.eagerness is not None:
        raise Unsupported("eagerness is of semantic turn detection: leave silence_ms and sensitivity out.")
    silence_ms = 500 if turns.silence_ms is None else turns.silence_ms
    found: dict[str, Any] = {"type": kind, "prefix_padding_ms": PADDING_MS, "silence_duration_ms": silence_ms}
    if turns.sensitivity is not None:
        found["threshold"] = round(1 - turns.sensitivity, 3)
    return found


def session_update(
    model: str, config: SessionConfig, options: TranscriptionSessionOptions, *, detects: bool = False
) -> str:
    """The first frame: what to write down, and how turns end.

    Args:
        detects: the vendor finds their ends; else they end by `commit`.

    Raises:
        Unsupported: the model takes no keywords, no prompt, no list of languages, no delay, or finds no turns.
    """
    if detects and model == _NO_DETECTION:
        raise Unsupported(f"{model} finds no turns: choose another model, or leave `turns/` out of its name.")
    if not detects and (options.detection or options.eagerness):
        raise Unsupported("detection and eagerness are for sessions that find turns, named `openai/turns/<model>`.")
    audio: dict[str, Any] = {
        "format": {"type": "audio/pcm", "rate": FORMAT.rate},
        "transcription": _transcription(model, config, options),
        "turn_detection": turn_detection(config, options) if detects else None,
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
