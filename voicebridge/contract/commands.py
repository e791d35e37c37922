"""What an application asks of a session. Commands go down; nothing else does."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .message import Message

__all__ = [
    "Command",
    "Configure",
    "DiscardTurn",
    "EndTurn",
    "Interrupt",
    "ProviderCommand",
    "ReportPlayed",
    "Respond",
    "SendAudio",
    "SendText",
    "SendToolResult",
    "restart_command_ids",
]

_numbers = itertools.count(1)


def _next_id() -> str:
    return f"c{next(_numbers)}"


def restart_command_ids(first: int = 1) -> None:
    """Make the next command's id `c{first}`: for tests and replays, which need the same ids each time."""
    global _numbers
    _numbers = itertools.count(first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Message):
    """A command. Each but `SendAudio` and `ReportPlayed` is answered by exactly one `CommandSettled`."""

    id: str = field(default_factory=_next_id)
    """Names the command in `CommandSettled`, in `ResponseStarted.answers` and in errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAudio(Command):
    """The user's voice goes on. The count of samples is the clock: a hole must be filled with silence."""

    pcm: bytes
    """Audio in the session's input format. Any length; an odd byte is kept for the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendText(Command):
    """A text item for the conversation."""

    text: str
    role: Literal["user", "system", "assistant"] = "user"
    images: tuple[str, ...] = ()
    """URLs or `data:` URLs of images that belong to the text."""
    respond: bool = True
    """False makes it a note in the context that nobody answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendToolResult(Command):
    """The answer to a `ToolCall`. It may be sent while the response that called still runs."""

    call_id: str
    output: str
    is_error: bool = False
    respond: bool = True
    """True asks for a response once every open call of that response is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndTurn(Command):
    """Push-to-talk: the user has finished. Commits the audio since the last commit."""

    respond: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardTurn(Command):
    """Forget the audio since the last commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond(Command):
    """Ask for a response now. While another runs, it is held and merged with other requests."""

    instructions: str | None = None
    """Added to the session's instructions, for this response alone."""
    say: str | None = None
    """Speak exactly these words."""
    aside: bool = False
    """Out of band: the response never enters the conversation."""
    modality: Literal["audio", "text"] | None = None
    """None is what the session does otherwise."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of this backend for this response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupt(Command):
    """Stop speaking, and remember only what was heard."""

    response_id: str | None = None
    """None stops every response that runs or was asked for."""
    heard: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds that left the speaker, by response. 0 deletes its item. Of one not named, a backend with a playback
    clock of its own takes what that says; others cut nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPlayed(Command):
    """The player tells how far it has come."""

    response_id: str
    ms: float
    """Milliseconds of that response's audio, from its first sample, that left the speaker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure(Command):
    """Change the session while it runs."""

    patch: Mapping[str, Any]
    """Fields of `SessionConfig` by name, with their new values. A managed session also takes `backend`, a spec, and
    turns what its backend can't change while it runs into a handover. Formats of audio never change."""

    def __post_init__(self) -> None:
        if isinstance(self.patch, Mapping) and isinstance(key := self.patch.get("api_key"), str):
            from pydantic import SecretStr  # which takes long to import, and few commands need it

            # Commands are shown and logged.
            object.__setattr__(self, "patch", {**self.patch, "api_key": SecretStr(key)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCommand(Command):
    """The way out of the contract, downwards: a payload for one backend in its own words."""

    payload: Mapping[str, Any]
