"""Commands on their way to the leg that has the call, each to be taken by one and settled once.

a command                          becomes
a leg has the call, and knows all  given to it
nobody is there, or it is still    held, in its place in the audio; the user's audio itself is kept in any case
being told what it missed
the leg ends before it was ready   held again, before all others
the leg settles it                 told to the application
the call is taken from the leg,    told as closed: nobody knows what became of it
or it ends

A leg that takes over is told in this order: what was said since it was opened, settings that were changed, the user's
audio and the commands in it, and at last that it should answer, if somebody waits for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

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
from voicebridge.core.verbatim import rest_of, verbatim
from voicebridge.transport.delivery import Delivery

from .late_result import understood
from .leg import Leg, failed
from .settings import Settings

__all__ = ["CLOSED", "Courier"]

CLOSED = Fault(category="closed", code="closed", message="The session was closed.")
_MOVED = Fault(category="closed", code="moved", message="The call went on over another connection.", retryable=True)
_GO_ON = (
    "The connection was lost while you were speaking. The user has heard you say: {said!r}. Go on from exactly there: "
    "repeat nothing of it, and don't speak of the interruption."
)
_ANSWER = "The user waits: answer what was said last."
_HEARD_AGAIN = (
    "The connection was lost while you were answering. What the user said is heard again now. They have heard you say "
    "in answer: {said!r}. Go on from exactly there: repeat nothing of it, and don't speak of the interruption."
)
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
        self._own: dict[str, Command] = {}
        """Commands of this session's making: nobody is told of them."""
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
        while (leg := self.leg) is not None and leg.caught_up:
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
        while (leg := self.leg) is not None and leg.caught_up:
            assert leg.session is not None
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
        del leg.unsettled[command_id]
        if event.fault == CLOSED and not self.closed:  # the leg's end, not the session's
            event = CommandSettled(command_id=command_id, fault=_MOVED)
        if self._turn_ends.was_told(command_id):  # by an earlier connection
            if event.fault is not None and event.fault.category != "closed":
                self._failed(command_id, event.fault)  # that it could not be done again is news all the same
            return None
        self._briefing.happened(event)
        refused = self._settings.settled(event)
        if own := self._own.get(command_id):
            asks = isinstance(own, Respond) or (isinstance(own, SendText) and own.respond)
            if not asks:  # those are named by the response to them
                del self._own[command_id]
            if event.fault is not None and event.fault.category != "closed":
                self._told(BackendError(fault=event.fault))
                if asks:
                    self._briefing.answer_due.give_up()
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

    def let_go(self, leg: Leg) -> None:
        """The call is taken from a leg, or it is over: no command of it is left without a fate."""
        if leg is self.leg:
            for command_id in self._briefing.take_back():
                leg.unsettled.pop(command_id, None)
        for command_id in [one for one in leg.unsettled if one not in leg.giving]:
            self.settled(leg, CommandSettled(command_id=command_id, fault=CLOSED if self.closed else _MOVED))

    def without_own(self, event: ResponseStarted) -> tuple[str, ...]:
        """What a response answers, as far as the application asked."""
        return tuple(answered for answered in event.answers if answered not in self._own)

    # A leg that takes over

    def hand_to(self, leg: Leg, missing: Sequence[MessageItem]) -> None:
        """From now on this leg has the call. `missing` is what was said since it was opened."""
        self.leg = leg
        if leg.session is not None:
            leg.catch_up(self._catch_up(leg, missing))

    async def _catch_up(self, leg: Leg, missing: Sequence[MessageItem]) -> None:
        assert leg.session is not None
        try:
            if leg.strays and "verb" in leg.session.capabilities.interrupt:
                await self._send_own(leg, Interrupt())  # it greets the user, say, in the middle of the call
            if note := retold(leg.seed, leg.session.capabilities):
                await self._send_own(leg, SendText(text=note, role="system", respond=False))
            for item in missing:
                await self._send_own(leg, SendText(text=item.text, role=item.role, images=item.images, respond=False))
            if changed := self._settings.changed_since(leg.config, leg.candidate):
                await self._send_own(leg, Configure(patch=changed))
            await self._tell_begun(leg)
            await self._tell(leg)
            answer_due = self._briefing.answer_due
            if answer_due.unasked and not self._briefing.user_speaks:
                await self._ask_again(leg)
                await self._tell(leg)  # what came meanwhile
        except SessionClosed:
            pass  # this one is over as well; the reader says why
        except Exception as error:
            _log.exception("A connection could not be told what it missed")
            leg.broken = failed(error)
            assert leg.session is not None
            await leg.session.aclose()
        else:
            if leg is self.leg:
                leg.caught_up = True  # nothing has waited since all was told

    async def _tell_begun(self, leg: Leg) -> None:
        """It will answer a turn of which the user has heard the beginning of an answer."""
        assert leg.session is not None
        begun = self._briefing.answer_due.begun
        said = self._briefing.chronicle.heard(begun) if begun else ""
        if said and leg.session.capabilities.context != "none":
            await self._send_own(leg, SendText(text=_HEARD_AGAIN.format(said=said), role="system", respond=False))

    async def _tell(self, leg: Leg) -> None:
        """In order: the user's audio, and the commands that came between."""
        while (told := self._backlog.next()) is not None:
            if isinstance(told, bytes):
                await self._send_kept(leg, told)
            else:
                await self._hand_over(leg, told)

    def ask_again(self, leg: Leg, response_id: str, *, after_s: float) -> None:
        """The same leg is asked once more for an answer that failed, unless somebody wants it no more by then."""
        self._briefing.answer_due.cut = response_id
        if leg.caught_up:  # else it is asked at the end of that
            leg.catch_up(self._again(leg, response_id, after_s))

    async def _again(self, leg: Leg, response_id: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        if leg is self.leg and self._briefing.answer_due.cut == response_id and not self._briefing.user_speaks:
            with suppress(SessionClosed):  # this one is over; the reader says why
                await self._ask_again(leg)

    async def _ask_again(self, leg: Leg) -> None:
        """For the answer that went down with another connection, or that nobody has begun."""
        assert leg.session is not None
        can, cut = leg.session.capabilities, self._briefing.answer_due.cut
        respond = can.respond
        said = self._briefing.chronicle.heard(cut) if cut else ""
        request = self._briefing.answer_due.request(cut)
        rest = rest_of(request.say, said) if request and request.say else None
        if rest is not None:
            await self._ask_to_say(leg, rest)
            return
        instructions = _GO_ON.format(said=said) if said else None
        if request and request.instructions:
            instructions = "\n".join(filter(None, (request.instructions, instructions)))
        if "verb" not in respond:
            if "text" in can.inputs and can.outputs:  # it answers what is said to it, at least
                await self._send_own(leg, SendText(text=instructions or _ANSWER, role="system"))
            else:
                self._briefing.answer_due.give_up()
            return
        if instructions and "instructions" not in respond:
            await self._send_own(leg, SendText(text=instructions, role="system", respond=False))
            instructions = None
        await self._send_own(leg, Respond(instructions=instructions))

    async def _ask_to_say(self, leg: Leg, rest: str) -> None:
        """The rest of given words."""
        assert leg.session is not None
        request = verbatim(rest, leg.session.capabilities) if rest else None
        if request is None:
            self._briefing.answer_due.give_up()
            return
        self._briefing.answer_due.note(request)
        await self._send_own(leg, request)

    async def _send_own(self, leg: Leg, command: Command) -> None:
        assert leg.session is not None
        self._own[command.id] = command
        leg.unsettled[command.id] = None
        try:
            await leg.session.send(command)
        except BaseException as error:
            self._own.pop(command.id, None)
            leg.unsettled.pop(command.id, None)
            if isinstance(error, SessionClosed) or not isinstance(error, VoiceBridgeError):
                raise
            self._told(BackendError(fault=error.fault))

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
            self._failed(due.command.id, error.fault)
        except Exception as error:
            self._failed(due.command.id, failed(error))
            raise

    def _failed(self, command_id: str, fault: Fault) -> None:
        """Tell a command's fate; one that had a good one before has only failed to end a turn again."""
        if self._turn_ends.was_told(command_id):
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
        self._briefing.take_back()
        for due in self._backlog.give_up():
            self._told(CommandSettled(command_id=due.command.id, fault=CLOSED))
