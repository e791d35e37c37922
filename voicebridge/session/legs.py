"""The legs of a call, and the plan that moves it from one to the next: dials, handovers, losses.

`Handover` decides, this carries it out, and tells the plan what comes of it.

what it owns                  from                        until
the legs, one a connection    each dial                   they are closed, `close` at the latest
the leg that serves           it is handed the call       it ends, or the next one is
a timer                       a limit is known            it is due, or another one is sooner; `stop`
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Configure
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    OutputAudio,
    SessionReady,
    SessionRestarted,
)
from voicebridge.contract.fault import Fault
from voicebridge.core.briefing import Briefing
from voicebridge.core.candidates import Candidates
from voicebridge.core.handover import Handover
from voicebridge.core.handover_effects import Close, Dial, Effect, Flip, GiveUp, Moment, Reason, Refuse
from voicebridge.core.seed_limits import beyond_limits
from voicebridge.core.shortfall import knows_what_was_said, recounted, shortfall
from voicebridge.transport.delivery import Delivery

from .call_keys import CallKeys
from .candidate import Candidate
from .courier import Courier
from .generation import Generation
from .leg import Leg
from .line_guard import LineGuard
from .news import News
from .settings import Settings

__all__ = ["Legs"]

_NOT_TOLD = Fault(
    category="unsupported",
    code="not_told",
    message="The backend that has the call now does not know what was said while it was dialled, and can't be told.",
)
_SUPERSEDED = Fault(
    category="closed",
    code="superseded",
    message="The call goes to another backend: that was asked for before it had gone to this one.",
)
_UNCONFIRMED = Fault(
    category="network",
    code="unconfirmed",
    message="Nothing of what the user says has arrived for some seconds. It is kept; another connection is opened.",
    retryable=True,
)
_log = logging.getLogger("voicebridge")


class Legs:
    """Those of one call. Is a `LegOwner`, a `LineOwner` and a `NewsOwner`.

    Args:
        tell: gets each event that the application may be told.
        playing: whether an answer is still being played.
        over: is called when the call can't go on, with the reason.
    """

    def __init__(
        self,
        settings: Settings,
        briefing: Briefing,
        courier: Courier,
        delivery: Delivery,
        candidates: Candidates[Candidate],
        slow_after_s: float,
        clock: Callable[[], float],
        *,
        tell: Callable[[Event], None],
        playing: Callable[[], bool],
        over: Callable[[Fault], None],
    ) -> None:
        self._settings, self.briefing, self._courier = settings, briefing, courier
        self.delivery, self._clock = delivery, clock
        self.plan = Handover(candidates, self._fits, slow_after_s)
        self._told, self._playing, self._over = tell, playing, over
        self._format = settings.shared.input_format
        self.all: dict[int, Leg] = {}
        """By attempt, those that are there."""
        self._keys = CallKeys()
        self._keys.serves(settings.candidates[0].keys)
        self.handed = 0
        """How often the call was handed to a leg."""
        self.had_by = settings.candidates[0]
        """Who has the call, or had it last."""
        self.capabilities = self._seen_from_here(settings.candidates[0].backend.capabilities)
        """Of the last leg that was ready; before that, of the backend that is dialled first."""
        self.news = News(briefing, courier, delivery, clock, tell, self)
        self._untold = False
        """The leg that has the call can't be told what was said last."""
        self._was_ready = False
        self._lost_at: float | None = None
        self._closed = False
        self.first_error: Exception | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """The backend took the config the first time, or raised what it has against it."""
        self._timer: asyncio.TimerHandle | None = None
        self._line = LineGuard(lambda: self._leg, self._format, clock, self)

    @property
    def _leg(self) -> Leg | None:
        """The one that has the call, ready or not."""
        return self._courier.leg

    def _seen_from_here(self, inner: Capabilities) -> Capabilities:
        shared = self._settings.shared
        return replace(
            inner,
            formats_in=(shared.input_format,) if inner.formats_in else (),
            formats_out=(shared.output_format,) if inner.formats_out else (),
        )

    def start(self) -> None:
        """Begin to dial."""
        self._do(self.plan.start(self._clock()))

    def watch_line(self) -> None:
        """The user speaks: somebody looks whether it arrives."""
        if not self._line.looks:
            self._line.start()

    def stop(self) -> None:
        """Nothing is planned any more."""
        self._closed = True
        self._set_timer()

    def give_back_keys(self) -> None:
        """The call needs no key any more."""
        self._keys.end()

    def let_go(self, fault: Fault | None) -> None:
        """Of all legs: what they were given and what runs on them has its end before the session has."""
        for leg in list(self.all.values()):
            leg.close()
            if leg is self._leg:
                self.news.let_go(leg, fault=fault)
                self._courier.leg = None
            else:
                self._courier.let_go(leg)

    async def closed(self) -> None:
        """Wait until all have let go of everything."""
        await asyncio.gather(*(leg.closed() for leg in list(self.all.values())))

    # Legs

    @contextmanager
    def _or_end(self) -> Iterator[None]:
        """What the plan follows from comes once. Where that fails nothing would ever come again: the session ends."""
        try:
            yield
        except Exception as error:
            _log.exception("A session failed")
            what = f"The session failed ({type(error).__name__}). Report it."
            self._give_up(Fault(category="protocol", code="session_failed", message=what))

    def _do(self, effects: Sequence[Effect[Candidate]]) -> None:
        for effect in effects:
            if isinstance(effect, Dial):
                self._dial(effect)
            elif isinstance(effect, Flip):
                self._flip(self.all[effect.attempt], effect.reason)
            elif isinstance(effect, Close):
                self.all[effect.attempt].close()
            elif isinstance(effect, GiveUp):
                self._give_up(effect.fault)
            elif isinstance(effect, Refuse):
                self._settle_move(effect.fault)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed:
            self._line.stop()
        due_at = None if self._closed else self.plan.due_at()
        if due_at is not None:
            self._timer = asyncio.get_running_loop().call_at(due_at, self._due)

    def _due(self) -> None:
        self._timer = None
        with self._or_end():
            if self.plan.wish is not None:
                self.plan.moment = self._moment()
            self._do(self.plan.due(self._clock()))

    def _dial(self, dial: Dial[Candidate]) -> None:
        try:
            config = self._settings.config(dial.candidate)
        except VoiceBridgeError as error:
            self.first_error = self.first_error or error
            self._do(self.plan.failed(dial.attempt, error.fault, self._clock()))
            return
        seed = self.briefing.seed(running=self.news.responses)
        skipped = beyond_limits(seed, dial.candidate.backend.capabilities)
        leg = Leg(dial.attempt, dial.candidate, config, seed[skipped:], self, self._keys)
        leg.skipped = skipped
        self.all[dial.attempt] = leg
        if self._leg is None:
            self._hand_to(leg)  # nobody else has the call: it hears of it while it dials
        leg.start()

    def _hand_to(self, leg: Leg) -> None:
        """From now on this leg has the call."""
        missing = self.briefing.missing(leg.seed, skipped=leg.skipped)
        start_ms = self.briefing.take_over()
        self.handed += 1
        self.had_by = leg.candidate
        leg.names = Generation(self.handed, start_ms, self.briefing.chronicle.earlier_calls)
        leg.answered_at = self._clock()
        self.news.responses.clear()
        note = recounted(self.briefing.news(leg.seed, skipped=leg.skipped)) if missing is None else None
        context = "none" if leg.session is None else leg.session.capabilities.context
        self._untold = context == "none" and bool(missing or note)
        self._courier.hand_to(leg, () if self._untold else missing or (), None if self._untold else note)

    def _flip(self, leg: Leg, reason: Reason) -> None:
        """The handover: a connection that is ready takes the call, unless it has it already."""
        assert leg.ready is not None
        old = self._leg
        if old is not leg:
            if old is not None:
                self._put_aside(old, leg)
            self._hand_to(leg)
        self._keys.serves(leg.candidate.keys)
        now = self._clock()
        before, self.capabilities = self.capabilities, leg.ready.capabilities
        self.briefing.ready(leg.ready.capabilities)
        expires_in_s = None if leg.expires_at is None else max(0.0, leg.expires_at - now)
        if expires_in_s is not None:
            self.plan.expires(expires_in_s, now)
        if not leg.caught_up:
            self.briefing.backlog.pass_over_lost()
        ready = replace(leg.ready, at=now, expires_in_s=expires_in_s)
        self._told(self._restarted(leg, ready, reason) if self._was_ready else ready)
        if self._was_ready or leg.candidate is not self._settings.candidates[0]:
            self._tell_shortfall(leg, before)
        self._was_ready, self._lost_at = True, None
        if reason in ("swap", "reconfigure"):
            self._settle_move(None)

    def _put_aside(self, old: Leg, to: Leg) -> None:
        """The call is taken from a leg that may still speak."""
        old.put_aside()
        self.news.let_go(old, reason="handover", to=to)

    def _restarted(self, leg: Leg, ready: SessionReady, reason: Reason) -> SessionRestarted:
        gap_ms = 0.0 if self._lost_at is None else (self._clock() - self._lost_at) * 1000
        told = knows_what_was_said(ready.capabilities) and bool(leg.seed or self.briefing.seed())
        carried: Literal["text", "none"] = "text" if told and not self._untold else "none"
        lost_audio_ms = self._format.ms(self.briefing.backlog.lost_bytes)
        return SessionRestarted(ready=ready, reason=reason, carried=carried, gap_ms=gap_ms, lost_audio_ms=lost_audio_ms)

    def _tell_shortfall(self, leg: Leg, before: Capabilities) -> None:
        """What the call can't do any more."""
        said = bool(self.briefing.seed())
        if lost := shortfall(leg.candidate.name, leg.config, before, self.capabilities, said=said):
            self._told(BackendError(fault=lost))
        elif self._untold:
            self._told(BackendError(fault=_NOT_TOLD))

    def _settle_move(self, fault: Fault | None) -> None:
        """A change that took another connection is made, or could not be."""
        for command_id in self._settings.end_move(done=fault is None):
            self._told(CommandSettled(command_id=command_id, fault=fault))
        self.plan.candidates.replace(self._settings.candidates)

    # Moves

    def move(self, command: Configure) -> None:
        """Change what takes another connection.

        Raises:
            ConfigError: what it is to be changed to does not fit.
        """
        serving = self._leg.candidate if self._leg is not None else self._settings.candidates[0]
        target = command.patch.get("backend")
        if target is not None and not isinstance(target, Candidate):
            raise ConfigError("backend is a spec, such as 'local'.", code="bad_backend", command_id=command.id)
        to = self._settings.begin_move(command, serving, target)
        for command_id in self._settings.superseded:
            self._told(CommandSettled(command_id=command_id, fault=_SUPERSEDED))
        assert self._settings.move is not None
        reason: Reason = "swap" if self._settings.move.swaps else "reconfigure"
        with self._or_end():
            self._do(self.plan.want(to, reason, self._clock()))
        self.moved()

    def moved(self) -> None:
        """Somebody begins or ends to speak. Costs nothing while no move is planned."""
        if self.plan.wish is not None and not self._closed:
            with self._or_end():
                self._do(self.plan.moved(self._moment(), self._clock()))

    def _moment(self) -> Moment:
        unsettled = self._leg is not None and bool(self._leg.unsettled)
        responding = bool(self.news.responses) or unsettled or self.briefing.unfinished
        return Moment(responding, self.briefing.user_speaks, self._playing())

    def _fits(self, attempt: int) -> bool:
        """Whether a connection knows all that was said, or can be told."""
        leg = self.all[attempt]
        missing = self.briefing.missing(leg.seed, skipped=leg.skipped)
        changed = self._settings.changed_since(leg.config, leg.candidate)
        if leg.session is None or missing is None:
            return False
        can = leg.session.capabilities
        return (not missing or can.context == "item") and changed.keys() <= can.live_update

    # What legs tell

    def leg_opened(self, leg: Leg) -> None:
        """See `LegOwner`."""
        if not self.opened.done():
            self.opened.set_result(None)
        if leg is self._leg:
            self._courier.hand_to(leg, ())

    def leg_told(self, leg: Leg, event: Event) -> None:
        """See `LegOwner`."""
        if type(event) is OutputAudio and leg is self._leg and not leg.strays:
            self._sounds(leg, event)  # fifty times a second: nothing below is about it
        elif isinstance(event, SessionReady):
            leg.answered_at = self._clock()
            leg.got_ready(event, leg.answered_at)
            self.plan.moment = self._moment()
            self._do(self.plan.ready(leg.attempt, leg.answered_at))
        else:
            self.news.told(leg, event)

    def _sounds(self, leg: Leg, event: OutputAudio) -> None:
        """A piece of the agent's voice."""
        told = leg.names.told(event)
        self.briefing.chronicle.happened(told)
        self._told(told)

    def leg_ended(self, leg: Leg, fault: Fault | None) -> None:
        """See `LegOwner`."""
        del self.all[leg.attempt]
        with self._or_end():
            self._ended(leg, fault, self._clock())

    def _ended(self, leg: Leg, fault: Fault | None, now: float) -> None:
        if leg is self._leg:
            lost_at = now - (0.0 if leg.session is None else leg.session.dead_s)
            self._lost_at = lost_at if self._lost_at is None else self._lost_at
            self.news.let_go(leg, fault=fault)
            self._courier.leg = None
        else:
            self._courier.let_go(leg)
        if fault is None or self._closed:
            return
        if self.first_error is None:
            self.first_error = leg.error
        self._do(self.plan.failed(leg.attempt, fault, now, well_until=self._well_until(leg, fault)))
        first = not (self._was_ready or self._closed or self.opened.done())
        if first and len(self._settings.candidates) > 1:
            self._told(BackendError(fault=fault))

    def line_stalled(self, since: float, *, first: bool) -> None:
        """See `LineOwner`."""
        if self._closed or self._leg is None:
            return
        self._lost_at = since if self._lost_at is None else self._lost_at
        if first:
            self._told(BackendError(fault=_UNCONFIRMED))
        with self._or_end():
            self._do(self.plan.stalled(self._clock()))

    def line_recovered(self) -> None:
        """See `LineOwner`."""
        if self._leg is not None and not self._closed:
            self._lost_at = None
            self._do(self.plan.recovered())

    @property
    def has_room(self) -> bool:
        """See `LegOwner`."""
        return self.delivery.has_room

    async def room(self) -> None:
        """See `LegOwner`."""
        await self.delivery.room()

    def expires(self, in_s: float) -> None:
        """See `NewsOwner`."""
        self.plan.expires(in_s, self._clock())
        self._set_timer()

    def has_another(self) -> bool:
        """See `NewsOwner`."""
        return self.plan.another(self._clock()) is not None

    def can_abandon(self, response_id: str) -> bool:
        """Whether a response runs, and another backend could give it."""
        return response_id in self.news.responses and not self._closed and self.has_another()

    def abandon(self, response_id: str, fault: Fault) -> None:
        """The backend that has the call is of no use: another one goes on with it, and gives the answer."""
        assert self._leg is not None
        self.take_from(self._leg, fault, response_id)

    def take_from(self, leg: Leg, fault: Fault, response_id: str | None) -> None:
        """See `NewsOwner`."""
        now = self._clock()
        well_until = self.news.responses.get(response_id or "", self._well_until(leg, fault))
        self._lost_at = now if self._lost_at is None else self._lost_at
        self.news.let_go(leg, fault=fault)
        self._courier.leg = None
        leg.close()
        # It can be reached, at least: where nobody else can, it is better than nobody.
        self._do(self.plan.failed(leg.attempt, replace(fault, retryable=True), now, well_until=well_until))

    def _well_until(self, leg: Leg, fault: Fault) -> float:
        """One that stalled was well until its last answer, not until now: else it would be asked again for ever."""
        return leg.answered_at if fault.category == "busy" else self._clock()

    def _give_up(self, fault: Fault) -> None:
        if not self.opened.done():
            self.opened.set_exception(self.first_error or VoiceBridgeError(fault))
        self._over(fault)
