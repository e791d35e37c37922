"""What a backend can do, and how. Data, never a question after its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .audio import AudioFormat
from .message import Message

__all__ = ["Capabilities"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities(Message):
    """Declared before a connection as an upper bound; narrowed by the handshake. Sets where several hold."""

    turns: frozenset[Literal["server_vad", "semantic", "manual", "full_duplex"]] = frozenset()
    """Who finds the end of the user's turn."""
    interrupt: frozenset[Literal["verb", "auto", "auto_off"]] = frozenset()
    """`verb`: by command. `auto`: by itself when the user speaks. `auto_off`: that can be turned off."""
    truncate: Literal["ms", "correction", "none"] = "none"
    """How the conversation learns what was heard."""
    respond: frozenset[Literal["verb", "instructions", "say", "aside"]] = frozenset()
    """What `Respond` may carry; empty: responses can't be asked for."""
    inputs: frozenset[Literal["audio", "text", "image"]] = frozenset()
    outputs: frozenset[Literal["audio", "text"]] = frozenset()
    """What answers can be. `audio`: spoken; the words come along as `OutputText` of kind `speech`, and need no `text`
    here. `text`: in writing alone, where `SessionConfig.outputs` says so. Empty: the backend only transcribes."""
    context: Literal["item", "instructions", "none"] = "none"
    """What a note that nobody answers becomes."""
    tools: Literal["none", "blocking", "async"] = "none"
    tool_reply: Literal["asked", "automatic"] = "asked"
    """`automatic`: it answers a tool result by itself, whatever `respond` says."""
    seed: frozenset[Literal["text", "user_audio", "tools", "instructions"]] = frozenset()
    """What of an earlier conversation it can be started with."""
    seed_max_items: int | None = None
    seed_max_bytes: int | None = None
    live_update: frozenset[Literal["instructions", "tools", "voice", "turns"]] = frozenset()
    """What `Configure` may change while the session runs."""
    resume: Literal["native", "replay"] = "replay"
    """How a lost session goes on: by the vendor's own ticket, or by seeding a new one."""
    response_bounds: Literal["reported", "inferred"] = "reported"
    speech_events: Literal["reported", "inferred", "none"] = "none"
    input_transcript: Literal["live", "late", "none"] = "none"
    alignment: Literal["word", "delta", "none"] = "none"
    """How finely output text is placed in output audio."""
    settles: Literal["reported", "sent"] = "reported"
    usage: Literal["exact", "estimated", "none"] = "none"
    formats_in: tuple[AudioFormat, ...] = ()
    formats_out: tuple[AudioFormat, ...] = ()
    max_session_s: float | None = None
    """Seconds after which the backend ends a session. None: not known to."""
