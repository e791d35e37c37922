"""Commands on their way to the leg that has the call, each to be taken by one and settled once.

a command                          becomes
a leg has the call, and knows all  given to it
it takes no more audio for now     held as below, and so is the audio: it is told when it does. What stops an answer
                                   goes by
nobody is there, or it is still    held, in its place in the audio; the user's audio itself is kept in any case
being told what it missed
the leg ends before it was ready   held again, before all others
the leg settles it                 told to the application
the call is taken from the leg,    told as closed: nobody knows what became of it; but
or it ends                         it ends a turn that is not over: held again, in its place
                                   it asks for an answer that was not begun, and is no result of a tool:
                                   held again, if the next leg can't know of it

A leg that takes over is told in this order: what was said since it was opened, settings that were changed, the user's
audio and the commands in it, and at last that it should answer, if somebody waits for that: see `continuation`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from voicebridge.contract.commands import (
    Command,
    Configure,
    Interrupt,
    ReportPlayed,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.errors import SessionClosed, VoiceBridgeError
from voicebridge.contract.events import BackendError, CommandSettled, Event, ResponseStarted
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import MessageItem
from voicebridge.core.backlog import Due
from voicebridge.core.briefing import Briefing
from voicebridge.core.ledger import AudioLedger
from voicebridge.core.shortfall import retold
from voicebridge.transport.delivery import Delivery

from .continuation import Continuation
from .errands import Errands
from .late_result import understood
from .leg import Leg, failed
from .settings import Settings

__all__ = ["CLOSED", "Courier"]

CLOSED = Fault(category="closed", code="closed", message="The session was closed.")
_MOVED = Fault(category="closed", code="moved", message="The call went on over another connection.", retryable=True)
_PIECE_MS = 1_000.0
"""The user's audio is told in pieces of this length."""
_MOST_BEHIND_MS = 25_000.0
"""Who sends faster than a leg takes it has to wait when that much is kept for it: no more than 30 s are."""
_log = logging.getLogger("voicebridge")


