"""The answer that somebody waits for when a call goes over to another connection: it is asked for, and goes on.

the leg                       it is owed        becomes
is dialled, or told what      yes               asked for when that is done: what was heard of an answer that was cut,
it missed                                       and what the user says, is not known before
hears turns again that it     yes               asked for once they are committed, or after 2 s
won't answer by itself
was told all, and somebody    yes               asked for if it does not hear the user within half a second
may speak
was told all                  yes               asked for
was asked, has not begun      no: interrupted   interrupted as well
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from voicebridge.audio.converter import Converter
from voicebridge.audio.level import first_audible
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import Command, Interrupt, Respond, SendText
from voicebridge.core.briefing import Briefing
from voicebridge.core.verbatim import rest_of, verbatim

from .leg import Leg

__all__ = ["Continuation"]

_GO_ON = (
    "The connection was lost while you were speaking. The user has heard you say: {said!r}. Go on from exactly there: "
    "repeat nothing of it, and don't speak of the interruption."
)
_ANSWER = "The user waits: answer what was said last."
_HEARD_AGAIN = (
    "The connection was lost while you were answering. What the user said is heard again now. They have heard you say "
    "in answer: {said!r}. Go on from exactly there: repeat nothing of it, and don't speak of the interruption."
)
_TURN_WITHIN_S = 2.0
"""So long a turn that is heard again may take to be committed."""
_SPEECH_WITHIN_S = 0.5
"""So long a backend may take to say that the user speaks, where there is sound."""


class Continuation:
    """Asks one leg after another for what is owed.

    Args:
        format: of the user's audio.
        send: gives a leg a command of the session's making.
    """

    def __init__(
        self, briefing: Briefing, format: AudioFormat, send: Callable[[Leg, Command], Awaitable[None]]
    ) -> None:
        self._briefing, self._format, self._send = briefing, format, send
        self._due = briefing.answer_due
        self._moved = asyncio.Event()
        self._asked: Command | None = None
        """What the leg was asked for an answer with, as long as that was not begun."""
        self._cut: str | None = None
        """The answer that goes on with that."""

    def moved(self) -> None:
        """Somebody begins or ends to speak."""
        self._moved.set()

    def begun(self) -> None:
        """An answer begins, or nobody can give one."""
        self._asked = self._cut = None

    def is_stopped_by(self, command: Interrupt) -> bool:
        """Whether an interruption of an answer that was cut is one of what was asked for in its place, and nothing
        else was."""
        asked = self._asked
        named = command.response_id is not None and command.response_id == self._cut
        return named and asked is not None and self._due.only(asked.id)

    async def tell_begun(self, leg: Leg) -> None:
        """It will answer a turn of which the user has heard the beginning of an answer."""
        if self._due.begun is None:
            return
        await leg.until_ready()  # until then the player may tell more of what was heard
        assert leg.session is not None
        begun = self._due.begun
        said = self._briefing.chronicle.heard(begun) if begun else ""
        if said and leg.session.capabilities.context != "none":
            await self._send(leg, SendText(text=_HEARD_AGAIN.format(said=said), role="system", respond=False))

    async def until_committed(self, leg: Leg) -> None:
        """Wait for the turns that it hears again, where somebody else asks for the answer to them."""
        if self._due.turns_due:
            await leg.until_ready()
            await self._until(lambda: not self._due.turns_due, _TURN_WITHIN_S)
            self._due.turns_due = 0

    async def ask_if_owed(self, leg: Leg) -> None:
        """The leg was told all: it is asked for the answer that nobody gives, at the right moment."""
        if not self._due.unasked:
            return
        await leg.until_ready()
        if self._due.turns_due:
            await self.until_committed(leg)
        elif self._may_speak():
            await self._until(lambda: self._briefing.user_speaks or not self._due.unasked, _SPEECH_WITHIN_S)
        if self._due.unasked and not self._briefing.user_speaks:
            await self._ask(leg)

    async def ask_again(self, leg: Leg, response_id: str, after_s: float) -> None:
        """For an answer that failed, unless somebody wants it no more by then."""
        await asyncio.sleep(after_s)
        if self._due.cut == response_id and not self._briefing.user_speaks:
            await self._ask(leg)

    async def _until(self, reached: Callable[[], bool], within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not reached():
                    self._moved.clear()
                    await self._moved.wait()

    def _may_speak(self) -> bool:
        """Whether there is sound in what no backend has judged yet."""
        pcm = self._briefing.unjudged()
        linear = AudioFormat(rate=self._format.rate)
        return first_audible(Converter(self._format, linear).convert(pcm), linear.rate) is not None

    async def _ask(self, leg: Leg) -> None:
        """For the answer that went down with another connection, or that nobody has begun."""
        assert leg.session is not None
        can, cut = leg.session.capabilities, self._due.cut
        said = self._briefing.chronicle.heard(cut) if cut else ""
        request = self._due.request(cut)
        self._cut = cut
        rest = rest_of(request.say, said) if request and request.say else None
        if rest is not None:
            await self._ask_to_say(leg, rest)
            return
        instructions = _GO_ON.format(said=said) if said else None
        if request and request.instructions:
            instructions = "\n".join(filter(None, (request.instructions, instructions)))
        if "verb" not in can.respond:
            if "text" in can.inputs and can.outputs:  # it answers what is said to it, at least
                await self._send_request(leg, SendText(text=instructions or _ANSWER, role="system"))
            else:
                self._due.give_up()
            return
        if instructions and "instructions" not in can.respond:
            await self._send(leg, SendText(text=instructions, role="system", respond=False))
            instructions = None
        await self._send_request(leg, Respond(instructions=instructions))

    async def _ask_to_say(self, leg: Leg, rest: str) -> None:
        """The rest of given words."""
        assert leg.session is not None
        request = verbatim(rest, leg.session.capabilities) if rest else None
        if request is None:
            self._due.give_up()
            return
        self._due.note(request)
        await self._send_request(leg, request)

    async def _send_request(self, leg: Leg, command: Command) -> None:
        self._asked = command
        await self._send(leg, command)
