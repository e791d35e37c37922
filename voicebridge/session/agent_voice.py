"""What is heard of the agent, and what stops it: the playback clock and the interruptions of one session together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import Command, Interrupt, ReportPlayed, Respond
from voicebridge.contract.events import (
    Event,
    InputTranscript,
    Interruption,
    OutputAudio,
    OutputHeard,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    SessionRestarted,
    UserTurn,
)
from voicebridge.core.interruption import InterruptionMachine
from voicebridge.core.interruption_policy import Signals, Verdict
from voicebridge.core.playback_clock import PlaybackClock

__all__ = ["AgentVoice"]

_REMEMBERED = 16
"""Answers that were cut, of which the player's word is still taken."""


class AgentVoice:
    """Gets every event on its way to the player. What it gives back is told, or asked of the backend, in that order.

    Args:
        format: of the agent's voice.
        policy: what the user's voice does to the agent's.
        purge: drops the audio of a response that nobody has taken yet.
    """

    def __init__(self, format: AudioFormat, policy: Callable[[Signals], Verdict], purge: Callable[[str], None]) -> None:
        self.clock = PlaybackClock(format, deferred=True)
        self._machine = InterruptionMachine(policy)
        self._purge = purge
        self._running: dict[str, None] = {}
        """Responses that have not ended."""
        self._silenced: set[str] = set()
        """Of those, the ones that were stopped: what still comes of them is heard by nobody."""
        self._stopped: dict[str, None] = {}
        """The last responses that were cut: how far they were heard, the player may know better."""
        self._unanswered: dict[str, None] = {}
        """Turns whose answers were stopped, since nobody wanted them."""
        self._doubtful: dict[str, tuple[str, ...]] = {}
        """Answers that began before it was decided whether anybody wants their turns answered, and those turns."""
        self._silent_from_ms = self._known_ms = 0.0
        """Milliseconds of the user's audio: where the user last fell silent; the same when this connection began."""
        self._again: set[str] = set()
        """Turns that this connection hears again: they stopped the agent before, or did not."""

    def audio(self, event: OutputAudio, now: float) -> bool:
        """A piece of the agent's voice. False: it must not be heard."""
        if event.response_id in self._silenced:
            return False
        self.clock.happened(event, now)
        self._machine.happened(event, now)
        return True

    def happened(self, event: Event, now: float) -> list[Event | Command]:
        """Anything else, the event itself among what is told, unless nobody should see it."""
        effects: list[Event | Command] = []
        if isinstance(event, OutputHeard):
            return [*self.clock.happened(event, now)]
        if isinstance(event, ResponseStarted):
            self._running[event.response_id] = None
            self._doubtful[event.response_id] = event.answers
            effects = self._unwanted(now)
        elif isinstance(event, SessionReady | SessionRestarted):
            ready = event if isinstance(event, SessionReady) else event.ready
            self._machine.transcripts = ready.capabilities.input_transcript
            self._known_ms = self._silent_from_ms
            self._again.clear()
        told: list[Event | Command] = [event, *self.clock.happened(event, now), *effects]
        if isinstance(event, ResponseEnded):
            self._running.pop(event.response_id, None)
            self._silenced.discard(event.response_id)
        elif isinstance(event, UserTurn | InputTranscript) and not self._is_heard_again(event):
            told += self._decide(self._machine.happened(event, now, *self._heard_now(now)), now)
            told += self._wanted_after_all(event)
        return told

    def _is_heard_again(self, event: UserTurn | InputTranscript) -> bool:
        """Whether it is about what an earlier connection has heard to its end."""
        if isinstance(event, UserTurn) and event.phase == "speech":
            if event.audio_ms < self._known_ms:
                self._again.add(event.turn_id)
            else:
                self._again.discard(event.turn_id)
        elif isinstance(event, UserTurn) and event.phase == "pause":
            self._silent_from_ms = max(self._silent_from_ms, event.audio_ms)
        return event.turn_id in self._again

    def _heard_now(self, now: float) -> tuple[tuple[str, ...], float | None]:
        """The responses that can be heard, and for how many milliseconds still."""
        return self.clock.audible(now), self.clock.left_ms(now)

    def report(self, command: ReportPlayed, now: float) -> list[Event | Command]:
        """The player says how far it is. Of an answer that was cut, the backend is told as well."""
        told: list[Event | Command] = [*self.clock.report(command.response_id, command.ms, now)]
        cut = [one for one in told if isinstance(one, OutputHeard) and one.response_id in self._stopped]
        return [*told, *(self._stop(one.response_id, one) for one in cut)]

    def interrupt(self, command: Interrupt, now: float) -> tuple[Interrupt, list[Event]]:
        """The application stops the agent: the command with what was heard, and what is told of that."""
        named = None if command.response_id is None else (command.response_id,)
        silenced = self._running if named is None else named
        audible = self.clock.audible(now)
        stopped = tuple(audible) if named is None else tuple(one for one in named if one in audible)
        told: list[Event] = []
        if stopped:
            decision = Interruption(action="interrupt", reason="command", response_ids=stopped)
            told += [decision, *self._machine.happened(decision, now, audible)]
            if self._machine.held is None:
                self.clock.resume(now)
        for response_id in self._running.keys() & command.heard.keys() - set(silenced):
            told += self.clock.report(response_id, command.heard[response_id], now)  # it goes on
        ended = [one for one in command.heard if one not in self._running]
        heard = self._cut(dict.fromkeys([*silenced, *(audible if named is None else ()), *ended]), command.heard, now)
        known = dict(command.heard) | {one.response_id: one.heard_ms for one in heard}
        return replace(command, heard=known), [*told, *heard]

    def unheard(self, response_id: str, now: float) -> list[OutputHeard]:
        """There was nothing to hear in a response, nor will there be."""
        return self._cut((response_id,), {response_id: 0.0}, now)

    def end(self, now: float) -> list[OutputHeard]:
        """The session is over: nothing is played any more."""
        return self._cut(self.clock.unsettled(), {}, now)

    def due_at(self) -> float | None:
        """When `due` should be called next."""
        times = [at for at in (self.clock.due_at(), self._machine.due_at()) if at is not None]
        return min(times, default=None)

    def due(self, now: float) -> list[Event | Command]:
        """Time has passed."""
        told: list[Event | Command] = [*self.clock.due(now)]
        if (at := self._machine.due_at()) is not None and at <= now:
            told += self._decide(self._machine.due(now, *self._heard_now(now)), now)
        return told

    # Decisions

    def _decide(self, decisions: Iterable[Interruption], now: float) -> list[Event | Command]:
        told: list[Event | Command] = []
        for decision in decisions:
            told.append(decision)
            if decision.action == "pause":
                self.clock.pause(now)
            elif decision.action in ("resume", "interrupt"):
                self.clock.resume(now)
            if decision.action == "interrupt":
                heard = {one.response_id: one for one in self._cut(decision.response_ids, {}, now)}
                told += heard.values()
                # By name, so that an answer which starts meanwhile is left alone.
                told += [self._stop(response_id, heard.get(response_id)) for response_id in decision.response_ids]
        return told + self._unwanted(now)

    def _stop(self, response_id: str, heard: OutputHeard | None) -> Interrupt:
        return Interrupt(response_id=response_id, heard={response_id: heard.heard_ms} if heard else {})

    def _cut(self, response_ids: Iterable[str], heard: Mapping[str, float], now: float) -> list[OutputHeard]:
        ids = list(response_ids)
        for response_id in ids:
            self._purge(response_id)
        self._silenced.update(one for one in ids if one in self._running)
        self._stopped |= dict.fromkeys(ids)
        while len(self._stopped) > _REMEMBERED:
            del self._stopped[next(iter(self._stopped))]
        return self.clock.cut(ids, heard, now)

    def _unwanted(self, now: float) -> list[Event | Command]:
        """Stop answers to a cough: vendors that end turns by themselves answer each of them. One that began in doubt
        waits behind what is being played, so that nothing of it was heard."""
        told: list[Event | Command] = []
        for response_id, turns in list(self._doubtful.items()):
            standings = {self._machine.standing(turn_id) for turn_id in turns}
            if standings <= {"undecided", "ignored"} and "undecided" in standings:
                continue
            del self._doubtful[response_id]
            if standings != {"ignored"} or not all(self._machine.ignored(turn_id) for turn_id in turns):
                continue
            self._unanswered.update(dict.fromkeys(turns))
            told.append(Interruption(action="interrupt", reason="unwanted", response_ids=(response_id,)))
            told += self._cut((response_id,), {response_id: 0.0}, now)
            told.append(Interrupt(response_id=response_id, heard={response_id: 0.0}))
        return told

    def _wanted_after_all(self, event: UserTurn | InputTranscript) -> list[Event | Command]:
        """A transcript may come late, and say that it was no cough."""
        if event.turn_id not in self._unanswered or self._machine.ignored(event.turn_id):
            return []
        del self._unanswered[event.turn_id]
        return [Respond()]
