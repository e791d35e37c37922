"""The gate before the agent's voice: nothing of it passes before the disclosure was played to its end.

state     input                                        becomes   effect
waiting   SessionReady, disclosure as text             open      pass it; a response of its own holds the text
waiting   SessionReady                                 asked     pass it; ask for the disclosure
asked     its connection was lost                      resting   (that is no failure)
asked     it was interrupted before it began           resting   the sixth time: end the call
asked     the request settles with another fault       resting   the third time: end the call
asked,    ResponseStarted that answers it              speaking  pass it
 resting
speaking  it was completed and heard to its end        open      pass the event; release what is held, in order
speaking  it was lost                                  resting
speaking  it was interrupted                           resting   the sixth time: end the call
speaking  it ended otherwise, without a sound, with    resting   the third time: end the call
          other words, or the player did not play all
resting   the user is silent, and so long after the    asked     ask again
          last time: half a second, then one, two, ...
resting   30 s later, whatever the user does           asked     ask again
resting   SessionRestarted, after a loss               asked     ask again
any but   an event of another response                 same      hold it; audio beyond the bound is withheld
  open    SessionRestarted                             same      a backend that can't be asked: end the call
open      anything                                     open      pass it
failed    anything                                     failed    as in `waiting`, and nothing is asked

The microphone is not concerned. "Heard to its end" is what the playback clock says, so it is as good as the player's
reports; the basis is kept with the time. Players that report late stop a little before the end: a 20th of it, or
300 ms of at least four times as much, may be missing where nobody cut it.
"""

from __future__ import annotations

import difflib
import re
from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

from voicebridge.contract.account import Disclosed
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command
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
    UserTurn,
)
from voicebridge.contract.fault import Fault

from .playback import TOLERANCE_MS
from .verbatim import verbatim

__all__ = ["DisclosureGate", "Effect", "Withheld"]

_RESPONSE_ID = "disclosure"
"""Of a disclosure as text."""
_HELD_MS = 60_000
_ATTEMPTS = 3
"""Failures; interruptions and lost connections not counted."""
_CUTS = 6
"""Interruptions: who does not let the agent say it can't be told it."""
_REST_S = 0.5
_LONGEST_REST_S = 8.0
_LONGEST_WAIT_S = 30.0
"""For the user's silence: not every backend tells of it."""
_MAY_MISS = 0.05
_MAY_MISS_MS = 300.0
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
    cut: bool = False
    """The application stopped it."""
    silent: bool = False
    """Silence was heard in the place of some of it."""
    heard: OutputHeard | None = None

    @property
    def to_its_end(self) -> bool:
        """Whether it was heard, as far as players can tell."""
        heard_ms = 0.0 if self.heard is None else self.heard.heard_ms
        missing_ms = self.received_ms - heard_ms
        if heard_ms <= 0 or missing_ms <= TOLERANCE_MS or self.cut:
            return heard_ms > 0 and missing_ms <= TOLERANCE_MS
        return missing_ms <= max(_MAY_MISS * self.received_ms, min(_MAY_MISS_MS, self.received_ms / 4))


