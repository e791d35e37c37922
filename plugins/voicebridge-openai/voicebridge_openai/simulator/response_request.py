"""What one response is asked to be: the settings of the session, with those of `response.create` above them. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from voicebridge.contract.audio import AudioFormat

from .protocol_error import ProtocolError
from .session_rules import check_response
from .session_state import SessionState, wire_format

__all__ = ["ResponseRequest", "read_request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRequest:
    """The settings of one response."""

    modality: str
    """`audio` or `text`."""
    max_output_tokens: Any
    output: dict[str, Any]
    """`format` and `voice`."""
    speed: float
    instructions: str
    """Of this response alone; empty: those of the session."""
    tools: list[dict[str, Any]]
    tool_choice: Any
    given: str
    """Instructions and tools as text, for the count of tokens."""
    aside: bool = False
    """Out of band: it leaves nothing in the conversation."""
    input: list[Any] | None = None
    """What it sees in place of the conversation."""
    metadata: Any = None
    event_id: Any = None
    """Of the client's event."""
    output_modalities: list[str] = field(default_factory=list)

    @property
    def format(self) -> AudioFormat:
        """Of the audio that it makes."""
        return wire_format(self.output["format"])


def read_request(asked: Any, session: SessionState, event_id: Any = None) -> ResponseRequest:
    """The request of a `response.create`, or with `asked` empty that of a turn.

    Raises:
        ProtocolError: a field does not fit.
    """
    asked = {} if asked is None else asked
    check_response(asked)
    whole = session.data
    own = asked.get("audio", {}).get("output", {})
    output = {name: own.get(name, whole["audio"]["output"][name]) for name in ("format", "voice")}
    if session.spoken and output["voice"] != whole["audio"]["output"]["voice"]:
        message = "Cannot update a conversation's voice if assistant audio is present."
        raise ProtocolError("cannot_update_voice", message, "response.audio.output.voice")
    tools = asked.get("tools", whole["tools"])
    modalities = asked.get("output_modalities") or whole["output_modalities"]
    instructions = asked.get("instructions") or ""
    return ResponseRequest(
        modality=modalities[0],
        output_modalities=list(modalities),
        max_output_tokens=asked.get("max_output_tokens", whole["max_output_tokens"]),
        output=output,
        speed=whole["audio"]["output"]["speed"],
        instructions=instructions,
        tools=[] if asked.get("tool_choice", whole["tool_choice"]) == "none" else tools,
        tool_choice=asked.get("tool_choice", whole["tool_choice"]),
        given=(instructions or whole["instructions"]) + (json.dumps(tools) if tools else ""),
        aside=asked.get("conversation") == "none",
        input=asked.get("input"),
        metadata=asked.get("metadata"),
        event_id=event_id,
    )
