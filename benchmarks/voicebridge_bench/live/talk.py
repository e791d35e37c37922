"""One conversation with one session, in real time: speak a turn, wait for the reply to be played out, speak the next.

| acquired | by | released |
|---|---|---|
| the session, listener and speaker | `_hold`, a task of its own | there, once `_finished` is set or it is cancelled |
| the tasks of microphone and probe, and that of `_hold` | `run` | cancelled and awaited before it returns |
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.commands import Interrupt
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.session import VoiceSession
from voicebridge_bench.corpus.speech import Conversation, SpokenTurn
from voicebridge_bench.measures import Outcome, Spoken, TurnMeasures, measure
from voicebridge_bench.trace import Trace

from .listener import Listener
from .load_probe import LoadProbe, Machine, Spread, spread
from .microphone import Microphone
from .time_stamps import time_stamps

__all__ = ["Pace", "Talk", "TalkFacts", "TurnOutcome"]

_CLOSE_S = 15.0
_LATE_TRANSCRIPT_S = 1.0
_INTERRUPTED_S = 3.0
_UNSTOPPABLE_S = 120.0
Connect = Callable[[], AbstractAsyncContextManager[VoiceSession]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things may take, in seconds."""

    ready_s: float = 60.0
    """From connecting until the backend listens."""
    reply_s: float = 10.0
    """From the end of the user's speech until the reply is heard; later is a failure."""
    cut_s: float = 12.0
    """Of a reply that are listened to; then it is interrupted and the next turn begins."""
    gap_s: float = 0.5
    """Between the end of a reply and the next turn."""
    cut: bool = True
    """Interrupt long replies at all."""


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """A turn that was spoken, or would have been."""

    index: int
    spoken: SpokenTurn
    measures: TurnMeasures
    lateness_ms: Spread | None
    """Of the frames sent in it."""
    times: dict[str, object]
    """Every time stamp of the turn, in ms after the zero."""


@dataclass(frozen=True, slots=True)
class TalkFacts:
    """What is known of a session as a whole."""

    model: str | None
    ready_ms: float | None
    """From connecting until the backend listened."""
    failure: str | None
    category: str | None
    """Of the failure, as in `Fault`, where it was told on purpose."""
    lateness_ms: Spread | None
    delivery_ms: float
    """Milliseconds between the session's time stamp of an event and its arrival, at worst."""
    machine: Machine


