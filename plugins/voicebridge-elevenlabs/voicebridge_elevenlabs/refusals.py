"""What the vendor means by its errors: in frames, in bodies of HTTP, and in the reasons of closes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from voicebridge.contract.codec import Closed
from voicebridge.contract.fault import Category, Fault
from voicebridge.core.closing import fault_of

__all__ = ["explain", "fault_of_close", "fault_of_message", "named_fault"]

_TABLE: Mapping[str, tuple[Category, str]] = {
    # Scribe realtime: the `message_type`s of the SDK 2.78.
    "auth_error": ("auth", "ElevenLabs refused the key. Check it"),
    "quota_exceeded": ("quota", "The credits of the ElevenLabs account are used up"),
    "unaccepted_terms": ("auth", "The terms of Scribe must be accepted in the ElevenLabs account first"),
    "rate_limited": ("rate", "Too many requests for this ElevenLabs key right now"),
    "commit_throttled": ("rate", "ElevenLabs did not take the end of the utterance: it came too soon"),
    "queue_overflow": ("busy", "ElevenLabs can't keep up with the audio"),
    "resource_exhausted": ("busy", "ElevenLabs is overloaded"),
    "session_time_limit_exceeded": ("planned_end", "The session reached ElevenLabs' time limit"),
    "input_error": ("protocol", "ElevenLabs could not read what was sent"),
    "invalid_request": ("config", "ElevenLabs does not take these settings"),
    "chunk_size_exceeded": ("protocol", "A piece of audio was too long for ElevenLabs"),
    "insufficient_audio_activity": ("planned_end", "ElevenLabs ended a session in which nothing was said"),
    "transcriber_error": ("network", "The transcription failed at ElevenLabs"),
    # Voices: names seen in frames and bodies by users (issues of elevenlabs-python, livekit/agents, pipecat).
    "input_timeout_exceeded": ("planned_end", "ElevenLabs got no text for too long"),
    "invalid_input_message": ("protocol", "ElevenLabs could not read what was sent"),
    "invalid_api_key": ("auth", "ElevenLabs refused the key. Check it"),
    "missing_permissions": ("auth", "The ElevenLabs key may not use this. Check its permissions"),
    "detected_unusual_activity": ("auth", "ElevenLabs does not serve this account from here"),
    "needs_authorization": ("auth", "ElevenLabs wants a key. Check it"),
    "voice_not_found": ("config", "ElevenLabs has no such voice"),
    "voice_id_does_not_exist": ("config", "ElevenLabs has no such voice"),
    "model_not_found": ("config", "ElevenLabs has no such model"),
    "model_id_does_not_exist": ("config", "ElevenLabs has no such model"),
    "max_character_limit_exceeded": ("config", "The text is too long for one request to ElevenLabs"),
    "too_many_concurrent_requests": ("rate", "Too many requests at once for this ElevenLabs plan"),
    "system_busy": ("busy", "ElevenLabs is overloaded"),
}
_AGAIN: frozenset[Category] = frozenset({"network", "rate", "busy", "planned_end"})
_REASONS: tuple[tuple[str, str], ...] = (
    (r"text input within|input timeout", "input_timeout_exceeded"),
    (r"quota|credits", "quota_exceeded"),
    (r"concurren|rate limit|too many", "too_many_concurrent_requests"),
    (r"api key|unauthori[sz]ed|authenticat", "invalid_api_key"),
    (r"voice.*(not exist|not found)|invalid voice", "voice_not_found"),
    (r"model.*(not exist|not found)|invalid model", "model_not_found"),
)
_SHOWN = 200


def named_fault(name: str, details: str) -> Fault | None:
    """What an error by that name means. None: it is not known."""
    if name not in _TABLE:
        return None
    category, message = _TABLE[name]
    return Fault(category=category, code=name, message=_sentence(message, details), retryable=category in _AGAIN)


def fault_of_message(message: Mapping[str, Any]) -> Fault | None:
    """The error that a frame of the websocket for voices tells. None: it tells none."""
    if not message.get("error"):
        return None
    name, details = str(message["error"]), str(message.get("message") or "")
    return named_fault(name, details) or _by_words(f"{name} {details}") or _unknown(name, details or name)


def explain(status: int, body: str) -> Fault | None:
    """What a refusal over HTTP means: the body holds `detail`, with a `status` that says more than the number does.

    An empty account is refused with 401, for one.
    """
    try:
        detail = orjson.loads(body).get("detail")
    except (orjson.JSONDecodeError, AttributeError):
        return None
    if isinstance(detail, Mapping):
        name = str(detail.get("status") or detail.get("code") or "")
        return named_fault(name, str(detail.get("message") or ""))
    if status == 422:
        return _fault("config", "http_422", "ElevenLabs does not take these settings", _problems(detail))
    return None


def fault_of_close(closed: Closed) -> Fault:
    """What the end of a websocket means: 1008 closes what was idle, too, and says so in its reason."""
    if closed.status is not None and (said := explain(closed.status, closed.body)):
        return said
    if closed.by == "peer" and closed.code is not None and (said := _by_words(closed.reason)):
        return said
    return fault_of(closed)


def _by_words(text: str) -> Fault | None:
    for name in _TABLE:
        if name in text:
            return named_fault(name, text)
    for pattern, name in _REASONS:
        if re.search(pattern, text, re.IGNORECASE):
            return named_fault(name, text)
    return None


def _unknown(name: str, details: str) -> Fault:
    return _fault("protocol", name[:40], "ElevenLabs reports an error", details)


def _problems(detail: object) -> str:
    """Those of the validation: a list of `{loc, msg}`."""
    if not isinstance(detail, list):
        return str(detail)
    found = [one for one in detail if isinstance(one, Mapping)]
    return "; ".join(f"{'.'.join(map(str, one.get('loc') or ()))}: {one.get('msg')}" for one in found)


def _fault(category: Category, code: str, message: str, details: str) -> Fault:
    return Fault(category=category, code=code, message=_sentence(message, details), retryable=category in _AGAIN)


def _sentence(message: str, details: str) -> str:
    shown = " ".join(details.split())[:_SHOWN].rstrip(".")
    return f"{message}: {shown}." if shown else f"{message}."
