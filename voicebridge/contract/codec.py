"""A native backend's pure half: frames of one vendor's wire in, events out, and commands back into frames.

A codec has no socket, no clock and no task; one instance serves one connection. `voicebridge.transport.link` moves the
bytes for all of them, keeps the promises of `VoiceSession` that have nothing to do with a wire, and survives whatever a
codec raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from .capabilities import Capabilities
from .commands import Command
from .events import Event
from .fault import Fault
from .items import Item

if TYPE_CHECKING:
    from .config import SessionConfig

__all__ = ["Closed", "Codec", "Endpoint", "Frame", "Liveness", "Tick", "Timeouts"]

Frame = str | bytes
"""One websocket message: text or binary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a backend may take. None waits for ever."""

    connect_s: float | None = 10.0
    """Seconds from the dial to `SessionReady`."""
    first_output_s: float | None = 20.0
    """Seconds from the request for a response (or the end of a turn, or the last tool result) to its start, and from
    there to its first audio, text or call."""
    acknowledge_s: float | None = 30.0
    """Seconds from any other command to its settlement."""
    between_outputs_s: float | None = 20.0
    """Seconds between two pieces of a running response. Keep-alives and news of other things don't count; a
    `ProviderEvent` whose payload names the `response_id` does."""
    total_s: float | None = 600.0
    """Seconds from a response's start to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """When a connection counts as dead though nobody closed it (a half-open socket)."""

    ping_interval_s: float = 5.0
    """Seconds between pings while nothing is sent. While audio is sent, pings also measure what has arrived."""
    dead_after_s: float = 20.0
    """Seconds after a ping without any frame, pongs included. Vendors answer pings late when they are busy."""
    barrier_interval_s: float = 1.0
    """The fewest seconds between two pings that measure what has arrived."""
    unconfirmed_s: float | None = 2.0
    """Seconds of audio that may be on their way, unconfirmed by a pong, before `send` waits. None: no limit, for a
    vendor whose pongs come late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where and how to dial."""

    url: str
    """`wss://` or `ws://`, without secrets: it may be shown in errors."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with the handshake and shown nowhere."""
    subprotocols: tuple[str, ...] = field(default=(), repr=False)
    secret_query: str = field(default="", repr=False)
    """Appended to the query of the URL, and shown nowhere: a signature, where the URL itself is what opens the door."""
    timeouts: Timeouts = Timeouts()
    liveness: Liveness = Liveness()
    max_frame_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time passes. Comes every 50 ms to a codec with `ticks = True`."""

    at: float
    """Seconds on the monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """How a connection ended, or why there never was one. Never an exception class: vendors end calls by 1001."""

    by: Literal["peer", "us", "nobody"]
    """Who sent the first close frame; `nobody`: the connection was lost, or refused before it was one."""
    code: int | None = None
    """Of the close frame."""
    reason: str = ""
    """Of the close frame, or of the network."""
    status: int | None = None
    """HTTP status of a refused handshake."""
    body: str = ""
    """The beginning of what came with that status."""
    retry_after_s: float | None = None
    """Seconds that the server asked us to wait."""
    problem: Literal["", "dns", "no_such_host", "refused", "timeout", "reset", "tls", "silent", "garbage"] = ""
    """What went wrong on the network, where no close frame and no status tells."""


class Codec(Protocol):
    """What a plugin writes for a native backend. All calls come from one task at a time.

    Every `CommandSettled`, `ResponseEnded` and `UserTurn` that the wire tells comes from here. What is still open when
    the connection ends, the link settles.
    """

    ticks: bool
    """Whether `decode` wants `Tick`s: for keep-alives and inferred ends."""

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do now, its formats those of the wire. What the wire rules out on the way, goes."""

    def endpoint(self, config: SessionConfig) -> Endpoint:
        """Where to dial.

        Raises:
            ConfigError: the config asks for what this backend has not.
        """

    def open(self, config: SessionConfig, history: Sequence[Item], resume: str | None) -> Sequence[Frame]:
        """The first frames of a connection: settings and what was said before.

        Raises:
            ConfigError: as `endpoint`.
        """

    def encode(self, command: Command) -> Sequence[Frame | Event]:
        """The frames of a command, in order; an event among them is told once the frames before it are on the wire.

        Called only after `SessionReady`. All of it or nothing: what it raises, it raises before it has changed.

        Raises:
            Unsupported: the backend can't do it.
            ConfigError: it does not fit.
        """

    def check(self, command: Command) -> None:
        """Raise what `encode` would raise of a command that can be known without the session's state. Changes nothing.

        Raises:
            Unsupported, ConfigError: as `encode`.
        """

    def decode(self, received: Frame | Tick) -> Iterable[Event | Frame]:
        """The events of a frame, and frames to send in return: pongs, held requests, the cancelling of orphans.

        They go out in order, behind what was sent before. `SessionReady` comes once. An `Interrupt` also stops what was
        asked for and has not started: the link lets nobody hear it; to cancel it when it starts is the codec's work.

        Whatever it raises (also: a frame that is none of this wire's) becomes a `BackendError` of category `protocol`;
        what it yielded before that counts. After 25 such frames in a row the session ends.
        """

    def classify(self, closed: Closed) -> Fault:
        """What the end of the connection means on this wire. `voicebridge.core.closing.fault_of` knows the usual."""
