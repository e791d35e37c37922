"""The two promises: a session takes commands and yields events; a backend opens sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .capabilities import Capabilities
from .commands import Command
from .events import Event
from .items import Item

if TYPE_CHECKING:
    from .config import SessionConfig

__all__ = ["Backend", "VoiceSession"]


@runtime_checkable
class VoiceSession(Protocol):
    """One live conversation with a backend.

    Every session promises:

    1. Each command but `SendAudio` and `ReportPlayed` gets exactly one `CommandSettled`.
    2. `send` raises `Unsupported` or `ConfigError` before anything is sent, waits only for room, and keeps order: audio
       never passes a commit, `Interrupt` passes audio. Commands sent before `SessionReady` wait in order (audio: 30 s
       of it).
    3. One consumer. The iterator may be left and taken up again, or its wait cancelled, without losing an event.
    4. It reads and reacts whether or not anyone iterates. Undelivered audio is bounded to 120 s.
    5. After `send(Interrupt())` returns, and after a `ResponseEnded` that is not `completed`, none of that response's
       audio is delivered.
    6. Each `ResponseStarted` has exactly one `ResponseEnded`; a response asked for while another runs is held.
    7. A fatal `BackendError` is the last event; the iterator then raises `SessionFailed`. Our own `aclose` ends it.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do."""

    async def send(self, command: Command) -> None:
        """Give a command. Cancelled, it has sent all of it or nothing.

        Raises:
            Unsupported: the backend can't do it.
            ConfigError: it does not fit: a field of the wrong type, a setting that does not exist (`BadOption`).
            SessionClosed: the session is over.
        """

    def __aiter__(self) -> AsyncIterator[Event]:
        """The events, in order. Ends after `aclose`; raises `SessionFailed` when the session ended by itself."""

    async def aclose(self) -> None:
        """End the session and release what it holds. May be called again; takes a bounded time."""


class Backend(Protocol):
    """What `register_backends` registers: a recipe for sessions, without state.

    It may also have `check(config)`, which raises what `connect` would raise of a config, without a connection: then
    what can't be is told at once of a backend that a call may go to later.
    """

    @property
    def capabilities(self) -> Capabilities:
        """An upper bound, known without a connection."""

    def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AbstractAsyncContextManager[VoiceSession]:
        """A session in the backend's own formats, the first ones of its capabilities.

        Raises:
            ConfigError: the config asks for what this backend has not.
        """