Effect = Event | Command | Fault | Withheld
"""Pass an event on, give a command to the backend, end the call with a fault, count audio as undelivered."""


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
        self.state: Literal["waiting", "asked", "speaking", "resting", "open", "failed"] = "waiting"
        self.disclosed: Disclosed | None = None
        """When, and how that is known."""
        self.response_id: str | None = None
        """The response that is the disclosure, while it speaks. The user's voice must not interrupt it."""
        self._requests: dict[str, bool] = {}
        """The commands that asked for it; whether the words have to be compared."""
        self._attempts: dict[str, _Attempt] = {}
        """The responses that were to be it."""
        self._failures = self._cuts = self._repeats = 0
        self._user_speaks = False
        self._again_at = self._latest_at = 0.0
        """Resting: when to ask again, if the user is silent; and when in any case."""
        self._lost = False
        """Resting: the connection was lost."""
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
            return self._settled(event, now)
        if self.state == "open":
            return [event]
        if isinstance(event, SessionReady):
            return [event, *self._ready(event, now)]
        if isinstance(event, SessionRestarted):
            return [event, *self._restarted(event)]
        if isinstance(event, UserTurn):
            self._user_speaks = event.phase == "speech"
            self._again_at = max(self._again_at, now + _REST_S)
            return [event]
        if isinstance(event, ResponseStarted) and not self._requests.keys().isdisjoint(event.answers):
            return [event, *self._started(event)]
        response_id = getattr(event, "response_id", None)
        if response_id is None:
            return self._hold(event) if self._held and isinstance(event, ToolCallCancelled) else [event]
        if attempt := self._attempts.get(response_id):
            return [event, *self._own(attempt, event, now)]
        return [event] if isinstance(event, UsageReported) else self._hold(event)

    def due_at(self) -> float | None:
        """When `due` has to be called; None: not by the clock."""
        if self.state != "resting":
            return None
        return self._latest_at if self._user_speaks else min(self._again_at, self._latest_at)

    def due(self, now: float) -> list[Effect]:
        """Time has passed."""
        at = self.due_at()
        return [] if at is None or at > now else self._ask()

    def silenced(self, response_id: str) -> None:
        """What is heard of a response is not the agent's voice, but silence."""
        if attempt := self._attempts.get(response_id):
            attempt.silent = True

    def interrupted(self, response_id: str | None) -> list[Withheld]:
        """The application stops a response; None: any. What is held of it is not to be heard any more, and its end is
        told as interrupted."""
        for name, attempt in self._attempts.items():
            attempt.cut = attempt.cut or response_id in (None, name)
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
            *self._open(Disclosed(at=now, basis="text")),
        ]

    def _restarted(self, restarted: SessionRestarted) -> list[Effect]:
        self._capabilities = restarted.ready.capabilities
        self._user_speaks = False  # whatever was under way is heard again
        if self._as == "speech" and verbatim(self._text, self._capabilities) is None:
            return self._fail("The backend that took over can't be asked to say it.")
        return self._ask() if self.state == "resting" and self._lost else []

    def _ask(self) -> list[Effect]:
        self.state, self.response_id, self._lost = "asked", None, False
        request = verbatim(self._text, self._capabilities)
        if request is None:
            return self._fail("This backend can't be asked to say it.")
        self._requests[request.id] = request.say is None
        return [request]

    def _ask_later(self, now: float, *, lost: bool = False) -> list[Effect]:
        """A request costs money, and who speaks would stop it again."""
        self.state, self.response_id, self._lost = "resting", None, lost
        rest_s = min(_LONGEST_REST_S, _REST_S * 2**self._repeats)
        self._repeats += 1
        self._again_at, self._latest_at = now + rest_s, now + _LONGEST_WAIT_S
        return []

    def _ask_after_cut(self, now: float) -> list[Effect]:
        self._cuts += 1
        return self._ask_later(now) if self._cuts < _CUTS else self._fail("It was interrupted again and again.")

    def _ask_after_failure(self, why: str, now: float) -> list[Effect]:
        self._failures += 1
        return self._ask_later(now) if self._failures < _ATTEMPTS else self._fail(why)

    def _fail(self, why: str) -> list[Effect]:
        self.state, self.response_id = "failed", None
        message = f"The call was ended, because its disclosure could not be made: {why}"
        return [Fault(category="protocol", code="disclosure_failed", message=message)]

    def _settled(self, settled: CommandSettled, now: float) -> list[Effect]:
        fault = settled.fault
        latest = next(reversed(self._requests))
        if fault is None or self.state != "asked" or settled.command_id != latest:
            return []
        if fault.code == "withdrawn":  # it was interrupted before it began
            return self._ask_after_cut(now)
        if fault.category in ("network", "planned_end") or fault.code == "moved":
            return self._ask_later(now, lost=True)
        if fault.category == "closed":
            return []
        return self._ask_after_failure(fault.message, now)

    def _started(self, started: ResponseStarted) -> list[Effect]:
        compared = any(self._requests.get(one, False) for one in started.answers)
        self._attempts[started.response_id] = _Attempt(compared)
        if self.state in ("asked", "resting"):
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
        if ended.status == "lost":
            return self._ask_later(now, lost=True) if latest else []
        if ended.status == "interrupted":
            return self._ask_after_cut(now) if latest else []
        if ended.status != "completed":
            why = ended.fault.message if ended.fault else f"It ended as {ended.status}."
        elif not attempt.received_ms:
            why = "The backend answered without a voice."
        elif attempt.silent:
            why = "Silence was heard in the place of some of it."
        elif attempt.compared and not _alike(attempt.said, self._text):
            why = "The model said something else."
        if why:
            return self._ask_after_failure(why, now) if latest else []
        attempt.completed = True
        return self._judge(attempt, ended, now)

    def _judge(self, attempt: _Attempt, event: OutputHeard | ResponseEnded, now: float) -> list[Effect]:
        """Whether it was heard, once it is known how long it is and how much of it was."""
        if not attempt.completed or attempt.heard is None:
            return []
        if attempt.to_its_end:
            missing_ms = max(0.0, attempt.received_ms - attempt.heard.heard_ms)
            return self._open(Disclosed(at=now, basis=attempt.heard.basis, missing_ms=missing_ms))
        if event.response_id != self.response_id:
            return []
        if attempt.cut:
            return self._ask_after_cut(now)
        return self._ask_after_failure("The player did not play it to its end.", now)

    def _open(self, disclosed: Disclosed) -> list[Effect]:
        self.state, self.response_id = "open", None
        self.disclosed = disclosed
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


def _alike(said: str, wanted: str) -> bool:
    """Whether most of the wanted words were said, in order. Without a transcript there is nothing to compare."""
    words, expected = (re.findall(r"\w+", text.casefold()) for text in (said, wanted))
    if not words or not expected:
        return True
    matches = difflib.SequenceMatcher(None, words, expected, autojunk=False).get_matching_blocks()
    return sum(match.size for match in matches) >= _LIKENESS * len(expected)