@dataclass(slots=True)
class Talk:
    """A conversation about to be held. `cold` connects while the user already speaks, and ends after one turn."""

    connect: Connect
    conversation: Conversation
    pace: Pace
    cold: bool = False
    trace: Trace = field(default_factory=Trace)
    _microphone: Microphone = field(default_factory=Microphone)
    _listener: Listener | None = None
    _opened: asyncio.Event = field(default_factory=asyncio.Event)
    _finished: asyncio.Event = field(default_factory=asyncio.Event)
    _failure: str | None = None
    _category: str | None = None

    async def run(self, report: Callable[[TurnOutcome], None]) -> TalkFacts:
        """Hold it. Each turn is reported as soon as it is over, and at the end those that were never reached."""
        clock = asyncio.get_running_loop().time
        probe = LoadProbe()
        probe.start()
        began = clock()
        microphone = self._microphone.start()
        holder = asyncio.create_task(self._hold(), name="bench session")
        try:
            if self.cold or await self._becomes_ready(began + self.pace.ready_s):
                self._microphone.lateness_ms.clear()
                probe.begin()
                await self._speak(report)
            else:
                self._give_up(self.conversation.turns, 0, report)
            self._finished.set()
            await asyncio.wait([holder], timeout=_CLOSE_S)
        finally:
            machine = await probe.stop()
            await _stop([microphone, holder])
        return self._facts(began, machine)

    async def _hold(self) -> None:
        """Open the session, and close it in the same task: some context managers insist on that."""
        try:
            async with self.connect() as session:
                self._listener = Listener(session, self.trace)
                tasks = self._listener.start()
                self._microphone.session = session
                self._opened.set()
                try:
                    await self._finished.wait()
                finally:
                    self._microphone.session = None
                    await _stop(tasks)
        except VoiceBridgeError as error:
            self._failure, self._category = str(error), error.category
        except Exception as error:  # a backend that breaks its promise is a finding, not the end of the benchmark
            self._failure = f"{type(error).__name__}: {error}"
        finally:
            self._opened.set()

    async def _becomes_ready(self, deadline: float) -> bool:
        clock = asyncio.get_running_loop().time
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._opened.wait(), deadline - clock())
        if self._listener is None or not await self._listener.until(lambda: self.trace.ready_at is not None, deadline):
            self._failure = self._why() or f"The backend was not ready within {self.pace.ready_s:g} s."
            return False
        await asyncio.sleep(self.pace.gap_s)
        return True

    async def _speak(self, report: Callable[[TurnOutcome], None]) -> None:
        turns = self.conversation.turns[: 1 if self.cold else None]
        for index, spoken in enumerate(turns):
            if index:
                await asyncio.sleep(self.pace.gap_s)
            if self._gone():
                return self._give_up(turns, index, report)
            report(await self._turn(index, spoken))
        return None

    def _give_up(self, turns: Iterable[SpokenTurn], first: int, report: Callable[[TurnOutcome], None]) -> None:
        for index, spoken in enumerate(turns):
            if index >= first:
                report(TurnOutcome(index, spoken, TurnMeasures(outcome="not_reached", fault=self._why()), None, {}))

    async def _turn(self, index: int, spoken: SpokenTurn) -> TurnOutcome:
        clock = asyncio.get_running_loop().time
        frames = len(self._microphone.lateness_ms)
        at = self._microphone.say(spoken.pcm)
        began, zero = (at + sample / DOOR_FORMAT.rate for sample in (spoken.speech_start, spoken.speech_end))
        patience = self.pace.reply_s + (self.pace.ready_s if self.cold else 0.0)
        await self._hear_out(Spoken(began=began, zero=zero, until=math.inf), zero + patience)
        window = Spoken(began=began, zero=zero, until=clock())
        measures = measure(self.trace, window)
        if measures.outcome == "silent" and self._gone():
            outcome: Outcome = "failed" if self._listener else "not_reached"
            measures = dataclasses.replace(measures, outcome=outcome, fault=self._why())
        lateness = spread(self._microphone.lateness_ms[frames:])
        return TurnOutcome(index, spoken, measures, lateness, time_stamps(self.trace, window))

    async def _hear_out(self, window: Spoken, deadline: float) -> None:
        """Return when the turn's reply was played out or cut, its transcript is there, or time is up."""
        clock = asyncio.get_running_loop().time
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._opened.wait(), deadline - clock())
        listener = self._listener
        if listener is None:
            return
        await listener.until(lambda: clock() >= window.zero and self._settled(window), deadline)
        sound = clock()
        if not await listener.until(self._played_out, sound + self.pace.cut_s) and not listener.over:
            stopped = self.pace.cut and await self._interrupt()
            await listener.until(self._played_out, clock() + (_INTERRUPTED_S if stopped else _UNSTOPPABLE_S))
        await listener.until(lambda: self._transcribed(window), clock() + _LATE_TRANSCRIPT_S)

    def _settled(self, window: Spoken) -> bool:
        found = measure(self.trace, window)
        refused = found.outcome == "failed" and (found.eou_ms or -1) >= 0 and not self.trace.open_answers()
        return found.outcome == "answered" or refused

    def _played_out(self) -> bool:
        return not self.trace.open_answers() and asyncio.get_running_loop().time() >= self.trace.playout.ends_at()

    def _transcribed(self, window: Spoken) -> bool:
        ours = [commit.turn_id for commit in self.trace.commits if commit.at >= window.began]
        return all(turn in self.trace.heard and self.trace.heard[turn].final_at is not None for turn in ours)

    async def _interrupt(self) -> bool:
        """Stop a long reply; whether the backend can."""
        now = asyncio.get_running_loop().time()
        playing = {*self.trace.playout.sounding(now), *(answer.id for answer in self.trace.open_answers())}
        heard = {response_id: self.trace.playout.played_ms(response_id, now) for response_id in playing}
        session = self._microphone.session
        try:
            if session is not None:
                await session.send(Interrupt(heard=heard))
        except VoiceBridgeError:
            return False
        self.trace.fall_silent(now)
        return True

    def _gone(self) -> bool:
        lost = self._opened.is_set() and (self._listener is None or self._listener.over)
        return lost or self._microphone.failure is not None

    def _why(self) -> str | None:
        heard = self._listener.failure if self._listener else None
        return heard or self._failure or self._microphone.failure

    def _facts(self, began: float, machine: Machine) -> TalkFacts:
        ready = self.trace.ready_at
        return TalkFacts(
            model=self.trace.ready.model if self.trace.ready else None,
            ready_ms=None if ready is None else (ready - began) * 1000,
            failure=self._why(),
            category=self._category,
            lateness_ms=spread(self._microphone.lateness_ms),
            delivery_ms=self.trace.largest_delay_ms,
            machine=machine,
        )


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