class Courier:
    """Brings commands to one leg after another.

    Args:
        told: gets the fates of commands, and errors that are of no command.
    """

    def __init__(
        self,
        settings: Settings,
        briefing: Briefing,
        ledger: AudioLedger,
        delivery: Delivery,
        told: Callable[[Event], None],
    ) -> None:
        self._settings, self._briefing, self._ledger = settings, briefing, ledger
        self._delivery, self._told = delivery, told
        self._backlog, self._turn_ends = briefing.backlog, briefing.turn_ends
        self.leg: Leg | None = None
        """The one that has the call, ready or not."""
        self.sent_upto = 0
        """The place up to which any leg was given the user's audio."""
        self._piece = settings.shared.input_format.size(_PIECE_MS)
        self._most_behind = settings.shared.input_format.size(_MOST_BEHIND_MS)
        self._advanced = asyncio.Event()
        """Set when a leg that fell behind was told more, or there is another one."""
        self._errands = Errands(told)
        self.continuation = Continuation(briefing, settings.shared.input_format, self._errands.send)
        self.closed = False

    # From the application

    async def take(self, command: Command) -> None:
        """Give a command to the leg, or hold it.

        Raises:
            VoiceBridgeError: the leg refuses it.
            SessionClosed: the session is over.
        """
        if isinstance(command, SendAudio):
            await self.take_audio(command)
            return
        goes_by = isinstance(command, Interrupt | ReportPlayed)
        while (leg := self.leg) is not None and (leg.caught_up or (leg.lags and goes_by)):
            try:
                await self._pass(leg, Due(self._backlog.audio.end, command))
                return
            except SessionClosed:
                if self.closed:
                    raise
                if leg is self.leg:
                    break  # lost, and nobody has noticed yet
        self._hold(command)

    async def take_audio(self, command: SendAudio) -> None:
        """The same for the user's audio, which comes fifty times a second."""
        pcm = command.pcm
        while self._backlog.behind >= self._most_behind and not self.closed:
            self._advanced.clear()
            await self._advanced.wait()
        while (leg := self.leg) is not None and leg.caught_up:
            assert leg.session is not None
            if not leg.session.has_room:
                self._fall_behind(leg)
                break
            try:
                await leg.session.send(command)
            except SessionClosed:
                if self.closed:
                    raise
                if leg is self.leg:
                    break  # lost, and nobody has noticed yet
            else:
                if leg is self.leg:  # else the call went to another one before it was taken
                    leg.sent.sent(self._backlog.audio.end, len(pcm))
                    break
        # Not before it was taken: a `send` that was cancelled comes again.
        self._briefing.heard(pcm)
        self._ledger.captured(len(pcm))

    def _fall_behind(self, leg: Leg) -> None:
        """What can't be sent now is kept, and sent when it can: nobody who speaks has to wait for that."""
        self._backlog.fall_behind()
        leg.caught_up, leg.lags = False, True
        leg.catch_up(self._working(leg, lambda: self._go_on(leg)))

    async def _go_on(self, leg: Leg) -> None:
        await self._tell(leg)
        self._backlog.caught_up()
        leg.caught_up, leg.lags = True, False
        await self.continuation.ask_if_owed(leg)

    def _hold(self, command: Command) -> None:
        """Keep a command for the next connection."""
        if isinstance(command, Interrupt):
            self._delivery.purge(command.response_id)
        if not isinstance(command, ReportPlayed):
            self._backlog.hold(command)

    async def _pass(self, leg: Leg, due: Due) -> None:
        """Give it to a leg."""
        command, session = due.command, leg.session
        assert session is not None
        if due.again:
            leg.unsettled[command.id] = None
            self._briefing.repeated(due)
            await session.send(command)
            return
        addressed = leg.names.addressed(command)
        if isinstance(command, Interrupt) and self.continuation.is_stopped_by(command):
            addressed = replace(command, response_id=None, heard={})
            self._briefing.answer_due.give_up()
        if addressed is not None:
            if isinstance(addressed, SendToolResult):
                said = self._briefing.chronicle.items()
                addressed = understood(addressed, leg.names, session.capabilities, said)
            await self._give(leg, due, addressed)
            if leg.ready is None and not isinstance(command, ReportPlayed):
                self._backlog.given_early(due)
        elif not isinstance(command, ReportPlayed):  # it speaks of a response that went down with its connection
            self._told(CommandSettled(command_id=command.id))
        if isinstance(command, Interrupt):
            self._delivery.purge(command.response_id)

    async def _give(self, leg: Leg, due: Due, addressed: Command) -> None:
        command = due.command
        assert leg.session is not None
        if isinstance(command, Configure):
            self._settings.asked(command, leg.candidate)
        self._briefing.given(due)
        if not isinstance(command, ReportPlayed):
            leg.unsettled[command.id] = due
        leg.giving.add(command.id)
        try:
            await leg.session.send(addressed)
        except BaseException:
            leg.unsettled.pop(command.id, None)
            self._settings.withdraw(command.id)
            self._briefing.forget(command)
            raise
        finally:
            leg.giving.discard(command.id)

    # From a leg

    def settled(self, leg: Leg, event: CommandSettled) -> Configure | None:
        """A leg settled a command. A change that it can't make as it runs is given back."""
        command_id = event.command_id
        if (leg is self.leg and self._backlog.gives_back(event)) or command_id not in leg.unsettled:
            return None
        if event.fault == CLOSED and not self.closed:  # the leg's end, not the session's
            if leg is self.leg:
                return None  # `let_go` comes soon
            event = CommandSettled(command_id=command_id, fault=_MOVED)
        told = leg.unsettled.pop(command_id) is None and command_id not in self._errands  # by an earlier connection
        if told:
            if event.fault is not None and event.fault.category != "closed":
                self._failed(command_id, event.fault, told=True)  # that it can't be done again is news all the same
            return None
        self._briefing.happened(event)
        refused = self._settings.settled(event)
        if command_id in self._errands:
            if self._errands.settled(event):
                self._briefing.answer_due.give_up()
                self.continuation.begun()
            return None
        if refused is not None and leg is self.leg:
            return refused  # not as it runs: so by another connection
        self._told(event)
        return None

    def give_back(self, leg: Leg, command_id: str) -> bool:
        """A leg could not do what was asked, where another one can: that one is given it. True: so it is, for it asks
        for an answer, and nobody was told its fate."""
        due = leg.unsettled.get(command_id)
        if due is None or not isinstance(due.command, SendText | SendToolResult | Respond):
            return False
        if not (due.command.respond if not isinstance(due.command, Respond) else not due.command.aside):
            return False
        del leg.unsettled[command_id]
        self._briefing.forget(due.command)
        self._backlog.put_back(due)
        return True

    def let_go(self, leg: Leg, to: Leg | None = None) -> None:
        """The call is taken from a leg, or it is over: no command of it is left without a fate.

        Args:
            to: the leg that takes the call, if there is one already.
        """
        has_call = leg is self.leg
        self._advanced.set()
        if has_call:
            for command_id in self._briefing.take_back():
                leg.unsettled.pop(command_id, None)
        held: list[Due] = []
        for command_id, due in [(one, due) for one, due in leg.unsettled.items() if one not in leg.giving]:
            fault: Fault | None = CLOSED if self.closed else _MOVED
            if due is not None and has_call and not self.closed:
                if self._briefing.turn_ends.is_done(command_id):
                    fault = None  # what it did was told
                elif self._briefing.is_due_again(due.command, None if to is None else to.seed):
                    del leg.unsettled[command_id]
                    self._briefing.forget(due.command)
                    held.append(due)
                    continue
            self.settled(leg, CommandSettled(command_id=command_id, fault=fault))
        for due in reversed(held):
            self._backlog.put_back(due)
        if has_call:
            self._errands.forget()
            self.continuation.begun()

    def started(self, leg: Leg, event: ResponseStarted) -> ResponseStarted:
        """A response begins. It answers what the application asked, and no command of this session's making."""
        if not event.aside:
            self.continuation.begun()
        return self._errands.started(leg, event)

    # A leg that takes over

    def hand_to(self, leg: Leg, missing: Sequence[MessageItem], note: str | None = None) -> None:
        """From now on this leg has the call.

        Args:
            missing: what was said since it was opened.
            note: what it is told of that first, where items can't tell it.
        """
        self.leg = leg
        self._advanced.set()
        leg.had_call = True
        if leg.session is not None:
            leg.catch_up(self._working(leg, lambda: self._catch_up(leg, missing, note)))

    async def _catch_up(self, leg: Leg, missing: Sequence[MessageItem], note: str | None) -> None:
        assert leg.session is not None
        if leg.strays and "verb" in leg.session.capabilities.interrupt:
            await self._errands.send(leg, Interrupt())  # it greets the user, say, in the middle of the call
        if before := retold(leg.seed, leg.session.capabilities):
            await self._errands.send(leg, SendText(text=before, role="system", respond=False))
        if note is not None:
            await self._errands.send(leg, SendText(text=note, role="system", respond=False))
        for item in missing:
            await self._errands.send(leg, SendText(text=item.text, role=item.role, images=item.images, respond=False))
        if changed := self._settings.changed_since(leg.config, leg.candidate):
            await self._errands.send(leg, Configure(patch=changed))
        await self.continuation.tell_begun(leg)
        await self._tell(leg)
        leg.caught_up = True  # nothing has waited since all was told
        await self.continuation.ask_if_owed(leg)

    async def _working(self, leg: Leg, work: Callable[[], Awaitable[None]]) -> None:
        """A leg that can't be told what it has to know is of no use: it ends, and another one takes over."""
        try:
            await work()
        except SessionClosed:
            pass  # this one is over as well; the reader says why
        except Exception as error:
            _log.exception("A connection could not be told what it missed")
            leg.broken = failed(error)
            assert leg.session is not None
            await leg.session.aclose()

    async def _tell(self, leg: Leg) -> None:
        """In order: the user's audio, and the commands that came between."""
        while (told := self._backlog.next(self._piece)) is not None:
            if isinstance(told, bytes):
                await self._send_kept(leg, told)
            else:
                if isinstance(told.command, Respond):
                    await self._wait_for_turns(leg, told)
                await self._hand_over(leg, told)
            self._advanced.set()

    def ask_again(self, leg: Leg, response_id: str, *, after_s: float) -> None:
        """The same leg is asked once more for an answer that failed, unless somebody wants it no more by then."""
        self._briefing.answer_due.cut = response_id
        if leg.caught_up:  # else it is asked at the end of that
            leg.catch_up(self._working(leg, lambda: self.continuation.ask_again(leg, response_id, after_s)))

    async def _wait_for_turns(self, leg: Leg, due: Due) -> None:
        """A response is asked for to what is heard again: not before the leg has all of that."""
        try:
            await self.continuation.until_committed(leg)
        except asyncio.CancelledError:
            self._backlog.put_back(due)
            raise

    async def _send_kept(self, leg: Leg, pcm: bytes) -> None:
        assert leg.session is not None
        place = self._backlog.told - len(pcm)
        try:
            await leg.session.send(SendAudio(pcm=pcm))
            leg.sent.sent(place, len(pcm))
        except SessionClosed:
            raise
        except VoiceBridgeError as error:  # its `send` is long over
            self._told(BackendError(fault=error.fault))

    async def _hand_over(self, leg: Leg, due: Due) -> None:
        """Pass a command on that was taken already: what is wrong with it can only be told as its fate."""
        try:
            await self._pass(leg, due)
        except (SessionClosed, asyncio.CancelledError):
            self._backlog.put_back(due)
            raise
        except VoiceBridgeError as error:
            self._failed(due.command.id, error.fault, told=due.again)
        except Exception as error:
            self._failed(due.command.id, failed(error), told=due.again)
            raise

    def _failed(self, command_id: str, fault: Fault, *, told: bool) -> None:
        """Tell a command's fate; one that had a good one before (`told`) has only failed to end a turn again."""
        if told:
            self._turn_ends.withdraw(command_id)
            self._briefing.answer_due.withdraw(command_id)
            self._told(BackendError(fault=fault))
        else:
            self._told(CommandSettled(command_id=command_id, fault=fault))

    # The end

    def count_delivered(self) -> None:
        """Bring the account of the user's audio up to date."""
        if self.leg is not None:
            self._ledger.delivered(self.leg.delivered_place)
            self.sent_upto = max(self.sent_upto, self.leg.sent.end)

    def give_up(self) -> None:
        """There will be no other leg."""
        self.closed = True
        self._advanced.set()
        self._briefing.take_back()
        for due in self._backlog.give_up():
            self._told(CommandSettled(command_id=due.command.id, fault=CLOSED))
