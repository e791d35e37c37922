"""Who has the floor when the user makes a sound while the agent speaks: a policy judges, this machine keeps order.

What a turn is, as to the agent's voice:

    turn         input                                     becomes      effect
    clear        speech, the agent is silent               clear
    clear        speech, or goes on, the agent is heard    undecided    the policy is asked
    undecided    speech, pause, end, transcript, or the
                 time that the policy named                as judged    the policy is asked
    undecided    the agent is not heard any more           clear        `resume`, if it was held
    ignored      speech                                    undecided    a new sound: the policy is asked
    ignored      transcript, end                           as judged    the policy is asked: words may come late
    interrupted  a further response is heard, the user
                 still speaks                              undecided    the policy is asked about that one
    undecided    interrupted by others                     interrupted
    any          the policy raises                         interrupted  `interrupt`: a user is never talked down

What becomes of the agent's voice. There is one player, so this is one for all turns:

    voice        verdict                                   becomes      told
    free         wait                                      free
    free         duck, pause                               held         `duck`, `pause`
    free         ignore, resume                            free         `ignore`, once for each sound
    free         interrupt                                 free         `interrupt`
    held         duck, pause                               held         only the other one; that turn holds from now on
    held         ignore, resume of the turn that holds     free         `resume`
    held         ignore, resume of another turn            held
    held         interrupt of any turn                     free         `interrupt`
    held         what was held is not heard any more       free         `resume`
    held         the longest hold is over                  free         `interrupt` while the user speaks, else `resume`

So each hold ends with one `resume` or one `interrupt`, and no response is interrupted twice. A turn that is over speaks
of those responses alone that it was spoken over: never of its own answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from voicebridge.contract.events import Event, InputTranscript, Interruption, OutputAudio, UserTurn

from .interruption_policy import Signals, Verdict

__all__ = ["InterruptionMachine", "Standing"]

_T = TypeVar("_T")
Standing = Literal["clear", "undecided", "ignored", "interrupted"]
"""What was decided of a turn. `clear`: nothing that keeps it from being answered; `interrupted`: likewise."""


_SOONEST_S = 0.01
"""The shortest wait before a policy is asked again: one that asks for less can't keep the session busy."""
_KEPT_TURNS = 16
"""Turns that are remembered. Late transcripts come within a few turns."""
_KEPT_RESPONSES = 64


@dataclass(slots=True)
class _Turn:
    """A turn and its present sound: one that comes after another was ignored is a new one."""

    id: str
    source: Literal["server", "local", "client", "inferred"]
    began_at: float
    """Seconds: when this sound was noticed."""
    since: float
    """Seconds: when the present speech or silence was noticed."""
    from_ms: float
    """Milliseconds of the session's audio where the user last began to speak."""
    phase: Literal["speech", "pause", "committed", "discarded"] = "speech"
    voiced_ms: float = 0.0
    """Milliseconds of voice in this sound before the present speech or silence."""
    text: str = ""
    final: bool = False
    language: str | None = None
    over: dict[str, None] = field(default_factory=dict)
    """The responses that it was spoken over."""
    agent_ms: float = 0.0
    met: bool = False
    """The agent was heard in this sound."""
    standing: Standing = "clear"
    judged: bool = False
    """That this sound is ignored was told."""
    ask_at: float | None = None
    """Seconds: when the policy wants to be asked."""


@dataclass(slots=True)
class _Hold:
    action: Literal["duck", "pause"]
    turn: _Turn
    response_ids: tuple[str, ...]
    until: float
    """Seconds: the longest that it may last."""


