"""A backend without a model: push to talk, and it says the same again; write, and it writes the same."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal

from voicebridge import (
    DOOR_FORMAT,
    BadOption,
    Capabilities,
    Command,
    CommandSettled,
    DiscardTurn,
    EndTurn,
    Event,
    Fault,
    Interrupt,
    Item,
    OutputAudio,
    OutputText,
    ReportPlayed,
    ResponseEnded,
    ResponseStarted,
    SendAudio,
    SendText,
    SessionClosed,
    SessionConfig,
    SessionReady,
    Unsupported,
    UserTurn,
    VoiceSession,
)
from voicebridge.transport.delivery import Delivery

__all__ = ["ParrotBackend"]

_PIECE = DOOR_FORMAT.size(100)
_LONGEST_TURN = DOOR_FORMAT.size(60_000)

CAPABILITIES = Capabilities(
    turns=frozenset({"manual"}),
    interrupt=frozenset({"verb"}),
    inputs=frozenset({"audio", "text"}),
    outputs=frozenset({"audio", "text"}),
    formats_in=(DOOR_FORMAT,),
    formats_out=(DOOR_FORMAT,),
)


class ParrotBackend:
    """The backend `parrot`, in the colour that its spec asks for."""

    capabilities = CAPABILITIES

    def __init__(self, colour: str) -> None:
        self._colour = colour

    def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AbstractAsyncContextManager[VoiceSession]:
        """Open a session. It remembers nothing, so `history` and `resume` change nothing.

        Raises:
            BadOption: the config asks for tools, a voice or an option; a parrot has none.
        """
        for setting in ("tools", "voice", "options"):
            if getattr(config, setting):
                raise BadOption(f"A parrot has no {setting}.", code="bad_setting")
        return _opened(f"parrot/{self._colour}")


@asynccontextmanager
async def _opened(model: str) -> AsyncIterator[VoiceSession]:
    session = ParrotSession(model)
    try:
        yield session
    finally:
        await session.aclose()


class ParrotSession:
    """All happens inside `send`, so it needs no task, and a response has ended before the next one is asked for."""

    capabilities = CAPABILITIES

    def __init__(self, model: str) -> None:
        self._events = Delivery(DOOR_FORMAT, time.monotonic)
        self._numbers = itertools.count(1)
        self._turn = bytearray()
        self._turn_id: str | None = None
        self._heard_bytes = 0
        self._closed = False
        self._events.put(
            SessionReady(
                session_id=f"parrot-{id(self):x}",
                model=model,
                capabilities=CAPABILITIES,
                input_format=DOOR_FORMAT,
                output_format=DOOR_FORMAT,
            )
        )

    async def send(self, command: Command) -> None:
        """Take a command.

        Raises:
            Unsupported: a parrot can't do it.
            SessionClosed: the session is over.
        """
        if isinstance(command, EndTurn | SendText):
            await self._events.room()  # after this nothing waits, so that a cancelled `send` did all or nothing
        if self._closed:
            raise SessionClosed("This parrot has flown.", command_id=command.id)
        match command:
            case SendAudio():
                self._hear(command.pcm)
            case EndTurn() if self._turn_id is None:
                self._settle(command, Fault(category="config", message="Nothing was said.", code="empty_turn"))
            case EndTurn():
                self._end_turn(command)
            case DiscardTurn():
                self._close_turn("discarded")
                self._settle(command)
            case SendText(role="user", images=(), respond=True):
                self._respond(command, (command.id,), [], command.text)
            case Interrupt():
                self._events.purge(command.response_id)
                self._settle(command)
            case ReportPlayed():
                pass  # it keeps no playback clock
            case _:
                raise Unsupported(f"A parrot can't do {type(command).__name__}.", command_id=command.id)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self._events

    async def aclose(self) -> None:
        """End the session."""
        self._closed = True
        self._events.end()

    def _hear(self, pcm: bytes) -> None:
        if self._turn_id is None:
            self._turn_id = f"turn-{next(self._numbers)}"
            self._tell_turn(self._turn_id, "speech")
        self._turn += pcm
        self._heard_bytes += len(pcm)
        # A parrot keeps the last minute. Whole samples go, or the rest would be noise.
        del self._turn[: max(0, len(self._turn) - _LONGEST_TURN) // 2 * 2]

    def _end_turn(self, command: EndTurn) -> None:
        said = bytes(self._turn[: len(self._turn) // 2 * 2])
        turn_id = self._close_turn("committed")
        if command.respond:
            pieces = [said[start : start + _PIECE] for start in range(0, len(said), _PIECE)]
            self._respond(command, (turn_id, command.id), pieces)
        else:
            self._settle(command)

    def _respond(self, command: Command, answers: tuple[str, ...], audio: Iterable[bytes], text: str = "") -> None:
        response_id = f"response-{next(self._numbers)}"
        self._events.put(ResponseStarted(response_id=response_id, cause="user", answers=answers))
        self._settle(command)
        offset = 0
        for piece in audio:
            self._events.put(OutputAudio(response_id=response_id, pcm=piece, offset_ms=DOOR_FORMAT.ms(offset)))
            offset += len(piece)
        if text:
            self._events.put(OutputText(response_id=response_id, delta=text, kind="text"))
        self._events.put(ResponseEnded(response_id=response_id, status="completed"))

    def _close_turn(self, phase: Literal["committed", "discarded"]) -> str:
        turn_id, self._turn_id = self._turn_id or "", None
        del self._turn[: len(self._turn) // 2 * 2]  # half a sample waits for its other half
        if turn_id:
            self._tell_turn(turn_id, phase)
        return turn_id

    def _tell_turn(self, turn_id: str, phase: Literal["speech", "committed", "discarded"]) -> None:
        heard_ms = DOOR_FORMAT.ms(self._heard_bytes)
        self._events.put(UserTurn(turn_id=turn_id, phase=phase, audio_ms=heard_ms, source="client"))

    def _settle(self, command: Command, fault: Fault | None = None) -> None:
        self._events.put(CommandSettled(command_id=command.id, fault=fault))
