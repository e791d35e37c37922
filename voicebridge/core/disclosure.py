"""The gate before the agent's voice: nothing of it passes before the disclosure was played to its end.

state     input                                        becomes   effect
waiting   SessionReady, disclosure as text             open      pass it; a response of its own holds the text
waiting   SessionReady                                 asked     pass it; ask for the disclosure
asked     the request settles with a fault             asked     ask again; the third time: end the call
asked     its connection was lost                      asked     ask again
asked     ResponseStarted that answers it              speaking  pass it
speaking  it was completed and heard to its end        open      pass the event; release what is held, in order
speaking  it ended otherwise, or is heard in part      asked     ask again (an interruption is no failure)
speaking  it was completed without audio, or did
          not say the words                            asked     as a request that failed
any but   an event of another response                 same      hold it; audio beyond the bound is withheld
  open    SessionRestarted                             same      a backend that can't be asked: end the call
open      anything                                     open      pass it

The microphone is not concerned. "Heard to its end" is what the playback clock says, so it is as good as the player's
reports; the basis is kept with the time.
"""

from __future__ import annotations

import difflib
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    SessionRestarted,
    ToolCallCancelled,
    UsageReported,
)
from voicebridge.contract.fault import Fault

from .playback import TOLERANCE_MS
from .verbatim import verbatim

__all__ = ["DisclosureGate", "Effect", "Withheld", "check_disclosure"]

_RESPONSE_ID = "disclosure"
"""Of a disclosure as text."""
_HELD_MS = 60_000
_ATTEMPTS = 3
"""Failures, interruptions and lost connections not counted."""
_LIKENESS = 0.8
"""Of the words, how many must be in what the model says it said. Transcripts differ in how they write things."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Audio that nobody will hear."""

    response_id: str
    size: int
    """Bytes."""


@dataclass(slots=True)
class _Attempt:
    """A response that was to be the disclosure."""

    compared: bool
    """Whether the model was only told what to say, so that its words have to be compared."""
    received_ms: float = 0.0
    said: str = ""
    completed: bool = False
    heard: OutputHeard | None = None


Effect = Event | Command | Fault | Withheld
"""Pass an event on, give a command to the backend, end the call with a fault, count audio as undelivered."""


def check_disclosure(policy: CallPolicy, capabilities: Capabilities, outputs: Iterable[str]) -> None:
    """Look before a call whether its backend can make the disclosure.

    Args:
        outputs: of the session's config.

    Raises:
        ConfigError: it can't.
    """
    if policy.disclosure is None or policy.disclosure_as == "text":
        return
    if "audio" not in outputs or "audio" not in capabilities.outputs:
        raise ConfigError(
            "This session does not speak, so it can't speak its disclosure. Set disclosure_as='text'.",
            code="bad_policy",
        )
    if verbatim(policy.disclosure, capabilities) is None:
        raise ConfigError(
            "This backend can't be asked to say the disclosure. Set disclosure_as='text' and show it before the call, "
            "or choose a backend whose capabilities have 'say' or 'instructions' in `respond`.",
            code="bad_policy",
        )