class InterruptionMachine:
    """See the tables above. Every method that decides returns what is to be told, in order.

    Args:
        policy: judges. Any callable will do; while it runs nothing else does, so it must be quick.
        transcripts: when the present backend tells what the user says. May be replaced at any time.
        longest_hold_s: seconds for which a policy may hold the agent's voice without deciding.
    """

    def __init__(
        self,
        policy: Callable[[Signals], Verdict],
        *,
        transcripts: Literal["live", "late", "none"] = "none",
        longest_hold_s: float = 5.0,
    ) -> None:
        self.policy = policy
        self.transcripts = transcripts
        self._longest_hold_s = longest_hold_s
        self._turns: dict[str, _Turn] = {}
        self._heard_since: dict[str, float] = {}
        """By response, the seconds at which its audio began to come."""
        self._interrupted: dict[str, None] = {}
        self._hold: _Hold | None = None
        self._look_at: float | None = None
        """A response began while the user speaks."""

    def happened(
        self, event: Event, now: float, audible: tuple[str, ...] = (), left_ms: float | None = None
    ) -> list[Interruption]:
        """Something was told.

        Args:
            event: any. The first piece of each response's audio is needed, and is the one event for which `audible`
                and `left_ms` may be left out. An interruption that was decided elsewhere is told here, too.
            audible: the responses with audio that is not played to its end, the one that plays first.
            left_ms: milliseconds that are still to be played. None: not known, or more is being made.
        """
        if isinstance(event, OutputAudio):
            if event.response_id not in self._heard_since:
                self._response_began(event.response_id, now)
            return []
        if isinstance(event, Interruption) and event.action == "interrupt":
            self._interrupted_elsewhere(event)
        told = self._ended_by_itself(audible)
        if isinstance(event, UserTurn):
            if turn := self._turn_moved(event, now):
                self._meet(turn, now, audible)
                told += self._ask(turn, now, audible, left_ms)
        elif isinstance(event, InputTranscript):
            turn = self._turns.get(event.turn_id)
            if turn is not None and not turn.final:
                turn.text, turn.final, turn.language = event.text, event.final, event.language or turn.language
                told += self._ask(turn, now, audible, left_ms)
        return told

    def due_at(self) -> float | None:
        """When `due` must be called, in seconds. None: not by the clock."""
        times = [turn.ask_at for turn in self._turns.values() if turn.ask_at is not None]
        if self._hold:
            times.append(self._hold.until)
        if self._look_at is not None:
            times.append(self._look_at)
        return min(times, default=None)

    def due(self, now: float, audible: tuple[str, ...], left_ms: float | None = None) -> list[Interruption]:
        """The time that `due_at` named has come."""
        told = self._ended_by_itself(audible)
        self._look_at = None
        for turn in list(self._turns.values()):
            met = turn.phase == "speech" and self._meet(turn, now, audible)
            if met or (turn.ask_at is not None and turn.ask_at <= now):
                told += self._ask(turn, now, audible, left_ms)
        if self._hold and self._hold.until <= now:
            turn = self._hold.turn
            end = Verdict("interrupt" if turn.phase == "speech" else "resume", "timeout", answer=True)
            turn.ask_at = None
            told += self._obey(turn, end, now, self._concerned(turn, audible))
        return told

    @property
    def held(self) -> Literal["duck", "pause"] | None:
        """What is done to the agent's voice at present."""
        return self._hold.action if self._hold else None

    def standing(self, turn_id: str) -> Standing:
        """What was decided of a turn, so far. Transcripts that come late may change it."""
        turn = self._turns.get(turn_id)
        return turn.standing if turn else "clear"

    def ignored(self, turn_id: str) -> bool:
        """Whether a turn was a cough, noise or a backchannel while the agent spoke: nobody wants it answered."""
        return self.standing(turn_id) == "ignored"

    # Turns

    def _turn_moved(self, event: UserTurn, now: float) -> _Turn | None:
        """The turn as it is now, or None where there is nothing to judge."""
        turn = self._turns.get(event.turn_id)
        if turn is None:
            return self._turn_began(event, now) if event.phase == "speech" else None
        if turn.phase in ("committed", "discarded"):
            return None
        if event.phase != "speech":
            _silence(turn, event.audio_ms - turn.from_ms, now)
            turn.phase = event.phase
        elif turn.phase != "speech":
            turn.phase, turn.since, turn.from_ms = "speech", now, event.audio_ms
            if turn.standing != "undecided":
                turn.began_at, turn.voiced_ms, turn.met, turn.judged = now, 0.0, False, False
        return turn

    def _turn_began(self, event: UserTurn, now: float) -> _Turn:
        for other in self._turns.values():
            if other.phase == "speech":  # nobody told that it ended; there is one user
                _silence(other, _ms(now - other.since), now)
                other.phase = "pause"
        turn = _Turn(event.turn_id, event.source, began_at=now, since=now, from_ms=event.audio_ms)
        _keep(self._turns, turn.id, turn, _KEPT_TURNS)
        return turn

    def _meet(self, turn: _Turn, now: float, audible: tuple[str, ...]) -> bool:
        """The user speaks while these are heard. Whether that is news."""
        heard = [response for response in audible if response not in self._interrupted]
        if turn.phase != "speech" or not heard or (turn.met and turn.over.keys() >= set(heard)):
            return False
        turn.agent_ms = _ms(turn.began_at - self._heard_since.get(heard[0], turn.began_at))
        turn.over |= dict.fromkeys(heard)
        turn.met, turn.standing = True, "undecided"
        return True

    def _concerned(self, turn: _Turn, audible: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(response for response in audible if response in turn.over and response not in self._interrupted)

    # Responses

    def _response_began(self, response_id: str, now: float) -> None:
        _keep(self._heard_since, response_id, now, _KEPT_RESPONSES)
        if any(turn.phase == "speech" for turn in self._turns.values()):
            self._look_at = now

    def _interrupted_elsewhere(self, event: Interruption) -> None:
        self._forbid(event.response_ids)
        hold = self._hold
        if hold and all(response in self._interrupted for response in hold.response_ids):
            self._hold = None
            hold.turn.standing, hold.turn.ask_at = "interrupted", None

    def _forbid(self, response_ids: tuple[str, ...]) -> None:
        for response in response_ids:
            _keep(self._interrupted, response, None, _KEPT_RESPONSES)

    def _ended_by_itself(self, audible: tuple[str, ...]) -> list[Interruption]:
        """What was spoken over is not heard any more: there is nothing left to decide."""
        for turn in self._turns.values():
            if turn.standing == "undecided" and not self._concerned(turn, audible):
                turn.standing, turn.ask_at = "clear", None
        hold = self._hold
        if hold is None or not {*audible}.isdisjoint(hold.response_ids):
            return []
        self._hold = None
        return [Interruption(action="resume", reason="ended", turn_id=hold.turn.id)]

    # Judging

    def _ask(self, turn: _Turn, now: float, audible: tuple[str, ...], left_ms: float | None) -> list[Interruption]:
        turn.ask_at = None
        live = self._concerned(turn, audible)
        if not live and turn.standing not in ("undecided", "ignored"):
            return []
        speaks = turn.phase == "speech"
        since_ms = _ms(now - turn.since)
        signals = Signals(
            turn_id=turn.id,
            phase=turn.phase,
            speech_ms=turn.voiced_ms + (since_ms if speaks else 0.0),
            silent_ms=0.0 if speaks else since_ms,
            text=turn.text,
            final=turn.final,
            language=turn.language,
            agent_ms=turn.agent_ms,
            left_ms=left_ms,
            response_ids=live,
            held=self.held,
            transcripts=self.transcripts,
            source=turn.source,
        )
        return self._obey(turn, self._judge(signals), now, live)

    def _judge(self, signals: Signals) -> Verdict:
        try:
            verdict = self.policy(signals)
        except Exception as error:
            return Verdict("interrupt", f"the policy failed: {type(error).__name__}: {error}")
        if isinstance(verdict, Verdict) and verdict.action in _ACTIONS:
            return verdict
        return Verdict("interrupt", f"the policy failed: it gave {verdict!r}, and not a Verdict")

    def _obey(self, turn: _Turn, verdict: Verdict, now: float, live: tuple[str, ...]) -> list[Interruption]:
        action = verdict.action
        if action == "interrupt":
            return self._interrupt(turn, verdict, live)
        if verdict.again_in_ms is not None and verdict.again_in_ms < math.inf:
            turn.ask_at = now + max(_SOONEST_S, verdict.again_in_ms / 1000)
        if action == "duck" or action == "pause":
            return self._hold_back(turn, action, verdict.reason, now, live) if live else []
        if action == "wait":
            return []
        turn.standing = "clear" if verdict.answer else "ignored"
        if self._hold and self._hold.turn is turn:
            self._hold, turn.judged = None, True
            return [_told("resume", verdict.reason, turn, live)]
        if self._hold or turn.judged or not live:
            return []
        turn.judged = True
        return [_told("ignore", verdict.reason, turn, live)]

    def _interrupt(self, turn: _Turn, verdict: Verdict, live: tuple[str, ...]) -> list[Interruption]:
        turn.ask_at = None
        if not live:
            turn.standing = "clear"
            return []
        self._hold = None
        self._forbid(live)
        turn.standing = "interrupted"
        return [_told("interrupt", verdict.reason, turn, live)]

    def _hold_back(
        self, turn: _Turn, action: Literal["duck", "pause"], reason: str, now: float, live: tuple[str, ...]
    ) -> list[Interruption]:
        hold, turn.standing = self._hold, "undecided"
        if hold is None:
            self._hold = _Hold(action, turn, live, until=now + self._longest_hold_s)
            return [_told(action, reason, turn, live)]
        same, hold.action, hold.turn, hold.response_ids = hold.action == action, action, turn, live
        return [] if same else [_told(action, reason, turn, live)]


_ACTIONS = ("wait", "ignore", "duck", "pause", "resume", "interrupt")


def _ms(seconds: float) -> float:
    """To the microsecond: a policy that is asked when it wanted shall see that its time has come."""
    return round(seconds * 1000, 3)


def _silence(turn: _Turn, voiced_ms: float, now: float) -> None:
    """The user fell silent, if that is news."""
    if turn.phase == "speech":
        turn.voiced_ms += max(0.0, voiced_ms)
        turn.since = now


def _told(
    action: Literal["ignore", "duck", "pause", "resume", "interrupt"], reason: str, turn: _Turn, live: tuple[str, ...]
) -> Interruption:
    return Interruption(action=action, reason=reason, response_ids=live, turn_id=turn.id)


def _keep(kept: dict[str, _T], key: str, value: _T, at_most: int) -> None:
    """Remember it, and forget the oldest."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > at_most:
        del kept[next(iter(kept))]
