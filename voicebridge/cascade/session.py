"""A conversation with a cascade: commands to the ear and the mouth, what they do to events.

what it owns                 from           until
the stages                   `start`        `aclose` closes each
the task that warms them,
then listens (the ear)       `start`        it fails, or `aclose` cancels and awaits it
the task that reads ahead    a turn opens   its text is known, or `aclose`
responses                    see mouth.py
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import (
    Command,
    Configure,
    DiscardTurn,
    EndTurn,
    Interrupt,
    ReportPlayed,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, SessionClosed, Unsupported, VoiceBridgeError
from voicebridge.contract.events import CommandSettled, Event, ProviderEvent, SessionReady, UserTurn
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, MessageItem, ToolResultItem
from voicebridge.contract.stages import Mark, Prompt, ReadsAhead, Stage, TurnSignal, Usage
from voicebridge.core.arbiter import Request
from voicebridge.core.turns import BargeIn, Commit, DropGuess, Effect, Guess, Listen, Tell, TurnMachine
from voicebridge.registry.rows import Seat
from voicebridge.transport.delivery import Delivery

from .ear import Ear
from .mouth import Mouth, SpeculationCount
from .seats import SEAT_NAMES, Seats
from .stage_fault import fault_of

__all__ = ["CascadeOptions", "CascadeSession"]

_CLOSE_TIMEOUT_S = 5.0
_LIVE = frozenset({"instructions", "voice", "speed", "language", "tools", "tool_choice", "turns", "max_output_tokens"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeOptions:
    """What only a cascade knows."""

    speculate: Literal["reply", "transcript", "none"] = "reply"
    """What is done during the silence that may end a turn. `transcript`: the recogniser finishes. `reply`: the model
    and the voice start, too, and are held back; models that act or remember are still never asked on a guess."""
    timeout_s: float = 30.0
    """The longest wait for a stage's next output."""