class DisclosureGate:
    """See the table. Gets every event on its way to the player, and every `OutputHeard` of the playback clock.

    Args:
        policy: one with a disclosure.
        format: of the agent's voice.
    """

    def __init__(self, policy: CallPolicy, format: AudioFormat) -> None:
        assert policy.disclosure is not None
        self._text = policy.disclosure
        self._as = policy.disclosure_as
        self._limit = format.size(_HELD_MS)
        self._format = format
        self._capabilities = Capabilities()
        self.state: Literal["waiting", "asked", "speaking", "open"] = "waiting"
        self.disclosed_at: float | None = None
        """Seconds on the session's clock."""
        self.basis: Literal["measured", "provider", "estimated", "text"] | None = None
        """How it is known; `text`: it was given in writing."""
        self.response_id: str | None = None
        """The response that is the disclosure, while it speaks. No noise should interrupt it."""
        self._requests: dict[str, bool] = {}
        """The commands that asked for it; whether the words have to be compared."""
        self._attempts: dict[str, _Attempt] = {}
        """The responses that were to be it."""
        self._failures = 0
        self._held: deque[Event] = deque()
        self._held_bytes = 0
        self._stopped: set[str] = set()
        """Responses that were interrupted while they were held."""

    @property
    def open(self) -> bool:
        """Whether everything passes, so that nobody need ask any more."""
        return self.state == "open"

    @property
    def held(self) -> tuple[str, ...]:
        """The responses whose audio waits here: nothing of them was heard."""
        return tuple(dict.fromkeys(event.response_id for event in self._held if isinstance(event, OutputAudio)))

    def owns(self, command_id: str) -> bool:
        """Whether the gate made that command: its fate is nobody else's business."""
        return command_id in self._requests

    def happened(self, event: Event, now: float) -> list[Effect]:
        """An event on its way to the player. What becomes of it, and what follows."""
        if isinstance(event, CommandSettled) and self.owns(event.command_id):
            return self._settled(event)
        if self.state == "open":
            return [event]
        if isinstance(event, SessionReady):
            return [event, *self._ready(event, now)]
        if isinstance(event, SessionRestarted):
            self._capabilities = event.ready.capabilities
            can = self._as == "text" or verbatim(self._text, self._capabilities)
            return [event] if can else [event, _failed("The backend that took over can't be asked to say it.")]
        if isinstance(event, ResponseStarted) and not self._requests.keys().isdisjoint(event.answers):
            return [event, *self._started(event)]
        response_id = getattr(event, "response_id", None)
        if response_id is None:
            return self._hold(event) if self._held and isinstance(event, ToolCallCancelled) else [event]
        if attempt := self._attempts.get(response_id):
            return [event, *self._own(attempt, event, now)]
        return [event] if isinstance(event, UsageReported) else self._hold(event)

    def interrupted(self, response_id: str | None) -> list[Withheld]:
        """What is held of that response is not to be heard any more; None: of any. Its end is told as interrupted."""
        lost: list[Withheld] = []
        kept: deque[Event] = deque()
        for event in self._held:
            named = getattr(event, "response_id", None)
            if named is None or response_id not in (None, named):
                kept.append(event)
                continue
            self._stopped.add(named)
            if isinstance(event, OutputAudio):
                lost.append(Withheld(named, len(event.pcm)))
                self._held_bytes -= len(event.pcm)
            else:
                kept.append(_stopped(event) if isinstance(event, ResponseEnded) else event)
        self._held = kept
        return lost

    def close(self) -> list[Effect]:
        """The session is over: the audio that is held will not be heard, the rest passes."""
        lost = self.interrupted(None)
        held, self._held = self._held, deque()
        return [*lost, *held]

    # The disclosure

    def _ready(self, ready: SessionReady, now: float) -> list[Effect]:
        self._capabilities = ready.capabilities
        if self._as == "speech":
            return self._ask()
        said = OutputText(at=now, response_id=_RESPONSE_ID, delta=self._text, kind="text")
        return [
            ResponseStarted(at=now, response_id=_RESPONSE_ID, cause="spontaneous"),
            said,
            ResponseEnded(at=now, response_id=_RESPONSE_ID, status="completed"),
            *self._open(now, "text"),
        ]

    def _ask(self) -> list[Effect]:
        self.state, self.response_id = "asked", None
        request = verbatim(self._text, self._capabilities)
        if request is None:
            return [_failed("This backend can't be asked to say it.")]
        self._requests[request.id] = request.say is None
        return [request]

    def _ask_after_failure(self, why: str) -> list[Effect]:
        self._failures += 1
        return self._ask() if self._failures < _ATTEMPTS else [_failed(why)]

    def _settled(self, settled: CommandSettled) -> list[Effect]:
        fault = settled.fault
        latest = next(reversed(self._requests))
        if fault is None or self.state != "asked" or settled.command_id != latest:
            return []
        if fault.category in ("network", "planned_end") or fault.code in ("moved", "withdrawn"):
            return self._ask()  # its connection was lost or left, or it was interrupted before it began
        if fault.category == "closed":
            return []
        return self._ask_after_failure(fault.message)

    def _started(self, started: ResponseStarted) -> list[Effect]:
        compared = any(self._requests.get(one, False) for one in started.answers)
        self._attempts[started.response_id] = _Attempt(compared)
        if self.state == "asked":
            self.state, self.response_id = "speaking", started.response_id
        return []

    def _own(self, attempt: _Attempt, event: Event, now: float) -> list[Effect]:
        if isinstance(event, OutputAudio):
            attempt.received_ms = event.offset_ms + self._format.ms(len(event.pcm))
        elif isinstance(event, OutputText):
            attempt.said += event.delta
        elif isinstance(event, OutputHeard):
            attempt.heard = event
            return self._judge(attempt, event, now)
        elif isinstance(event, ResponseEnded):
            return self._ended(attempt, event, now)
        return []

    def _ended(self, attempt: _Attempt, ended: ResponseEnded, now: float) -> list[Effect]:
        latest = ended.response_id == self.response_id
        why = ""
        if ended.status in ("interrupted", "lost"):
            return self._ask() if latest else []
        if ended.status != "completed":
            why = ended.fault.message if ended.fault else f"It ended as {ended.status}."
        elif not attempt.received_ms:
            why = "The backend answered without a voice."
        elif attempt.compared and not _alike(attempt.said, self._text):
            why = "The model said something else."
        if why:
            return self._ask_after_failure(why) if latest else []
        attempt.completed = True
        return self._judge(attempt, ended, now)

    def _judge(self, attempt: _Attempt, event: OutputHeard | ResponseEnded, now: float) -> list[Effect]:
        """Whether it was heard, once it is known how long it is and how much of it was."""
        if not attempt.completed or attempt.heard is None:
            return []
        if attempt.heard.heard_ms > 0 and attempt.heard.heard_ms >= attempt.received_ms - TOLERANCE_MS:
            return self._open(now, attempt.heard.basis)
        return self._ask() if event.response_id == self.response_id else []

    def _open(self, now: float, basis: Literal["measured", "provider", "estimated", "text"]) -> list[Effect]:
        self.state, self.response_id = "open", None
        self.disclosed_at, self.basis = now, basis
        self._attempts.clear()
        held, self._held = self._held, deque()
        self._held_bytes = 0
        return list(held)

    # What waits

    def _hold(self, event: Event) -> list[Effect]:
        if isinstance(event, OutputAudio):
            if self._held_bytes + len(event.pcm) > self._limit or event.response_id in self._stopped:
                return [Withheld(event.response_id, len(event.pcm))]
            self._held_bytes += len(event.pcm)
        lost: list[Effect] = []
        if isinstance(event, ResponseEnded) and event.status != "completed":
            lost.extend(self.interrupted(event.response_id))
        elif isinstance(event, ResponseEnded) and event.response_id in self._stopped:
            event = _stopped(event)
        self._held.append(event)
        return lost


def _stopped(ended: ResponseEnded) -> ResponseEnded:
    """It may have been complete, but nobody heard that."""
    return replace(ended, status="interrupted") if ended.status == "completed" else ended


def _failed(why: str) -> Fault:
    message = f"The call was ended, because its disclosure could not be made: {why}"
    return Fault(category="protocol", code="disclosure_failed", message=message)


def _alike(said: str, wanted: str) -> bool:
    """Whether most of the wanted words were said, in order. Without a transcript there is nothing to compare."""
    words, expected = (re.findall(r"\w+", text.casefold()) for text in (said, wanted))
    if not words or not expected:
        return True
    matches = difflib.SequenceMatcher(None, words, expected, autojunk=False).get_matching_blocks()
    return sum(match.size for match in matches) >= _LIKENESS * len(expected)
