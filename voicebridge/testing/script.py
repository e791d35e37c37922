"""What a scripted session does: data only. `scripted_session.py` plays it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import (
    Command,
    Configure,
    DiscardTurn,
    EndTurn,
    Interrupt,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.events import Event
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item
from voicebridge.contract.stages import PCM_16K

__all__ = ["SCRIPTED_CAPABILITIES", "Call", "Reply", "Script", "door_formats", "refusal"]

SCRIPTED_CAPABILITIES = Capabilities(
    turns=frozenset({"server_vad", "manual"}),
    interrupt=frozenset({"verb", "auto", "auto_off"}),
    truncate="ms",
    respond=frozenset({"verb", "instructions", "say", "aside"}),
    inputs=frozenset({"audio", "text"}),
    outputs=frozenset({"audio", "text"}),
    context="item",
    tools="blocking",
    seed=frozenset({"text", "tools", "instructions"}),
    live_update=frozenset({"instructions", "tools", "voice", "turns"}),
    speech_events="reported",
    input_transcript="late",
    alignment="word",
    formats_in=(PCM_16K,),
    formats_out=(DOOR_FORMAT,),
)
"""All that a scripted session can do. `dataclasses.replace` takes some of it away."""


@dataclass(frozen=True, slots=True)
class Call:
    """The model calls a tool. Each call gets an id of its own."""

    name: str
    arguments: str = "{}"
    """JSON text."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One response."""

    text: str = ""
    """What it says, word by word."""
    calls: tuple[Call, ...] = ()
    """What it calls after that."""
    wait_s: float = 0.0
    """Seconds from its start to its first output."""
    word_s: float = 0.0
    """Seconds from each word to the next. 0: as fast as it goes, as most vendors do."""
    status: Literal["completed", "incomplete"] = "completed"
    fault: Fault | None = None
    """Why it fails once all this was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Everything that a session will do."""

    replies: Sequence[Reply | str] | Callable[[tuple[Item, ...]], Reply | str] = ("Hello.",)
    """One for each response, the last one again and again; or a function of the conversation so far."""
    user: Sequence[str] = ("hello",)
    """What the user is understood to say, one for each turn; the last one again and again."""
    ready_s: float = 0.0
    """Seconds that connecting takes."""
    character_ms: float = 60.0
    """Milliseconds of audio for each character."""
    faults: Mapping[type[Command], Fault] = field(default_factory=dict)
    """Commands of these classes are not carried out, and settled so."""
    moments: Sequence[tuple[float, Event | Reply | Fault]] = ()
    """What happens by itself, with seconds since `SessionReady`: an event is told, a reply is said as soon as nothing
    else is, and a fault ends the session."""
    capabilities: Capabilities = SCRIPTED_CAPABILITIES


def door_formats(can: Capabilities) -> tuple[AudioFormat, AudioFormat]:
    """Of the audio in and out. Where there is none, what stands in `SessionReady` does not matter."""
    return next(iter(can.formats_in), DOOR_FORMAT), next(iter(can.formats_out), DOOR_FORMAT)


def refusal(command: Command, can: Capabilities) -> str:
    """Why a backend with these capabilities does not take a command; empty where it does."""
    match command:
        case SendAudio() if "audio" not in can.inputs:
            return "takes no audio"
        case SendText(images=images) if images and "image" not in can.inputs:
            return "takes no images"
        case SendText() if "text" not in can.inputs:
            return "takes no text"
        case SendText(respond=True) if not can.outputs:
            return "answers nothing"
        case SendText(respond=False) if can.context == "none":
            return "takes no notes"
        case SendToolResult() if can.tools == "none":
            return "has no tools"
        case EndTurn() | DiscardTurn() if "manual" not in can.turns:
            return "has no push-to-talk"
        case Interrupt() if "verb" not in can.interrupt:
            return "can't be interrupted by command"
        case Respond():
            return _respond_refusal(command, can)
        case Configure(patch=patch) if beyond := sorted(set(patch) - can.live_update - {"speed", "max_output_tokens"}):
            return f"can't change {', '.join(beyond)} while it runs"
    return ""


def _respond_refusal(command: Respond, can: Capabilities) -> str:
    if "verb" not in can.respond:
        return "can't be asked for a response"
    asked = {"instructions": command.instructions, "say": command.say, "aside": command.aside}
    if beyond := [name for name, value in asked.items() if value and name not in can.respond]:
        return f"takes no {beyond[0]} with Respond"
    if command.options:
        return "has no options for a single response"
    return "" if command.modality is None or command.modality in can.outputs else f"gives no {command.modality}"
