"""What a session tells its application. Events go up; nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .audio import AudioFormat
from .capabilities import Capabilities
from .fault import Fault
from .message import Message

__all__ = [
    "BackendError",
    "CommandSettled",
    "Event",
    "InputTranscript",
    "Interruption",
    "Limit",
    "OutputAudio",
    "OutputHeard",
    "OutputText",
    "ProviderEvent",
    "ResponseEnded",
    "ResponseStarted",
    "SessionNotice",
    "SessionReady",
    "SessionRestarted",
    "ToolCall",
    "ToolCallCancelled",
    "UsageReported",
    "UserTurn",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Message):
    """Something that happened in a session."""

    at: float = 0.0
    """Seconds on the monotonic clock. The session stamps it once; no codec and no stage sets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReady(Event):
    """The backend listens. Comes once."""

    session_id: str
    model: str
    """The model that serves, as "vendor/model" (a cascade joins its seats with "+")."""
    capabilities: Capabilities
    input_format: AudioFormat
    output_format: AudioFormat
    expires_in_s: float | None = None
    """Seconds until the backend will end the session. None: not known to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit(Message):
    """How much of an allowance is left."""

    name: str
    limit: float | None = None
    remaining: float | None = None
    reset_s: float | None = None
    """Seconds until it is full again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionNotice(Event):
    """News of the session itself: it will end, it can be resumed, how much of a limit is left."""

    expires_in_s: float | None = None
    """Seconds until it will end, where that is the news."""
    resume: str | None = None
    """An opaque ticket for `Backend.connect(resume=)`."""
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRestarted(Event):
    """Another connection carries the conversation now."""

    ready: SessionReady
    reason: Literal["expiry", "drop", "failover", "swap", "reconfigure"]
    carried: Literal["native", "items", "text", "none"]
    """How much of the conversation the new one knows."""
    gap_ms: float
    """Milliseconds during which nobody listened."""
    lost_audio_ms: float
    """Milliseconds of the user's voice that reached nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTurn(Event):
    """Where the user's turn stands: speech, then pause and speech any number of times, then committed or discarded."""

    turn_id: str
    phase: Literal["speech", "pause", "committed", "discarded"]
    audio_ms: float
    """Milliseconds from the first sample ever sent into this session to where this phase began."""
    source: Literal["server", "local", "client", "inferred"] = "local"
    """Who noticed: the vendor, a detector on this machine, the application, or a deduction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputTranscript(Event):
    """What the user said in a turn, so far. It replaces what was told before."""

    turn_id: str
    text: str
    final: bool
    fault: Fault | None = None
    """Why there will be no transcript. Only on a final one."""
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseStarted(Event):
    """The backend begins to answer."""

    response_id: str
    cause: Literal["user", "request", "tool", "spontaneous"]
    answers: tuple[str, ...] = ()
    """The ids of the turns and commands that it answers."""
    bounds: Literal["reported", "inferred"] = "reported"
    aside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputAudio(Event):
    """A piece of the agent's voice. Hand it to a player: never play it inside the loop that reads events."""

    response_id: str
    pcm: bytes
    offset_ms: float
    """Milliseconds from the response's first sample to this piece's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputText(Event):
    """A piece of the agent's words."""

    response_id: str
    delta: str
    kind: Literal["speech", "text", "thought"] = "speech"
    """`speech` has audio, `text` has none, `thought` is never spoken nor kept."""
    start_ms: float | None = None
    """Milliseconds from the response's first sample to where these words begin, where known."""
    end_ms: float | None = None
    """Milliseconds, as `start_ms`: where they end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall(Event):
    """The model wants something done. Answer it with `SendToolResult`."""

    response_id: str
    call_id: str
    name: str
    arguments: str
    """JSON text, whole. A model may write invalid JSON: it is passed on as it is."""
    blocking: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallCancelled(Event):
    """The call need not be answered any more."""

    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseEnded(Event):
    """The response is over. Exactly one for each that started."""

    response_id: str
    status: Literal["completed", "interrupted", "incomplete", "failed", "lost"]
    reason: str | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputHeard(Event):
    """What the user heard of a response. May follow `ResponseEnded`; the last one counts."""

    response_id: str
    heard_ms: float
    """Milliseconds of its audio, from the first sample, that left the speaker."""
    text: str
    """The words that were spoken in them."""
    basis: Literal["measured", "provider", "estimated"]
    """`measured`: the player reported it. `estimated`: it is assumed that the player plays at once, in real time."""
    text_basis: Literal["whole", "aligned", "proportion"] = "proportion"
    """How `text` was found: `whole`: all of it was heard; `aligned`: by the times of its words; `proportion`: by the
    share of the audio that was heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption(Event):
    """What was decided when the user made a sound while the agent spoke. A player obeys it."""

    action: Literal["ignore", "duck", "pause", "resume", "interrupt"]
    """`ignore`: speak on. `duck`: speak on, more softly. `pause`: hold what is queued. `resume`: at full loudness, from
    where it stood. `interrupt`: drop it."""
    reason: str
    """Why, in a word: `speech`, `words`, `backchannel`, `noise`, `protected`, `command`, `backend`, ..."""
    response_ids: tuple[str, ...] = ()
    """The responses that could be heard."""
    turn_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReported(Event):
    """What was used: increments, never totals."""

    units: Mapping[str, float]
    """Amounts by the name of their unit: `input_audio_tokens`, `characters`, `audio_s`, ..."""
    model: str
    basis: Literal["exact", "estimated"]
    response_id: str | None = None
    turn_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettled(Event):
    """The one fate of a command."""

    command_id: str
    fault: Fault | None = None
    """None: it was done."""
    basis: Literal["reported", "sent"] = "reported"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendError(Event):
    """Something failed that no command asked for. A fatal one is the last event."""

    fault: Fault
    fatal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent(Event):
    """What the contract has no word for, in the backend's own. Comes only with `SessionConfig.provider_events`."""

    kind: str
    payload: Mapping[str, Any] = field(default_factory=dict)
