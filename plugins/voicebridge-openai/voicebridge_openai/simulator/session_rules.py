"""What may stand in `session.update` and `response.create`: the fields of the SDK's types, as shapes."""

from __future__ import annotations

from typing import Any

from .protocol_error import ProtocolError, wrong_type
from .shape import Check, any_of, array, boolean, constant, free, integer, mapping, nullable, number, record, text

__all__ = ["MODALITIES", "VOICES", "check_expiry", "check_response", "check_session", "check_transcription_session"]

VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
_TRANSCRIBERS = (
    "whisper-1",
    "gpt-transcribe",
    "gpt-live-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe",
    "gpt-4o-transcribe-diarize",
    "gpt-realtime-whisper",
)


def _tagged(kinds: dict[str, Check]) -> Check:
    """An object whose `type` says which shape it has."""

    def check(value: Any, param: str) -> None:
        if not isinstance(value, dict):
            raise wrong_type(param, "an object", value)
        record({"type": constant(*kinds), **dict.fromkeys(set(value) - {"type"}, free)}, required=("type",))(
            value, param
        )
        kinds[value["type"]](value, param)

    return check


_TYPE = {"type": free}
_FORMAT = _tagged(
    {
        "audio/pcm": record(_TYPE | {"rate": constant(24000)}),
        "audio/pcmu": record(_TYPE),
        "audio/pcma": record(_TYPE),
    }
)
_TURN_SWITCHES = {"create_response": boolean, "interrupt_response": boolean}
_TURN_DETECTION = _tagged(
    {
        "server_vad": record(
            _TYPE
            | _TURN_SWITCHES
            | {
                "threshold": number(0, 1),
                "prefix_padding_ms": integer(0, 10_000),
                "silence_duration_ms": integer(0, 10_000),
                "idle_timeout_ms": nullable(integer(5_000, 30_000)),
            }
        ),
        "semantic_vad": record(_TYPE | _TURN_SWITCHES | {"eagerness": constant("low", "medium", "high", "auto")}),
    }
)
_TRANSCRIPTION = record(
    {
        "model": constant(*_TRANSCRIBERS),
        "language": nullable(text()),
        "languages": nullable(array(text())),
        "keywords": nullable(array(text())),
        "prompt": nullable(text()),
        "delay": nullable(constant(*_EFFORTS)),
    }
)
_NOISE = record({"type": constant("near_field", "far_field"), "strength": nullable(number(0, 1))}, required=("type",))
_VOICE = any_of(record({"id": text()}, required=("id",)), constant(*VOICES))
_OUTPUT = {"format": _FORMAT, "voice": _VOICE}
MODALITIES = array(constant("audio", "text"), least=1, most=1)
_TOOL = _tagged(
    {
        "function": record(
            _TYPE | {"name": text(longest=64), "description": text(), "parameters": mapping}, required=("name",)
        ),
        "mcp": free,
    }
)
_TOOL_CHOICE = any_of(
    record({"type": constant("function", "mcp"), "name": text(), "server_label": text()}, required=("type",)),
    constant("auto", "none", "required"),
)
_MAX_TOKENS = any_of(constant("inf"), integer(1, 32_000))
_TRUNCATION = any_of(
    record(
        {"type": constant("retention_ratio"), "retention_ratio": number(0, 1), "token_limits": free},
        required=("type",),
    ),
    constant("auto", "disabled"),
)
_EXPIRY = record({"anchor": constant("created_at"), "seconds": integer(10, 7200)})
_REASONING = record({"effort": constant(*_EFFORTS)})

_SHARED: dict[str, Check] = {
    "instructions": text(),
    "output_modalities": MODALITIES,
    "tools": array(_TOOL, most=128),
    "tool_choice": _TOOL_CHOICE,
    "max_output_tokens": _MAX_TOKENS,
    "reasoning": nullable(_REASONING),
    "parallel_tool_calls": boolean,
    "prompt": free,
}
_SESSION = record(
    _SHARED
    | {
        "type": constant("realtime"),
        "model": text(),
        "audio": record(
            {
                "input": record(
                    {
                        "format": _FORMAT,
                        "noise_reduction": nullable(_NOISE),
                        "transcription": nullable(_TRANSCRIPTION),
                        "turn_detection": nullable(_TURN_DETECTION),
                    }
                ),
                "output": record(_OUTPUT | {"speed": number(0.25, 1.5)}),
            }
        ),
        "tracing": free,
        "truncation": _TRUNCATION,
        "include": nullable(array(constant("item.input_audio_transcription.logprobs"))),
    },
    required=("type",),
)

_TRANSCRIPTION_DETECTION = _tagged(
    {
        "server_vad": record(
            _TYPE
            | {
                "threshold": number(0, 1),
                "prefix_padding_ms": integer(0, 10_000),
                "silence_duration_ms": integer(0, 10_000),
            }
        ),
        "semantic_vad": record(_TYPE | {"eagerness": constant("low", "medium", "high", "auto")}),
    }
)
_TRANSCRIPTION_SESSION = record(
    {
        "type": constant("transcription"),
        "audio": record(
            {
                "input": record(
                    {
                        "format": _FORMAT,
                        "noise_reduction": nullable(_NOISE),
                        "transcription": nullable(_TRANSCRIPTION),
                        "turn_detection": nullable(_TRANSCRIPTION_DETECTION),
                    }
                )
            }
        ),
        "include": nullable(array(constant("item.input_audio_transcription.logprobs"))),
    },
    required=("type",),
)


def _metadata(value: Any, param: str) -> None:
    if not isinstance(value, dict):
        raise wrong_type(param, "an object", value)
    if len(value) > 16:
        raise ProtocolError("invalid_value", f"Invalid '{param}': too many properties. Expected at most 16.", param)
    for name, one in value.items():
        text(longest=512)(one, f"{param}.{name}")


_RESPONSE = record(
    _SHARED
    | {
        "instructions": nullable(text()),  # LiveKit sends null where it has none, to the vendor as well
        "audio": record({"output": record(_OUTPUT)}),
        "conversation": constant("auto", "none"),
        "input": array(free),
        "metadata": nullable(_metadata),
    }
)


def check_session(session: Any) -> None:
    """Raises `ProtocolError` where a session's settings don't fit."""
    _SESSION(session, "session")


def check_transcription_session(session: Any) -> None:
    """Raises `ProtocolError` where the settings of a session that only transcribes don't fit."""
    _TRANSCRIPTION_SESSION(session, "session")


def check_response(response: Any) -> None:
    """Raises `ProtocolError` where a response's settings don't fit."""
    _RESPONSE(response, "response")


def check_expiry(expiry: Any) -> None:
    """Raises `ProtocolError` where what says how long an ephemeral key lives does not fit."""
    _EXPIRY(expiry, "expires_after")
