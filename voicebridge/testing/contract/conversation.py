"""A user before a session: what is given and what comes is written down, and waits have an end.

One wait for the next event is always open and never cancelled while the checks look at something else, so that only
the checks about cancellation depend on what a cancelled wait does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from voicebridge.contract.commands import Command, EndTurn, SendAudio, SendText
from voicebridge.contract.errors import SessionFailed, VoiceBridgeError
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    InputTranscript,
    OutputAudio,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    UserTurn,
)
from voicebridge.contract.session import VoiceSession

from .subject import Subject
from .trace import Trace
from .verdict import Broken, NotTried, expect

__all__ = ["CLOSE_S", "FRAME_MS", "Conversation"]

FRAME_MS = 20
CLOSE_S = 10.0
"""The longest that a close may take."""
E = TypeVar("E", bound=Event)


class Conversation:
    """One session under check.

    Args:
        by_hand: turns are ended by `EndTurn`.
    """

    def __init__(self, session: VoiceSession, subject: Subject, trace: Trace, *, by_hand: bool) -> None:
        self.session, self.subject, self.trace, self.by_hand = session, subject, trace, by_hand
        self._loop = asyncio.get_running_loop()
        self._iterator: AsyncIterator[Event] | None = None
        self._wait: asyncio.Task[None] | None = None
        self._asked = 0
        """Which response of the session the last question that only a voice asked is to get."""
        trace.capabilities = session.capabilities
        if session.capabilities.formats_in:
            trace.input_format = session.capabilities.formats_in[0]
        if session.capabilities.formats_out:
            trace.output_format = session.capabilities.formats_out[0]

    # Commands

    async def send(self, command: Any) -> None:
        """Give a command.

        Raises:
            VoiceBridgeError: as the session does.
            Broken: it raised something else.
        """
        self._note("send", command)
        try:
            await self.session.send(command)
        except asyncio.CancelledError:
            self._note("cancelled", command)
            raise
        except VoiceBridgeError as error:
            self._note("refused", command, f"{type(error).__name__}: {error}")
            raise
        except Exception as error:
            self._note("refused", command, f"{type(error).__name__}: {error}")
            raise Broken(f"send raised {type(error).__name__} ({error}), which is no VoiceBridgeError") from error
        self._note("taken", command)

    async def say(self, text: str) -> SendText:
        """Write to the backend."""
        command = SendText(text=text)
        await self.send(command)
        return command

    async def speak(self) -> None:
        """Say what the subject says, at the pace of a microphone."""
        await self._stream(self.subject.spoken(self.trace.input_format))

    async def pause(self, ms: float) -> None:
        """Keep silent, with the microphone on."""
        await self._stream(_silence(self.trace.input_format.encoding, self.trace.input_format.size(ms)))

    async def _stream(self, pcm: bytes) -> None:
        size = self.trace.input_format.size(FRAME_MS)
        for start in range(0, len(pcm), size):
            await self.send(SendAudio(pcm=pcm[start : start + size]))
            await self.read_for(FRAME_MS / 1000 / self.subject.pace)

    async def take_turn(self) -> UserTurn:
        """Speak, and keep silent until the backend takes the user's turn for over; of several, the last.

        Raises:
            NotTried: it took the loud sound for no speech.
        """
        before = len(self.all(UserTurn, phase="committed"))
        await self.speak()
        await self.ready()
        deadline = self.deadline()
        while len(found := self.all(UserTurn, phase="committed")) <= before or self._turn_is_open():
            if self._loop.time() > deadline:
                self._no_turn()
            expect(not self.trace.ending, f"the session ended instead of taking the turn: {self._last_words()}")
            await self.pause(FRAME_MS)
        return found[-1]

    def _turn_is_open(self) -> bool:
        phases = {turn.turn_id: turn.phase for turn in self.all(UserTurn)}
        return not {"speech", "pause"}.isdisjoint(phases.values())

    async def turn_over(self, *, committed: bool = True) -> UserTurn:
        """Wait until a turn that was ended by hand is over.

        Raises:
            Broken: it was discarded, and it had to be committed.
            NotTried: likewise, but nothing was said, so that it is no wonder.
        """
        turn = await self.until(UserTurn, where=lambda turn: turn.phase in ("committed", "discarded"))
        if committed and turn.phase == "discarded":
            if self.subject.speech is None:
                raise NotTried("it understood nothing in a loud sound: give a recording of speech (`speech`, `--wav`)")
            raise Broken(f"EndTurn came, and the turn was discarded: {turn}")
        return turn

    def _no_turn(self) -> None:
        if self.subject.speech is None and not self.all(UserTurn):
            raise NotTried("it takes a loud sound for no speech: give a recording of speech (`speech`, `--wav`)")
        raise Broken(f"the user spoke and was silent for {self.subject.patience_s:.0f} s, and no turn was committed")

    async def ask(self, prompt: str | None = None) -> Command | None:
        """Ask for a response, and give the command that did. None: it was the user's voice."""
        by = self.subject.asks_by or ("text" if "text" in self.trace.capabilities.inputs else "speech")
        if by == "text":
            return await self.say(prompt or self.subject.prompt)
        if self.by_hand:
            await self.speak()
            await self.send(command := EndTurn())
            return command
        self._asked = len(self.all(ResponseStarted)) + 1
        await self.take_turn()
        return None

    # Events

    def all(self, kind: type[E], /, **fields: Any) -> list[E]:
        """The events read so far, of a class, whose fields have these values."""
        return self.trace.events(kind, **fields)

    async def until(
        self, kind: type[E], count: int = 1, /, *, where: Callable[[E], bool] | None = None, **fields: Any
    ) -> E:
        """Read until `count` such events have come; the last of them.

        Raises:
            Broken: they did not come.
        """
        deadline = self._loop.time() + self.subject.patience_s
        while True:
            found = [event for event in self.all(kind, **fields) if where is None or where(event)]
            if len(found) >= count:
                return found[count - 1]
            wanted = f"{kind.__name__}{f' with {fields}' if fields else ''}{f' number {count}' if count > 1 else ''}"
            expect(not self.trace.ending, f"the session ended before a {wanted} came: {self._last_words()}")
            left = deadline - self._loop.time()
            expect(left > 0, f"no {wanted} came within {self.subject.patience_s:.0f} s")
            await self._next(left)

    async def ready(self) -> SessionReady:
        """Wait until the backend listens."""
        return await self.until(SessionReady)

    async def settled(self, command: Command) -> CommandSettled:
        """Wait for the fate of a command."""
        return await self.until(CommandSettled, command_id=command.id)

    async def done(self, command: Command) -> CommandSettled:
        """Wait for the fate of a command, which must be good."""
        settled = await self.settled(command)
        expect(settled.fault is None, f"{type(command).__name__} was settled with the fault {settled.fault}")
        return settled

    async def response_to(self, command: Command | None) -> ResponseStarted:
        """Wait for the response that a command asked for, or for the next one."""
        if command is None:
            return await self.until(ResponseStarted, self._asked)
        return await self.until(ResponseStarted, where=lambda event: command.id in event.answers)

    async def end_of(self, started: ResponseStarted) -> ResponseEnded:
        """Wait for the end of a response."""
        return await self.until(ResponseEnded, response_id=started.response_id)

    async def answered(self, prompt: str | None = None) -> ResponseEnded:
        """Ask, and wait for the whole answer, which must be complete."""
        command = await self.ask(prompt)
        ended = await self.end_of(await self.response_to(command))
        expect(ended.status == "completed", f"the response ended {ended.status!r} ({ended.reason}, {ended.fault})")
        return ended

    async def still_works(self) -> None:
        """Whatever was done before, the next turn goes as any does: it is answered, or where nothing ever is, heard."""
        if self.trace.capabilities.outputs:
            await self.answered()
            return
        before = len(self.all(InputTranscript, final=True))
        if self.by_hand:
            await self.speak()
            await self.send(end := EndTurn(respond=False))
            await self.done(end)
        else:
            await self.take_turn()
        if self.trace.capabilities.input_transcript != "none":
            await self.until(InputTranscript, before + 1, final=True)

    async def quiet(self, seconds: float | None = None) -> None:
        """Read until nothing has come for that long."""
        deadline = self._loop.time() + self.subject.patience_s
        while self._loop.time() < deadline and not self.trace.ending:
            before = len(self.trace.lines)
            await self._next(self.subject.quiet_s if seconds is None else seconds)
            if len(self.trace.lines) == before:
                return

    async def read_for(self, seconds: float) -> None:
        """Read what comes in that time."""
        deadline = self._loop.time() + seconds
        while (left := deadline - self._loop.time()) > 0:
            if self.trace.ending:
                await asyncio.sleep(left)
                return
            await self._next(left)

    def outputs(self, started: ResponseStarted) -> list[Event]:
        """What was said in a response so far."""
        return [
            *self.all(OutputAudio, response_id=started.response_id),
            *self.all(OutputText, response_id=started.response_id),
        ]

    def deadline(self) -> float:
        """Until when to wait for what must come, on the loop's clock."""
        return self._loop.time() + self.subject.patience_s

    async def read_until(self, deadline: float) -> None:
        """Read one event.

        Raises:
            Broken: none comes until then.
        """
        expect(not self.trace.ending, f"the session ended: {self._last_words()}")
        left = deadline - self._loop.time()
        expect(left > 0, f"nothing that was waited for came within {self.subject.patience_s:.0f} s")
        await self._next(left)

    async def look_away(self, seconds: float) -> None:
        """Read nothing for that long, but for the one event that is waited for already."""
        await asyncio.sleep(seconds)

    async def _next(self, seconds: float) -> None:
        """Read one event, or wait that long."""
        if self.trace.ending:
            return
        if self._wait is None:
            self._wait = asyncio.create_task(self._take(), name="contract suite: wait for an event")
        done, _ = await asyncio.wait({self._wait}, timeout=seconds)
        if done:
            cancelled, self._wait = self._wait.cancelled(), None
            expect(not cancelled, "the iterator raised CancelledError, and nobody had cancelled anything")

    async def _take(self) -> None:
        # Written down where it is delivered: later, a command may have been sent that it must not follow.
        try:
            if self._iterator is None:
                self._iterator = aiter(self.session)
            event = await anext(self._iterator)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.ended(error)
        else:
            self.delivered(event)

    def delivered(self, event: Event) -> None:
        """Write down an event."""
        self._note("event", event)
        if isinstance(event, SessionReady):
            self.trace.capabilities = event.capabilities
            self.trace.input_format, self.trace.output_format = event.input_format, event.output_format

    def ended(self, error: BaseException) -> None:
        """Write down how the iteration ended."""
        if isinstance(error, StopAsyncIteration):
            self.trace.ending = "stopped"
        else:
            self.trace.ending = "failed" if isinstance(error, SessionFailed) else "other"
        self._note("note", None, f"the iterator raised {type(error).__name__} {error}".rstrip())

    # The end

    async def close(self) -> None:
        """Close, in a bounded time, and read what is left."""
        began = self._loop.time()
        self.trace.closed_by_us = True
        self._note("note", None, "aclose")
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.session.aclose()
        except TimeoutError:
            raise Broken(f"aclose took more than {CLOSE_S:.0f} s") from None
        except Exception as error:
            raise Broken(f"aclose raised {type(error).__name__}: {error}") from error
        self._note("note", None, f"closed in {self._loop.time() - began:.3f} s")
        await self.drain()

    async def drain(self) -> None:
        """Read to the end, which must be there."""
        for _ in range(100_000):
            if self.trace.ending:
                return
            before = len(self.trace.lines)
            was_taken = self._wait is not None and self._wait.done()  # and written down, while `aclose` ran
            await self._next(self.subject.patience_s)
            if len(self.trace.lines) == before and not was_taken:
                break
        raise Broken("the session is over, and the iteration does not end")

    async def give_up(self) -> None:
        """Leave no wait behind."""
        if self._wait is not None:
            self._wait.cancel()
            await asyncio.gather(self._wait, return_exceptions=True)

    def _last_words(self) -> str:
        lines = [line for line in self.trace.lines if line.kind in ("event", "note")][-2:]
        return " / ".join(str(line).strip() for line in lines)

    def _note(self, kind: Any, message: Any, text: str = "") -> None:
        shown = message if isinstance(message, Command | Event) else None
        self.trace.add(self._loop.time(), kind, shown, text if shown or message is None else f"{message!r} {text}")


def _silence(encoding: str, size: int) -> bytes:
    return {"pcm16": b"\x00", "ulaw": b"\xff", "alaw": b"\xd5"}[encoding] * size