class CascadeSession:
    """A `VoiceSession` over four stages. Made by `CascadeBackend`."""

    def __init__(self, seats: Seats, config: SessionConfig, history: Iterable[Item], options: CascadeOptions) -> None:
        self._seats, self._config, self._options = seats, config, options
        self._clock = asyncio.get_running_loop().time
        self._capabilities = seats.capabilities()
        self._delivery = Delivery(seats.tts.traits.format, self._clock)
        self._mouth = Mouth(seats, config, history, self._delivery, self._settle, timeout_s=options.timeout_s)
        self._ear = Ear(
            seats.stt,
            seats.detector,
            seats.stt.traits.format,
            on_signal=self._on_signal,
            on_transcript=lambda heard: self._do(self._turns.transcript(heard)),
            on_usage=self._on_stt_usage,
            on_failure=lambda fault: self._do(self._turns.recogniser_failed(fault)),
        )
        guess = options.speculate != "none" and seats.stt.traits.recheck == "free"
        self._turns = TurnMachine(guess=guess, policy=config.turns)
        self._early: deque[Callable[[], None]] | None = deque()
        self._open: set[str] = set()
        self._ends: dict[str, str] = {}
        self._turn_id = ""
        self._odd = b""
        self._closed = False
        self._main: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._reading_ahead: asyncio.Task[None] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the stages can do together."""
        return self._capabilities

    @property
    def speculation(self) -> SpeculationCount:
        """What guessing the ends of turns gained and cost so far."""
        return self._mouth.speculation

    def start(self) -> None:
        """Begin to warm the stages, then to listen."""
        self._main = asyncio.create_task(self._run(), name="cascade")

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self._delivery)

    async def aclose(self) -> None:
        """Stop, release the stages, end the events. Takes at most five seconds; cancelled, it goes on all the same."""
        if self._closing is None:
            self._closed = True
            self._closing = asyncio.create_task(self._close(), name="cascade: close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        tasks = [task for task in (self._main, self._reading_ahead) if task]
        for task in tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await asyncio.gather(*tasks, return_exceptions=True)
                await self._release()
        self._delivery.end()

    # Life

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, stage in self._seats.all().items():
                    tasks.create_task(self._warm(name, stage), name=f"warm {name}")
            self._ready()
            await self._ear.run()
        except* Exception as group:
            await self._fail(fault_of("cascade", group))

    async def _warm(self, name: Seat, stage: Stage) -> None:
        began = self._clock()
        try:
            await stage.warm()
        except Exception as error:
            raise VoiceBridgeError(fault_of(SEAT_NAMES[name], error)) from error
        if self._config.provider_events:
            payload = {"seat": name, "model": self._seats.names[name], "seconds": self._clock() - began}
            self._tell(ProviderEvent(kind="cascade.warm", payload=payload))

    def _ready(self) -> None:
        self._tell(
            SessionReady(
                session_id=f"cascade-{id(self):x}",
                model=self._seats.model,
                capabilities=self._capabilities,
                input_format=self._capabilities.formats_in[0],
                output_format=self._capabilities.formats_out[0],
            )
        )
        early, self._early = self._early, None
        for act in early or ():
            act()

    async def _fail(self, fault: Fault) -> None:
        """The session can't go on: end what is open, say why, and refuse what comes."""
        self._closed = True
        await self._release()
        self._delivery.end(fault)

    async def _release(self) -> None:
        await self._mouth.aclose()
        for command_id in sorted(self._open):
            self._settle(command_id, Fault(category="closed", code="closed", message="The session was closed."))
        # A stage that can't close cleanly has nobody left to tell.
        await asyncio.gather(*(stage.aclose() for stage in self._seats.all().values()), return_exceptions=True)

    # Commands

    async def send(self, command: Command) -> None:
        """Give a command. See `VoiceSession.send`."""
        if self._closed:
            raise SessionClosed("The session is over: open a new one with voicebridge.connect.", command_id=command.id)
        if isinstance(command, SendAudio):
            await self._send_audio(command.pcm)
            return
        if isinstance(command, ReportPlayed):
            self._mouth.played(command.response_id, command.ms)
            return
        act = self._action(command)
        self._open.add(command.id)
        if self._early is not None:
            self._early.append(act)
        else:
            act()

    async def _send_audio(self, pcm: bytes) -> None:
        await self._ear.room()
        # From here on nothing waits, so that a cancelled `send` has sent all or nothing.
        pcm = self._odd + pcm
        whole = len(pcm) - len(pcm) % self._seats.stt.traits.format.frame_bytes
        self._odd = pcm[whole:]
        if self._config.turns.mode == "manual":
            self._ear.after_audio(lambda: self._do(self._turns.open_by_client(self._ear.heard_ms)))
        if whole:
            self._ear.feed(pcm[:whole])

    def _action(self, command: Command) -> Callable[[], None]:
        """What the command does, checked as far as that is possible beforehand."""
        if isinstance(command, SendText):
            if command.images:
                raise Unsupported("A cascade takes no images.", command_id=command.id)
            return partial(self._send_text, command)
        if isinstance(command, SendToolResult):
            return partial(self._send_tool_result, command)
        if isinstance(command, EndTurn):
            return lambda: self._ear.after_audio(partial(self._end_turn, command))
        if isinstance(command, DiscardTurn):
            return lambda: self._ear.after_audio(partial(self._discard_turn, command))
        if isinstance(command, Respond):
            if command.options:
                raise Unsupported("A cascade has no options for a single response.", command_id=command.id)
            return partial(self._respond, command)
        if isinstance(command, Interrupt):
            return partial(self._interrupt, command)
        if isinstance(command, Configure):
            return partial(self._configure, command, self._patched(command))
        raise Unsupported(f"A cascade does not know the command {type(command).__name__}.", command_id=command.id)

    def _send_text(self, command: SendText) -> None:
        self._mouth.history.append(MessageItem(role=command.role, text=command.text))
        self._settle(command.id)
        if command.respond:
            self._mouth.drop_guess()
            self._mouth.ask(Request(cause="request", answers=(command.id,)))

    def _send_tool_result(self, command: SendToolResult) -> None:
        result = ToolResultItem(call_id=command.call_id, output=command.output, is_error=command.is_error)
        if not self._mouth.tool_result(command.id, result, respond=command.respond):
            message = f"No tool call {command.call_id!r} is waiting for a result."
            self._settle(command.id, Fault(category="config", code="unknown_call", message=message))

    def _end_turn(self, command: EndTurn) -> None:
        turn_id = self._turns.turn_id
        if turn_id is None:
            fault = Fault(category="config", code="empty_turn", message="There is no audio since the last turn.")
            self._settle(command.id, fault)
            return
        self._ends[turn_id] = command.id
        self._do(self._turns.end_by_client(self._ear.heard_ms, respond=command.respond))

    def _discard_turn(self, command: DiscardTurn) -> None:
        self._do(self._turns.discard(self._ear.heard_ms))
        self._settle(command.id)

    def _respond(self, command: Respond) -> None:
        self._mouth.ask(
            Request(
                cause="request",
                answers=(command.id,),
                settles=(command.id,),
                instructions=command.instructions,
                say=command.say,
                aside=command.aside,
                modality=command.modality,
            )
        )

    def _interrupt(self, command: Interrupt) -> None:
        self._mouth.interrupt(command.response_id, command.heard)
        self._settle(command.id)

    def _patched(self, command: Configure) -> SessionConfig:
        if beyond := sorted(set(command.patch) - _LIVE):
            raise Unsupported(f"A cascade can't change {', '.join(beyond)} while it runs.", command_id=command.id)
        return self._config.patched(command.patch)

    def _configure(self, command: Configure, config: SessionConfig) -> None:
        try:
            for stage in self._seats.all().values():
                stage.configure(config)
        except ConfigError as error:
            for stage in self._seats.all().values():
                stage.configure(self._config)
            self._settle(command.id, error.fault)
            return
        self._config = config
        self._turns.policy = config.turns
        self._mouth.configure(config)
        self._settle(command.id)

    # What the ear hears

    def _on_signal(self, signal: TurnSignal) -> None:
        if self._config.turns.mode != "manual":
            self._do(self._turns.signal(signal))

    def _on_stt_usage(self, usage: Usage) -> None:
        self._mouth.report_usage("stt", usage, turn_id=self._turn_id or None)

    def _do(self, effects: Iterable[Effect]) -> None:
        speaks = self._turns.turn_id is not None and self._config.turns.auto_interrupt
        if speaks:
            self._mouth.hold_for_user(True)
        for effect in effects:
            if isinstance(effect, Tell):
                self._tell_turn(effect.event)
            elif isinstance(effect, Mark):
                self._ear.mark(effect)
            elif isinstance(effect, Listen):
                self._ear.listen(effect.from_ms)
                self._read_ahead()
            elif isinstance(effect, BargeIn):
                self._mouth.interrupt()
            elif isinstance(effect, Guess):
                self._stop_reading_ahead()
                if self._options.speculate == "reply":
                    self._mouth.guess(effect.turn_id, effect.text)
            elif isinstance(effect, DropGuess):
                self._mouth.drop_guess()
            elif isinstance(effect, Commit):
                self._stop_reading_ahead()
                self._mouth.commit(effect.turn_id, effect.text, respond=effect.respond)
        if not speaks:
            self._mouth.hold_for_user(False)

    def _tell_turn(self, event: Any) -> None:
        self._turn_id = event.turn_id
        self._tell(event)
        over = isinstance(event, UserTurn) and event.phase in ("committed", "discarded")
        if over and (command_id := self._ends.pop(event.turn_id, None)):
            self._settle(command_id)

    def _read_ahead(self) -> None:
        """While the user speaks, a model that gains from it reads what it knows already."""
        llm = self._seats.llm
        if isinstance(llm, ReadsAhead) and self._config.turns.auto_respond:
            self._stop_reading_ahead()
            prompt = self._mouth.prompt(speculative=True)
            self._reading_ahead = asyncio.create_task(_quietly(llm, prompt), name="read ahead")

    def _stop_reading_ahead(self) -> None:
        if self._reading_ahead is not None:
            self._reading_ahead.cancel()

    # Small things

    def _settle(self, command_id: str, fault: Fault | None = None) -> None:
        self._open.discard(command_id)
        self._tell(CommandSettled(command_id=command_id, fault=fault))

    def _tell(self, event: Event) -> None:
        self._delivery.put(event)


async def _quietly(llm: ReadsAhead, prompt: Prompt) -> None:
    """Read ahead; a failure to do so shows when the model is asked, if it lasts."""
    try:
        await llm.read_ahead(prompt)
    except Exception:
        return
