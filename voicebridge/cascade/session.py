"""A conversation with a cascade: commands down to its two halves, what they do up as events.

what it owns                 from           until
the stages                   `start`        closed by `aclose`, each with a time limit
the task that warms them,
then listens                 `start`        it fails, or `aclose` cancels it
tasks that get them ready    a turn opens   they are done, or `aclose`
the task that reads ahead    a turn opens,  its text is known, or `aclose`
                             is heard
responses                    see response_controller.py
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial

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
from voicebridge.contract.errors import SessionClosed, Unsupported
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    InputTranscript,
    SessionReady,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, MessageItem, ToolResultItem
from voicebridge.contract.stages import Mark, ReadsAhead, Transcript, TurnSignal, Usage
from voicebridge.core.arbiter import Request
from voicebridge.core.turns import BargeIn, Commit, DropGuess, Effect, Guess, Listen, Tell, TurnMachine
from voicebridge.transport.delivery import Delivery

from .ahead_reader import AheadReader
from .caretaker import Caretaker, ended
from .command_order import CommandOrder
from .input_pipeline import InputPipeline
from .live_settings import LiveSettings
from .options import CascadeOptions
from .response_controller import WITHDRAWN, ResponseController
from .seats import Seats
from .speculation_count import SpeculationCount
from .stage_fault import fault_of
from .whole_text import whole_text

__all__ = ["CascadeSession"]

_TASKS_END_S = 2.0
_PAID_GUESSES = 8
"""Marks a turn that are put on a guess, where each of them costs an upload."""
_CLOSED = Fault(category="closed", code="closed", message="The session was closed.")


class CascadeSession:
    """A `VoiceSession` over four stages. Made by `CascadeBackend`."""

    def __init__(self, seats: Seats, config: SessionConfig, history: Iterable[Item], options: CascadeOptions) -> None:
        self._seats, self._options = seats, options
        self._clock = asyncio.get_running_loop().time
        self._capabilities = seats.capabilities()
        self._settings = LiveSettings(seats, config, self._capabilities)
        self._delivery = Delivery(seats.tts.traits.format, self._clock)
        others = max((len(lineup.stages) for lineup in seats.lineups.values()), default=1) - 1
        for lineup in seats.lineups.values():
            lineup.patience_s = options.failover_s
        timeout_s = options.timeout_s + others * options.failover_s
        self._responses = ResponseController(
            seats,
            config,
            history,
            self._delivery,
            self._settle,
            timeout_s=timeout_s,
            keep_markup=options.markup == "keep",
        )
        self._format = seats.stt.traits.format
        self._input = InputPipeline(seats.stt, seats.detector, self._format, self, timeout_s=timeout_s)
        most = _PAID_GUESSES if seats.stt.traits.recheck == "paid" else None
        self._turns = TurnMachine(guess=options.speculate != "none", most_guesses=most, policy=config.turns)
        self._order = CommandOrder()
        self._open: set[str] = set()
        self._unwanted: set[str] = set()
        """Commands that were not carried out yet when an `Interrupt` came: nobody waits for their answers any more."""
        self._turn_commands: dict[str, str] = {}
        """`EndTurn`s of turns whose text is still to come."""
        self._odd = b""
        self._fed_bytes = 0
        self._closed = False
        self._main: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._ahead = AheadReader(seats.llm)
        self._reads_ahead = any(one.seat == "llm" and isinstance(one.stage, ReadsAhead) for one in seats.placed)
        self._caretaker = Caretaker(seats, config, self._tell, ready_timeout_s=options.ready_timeout_s)

    @property
    def _config(self) -> SessionConfig:
        return self._settings.config

    @property
    def capabilities(self) -> Capabilities:
        """What the stages can do together."""
        return self._capabilities

    @property
    def speculation(self) -> SpeculationCount:
        """What guessing the ends of turns gained and cost so far."""
        return self._responses.speculation

    def start(self) -> None:
        """Begin to warm the stages, then to listen."""
        self._main = asyncio.create_task(self._run(), name="cascade")

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self._delivery)

    # Life

    async def aclose(self) -> None:
        """End the events and release the stages. Takes at most five seconds; cancelled, it goes on all the same."""
        self._end(None)
        assert self._closing is not None
        await asyncio.shield(self._closing)

    async def _run(self) -> None:
        try:
            await self._caretaker.warm()
            self._ready()
            await self._input.run()
        except* Exception as group:
            self._end(fault_of("cascade", group))

    def _ready(self) -> None:
        self._tell(
            SessionReady(
                session_id=f"cascade-{uuid.uuid4().hex[:12]}",
                model=self._seats.model,
                capabilities=self._capabilities,
                input_format=self._capabilities.formats_in[0],
                output_format=self._capabilities.formats_out[0],
            )
        )
        for lineup in self._seats.lineups.values():
            lineup.tell_to(lambda fault: self._tell(BackendError(fault=fault)))
        self._order.release("ready")

    def _end(self, fault: Fault | None) -> None:
        """Tell the end of everything that is open, and refuse what comes; then let go of tasks and stages."""
        if self._closed:
            return
        self._closed = True
        self._order.clear()
        self._responses.stop()
        for command_id in sorted(self._open):
            self._settle(command_id, _CLOSED)
        self._delivery.end(fault)
        self._input.close()
        self._closing = asyncio.create_task(self._release(), name="cascade: close")

    async def _release(self) -> None:
        tasks = {task for task in (self._main, self._ahead.task) if task}
        tasks |= self._responses.open_tasks | self._caretaker.tasks
        for task in tasks:
            task.cancel()
        await ended(tasks, _TASKS_END_S)
        await self._caretaker.aclose()

    @property
    def delivered_ms(self) -> float:
        """Milliseconds of the audio sent that it has: all that `send` took, for there is no line between."""
        return self._format.ms(self._fed_bytes)

    # Commands

    async def send(self, command: Command) -> None:
        """Give a command. See `VoiceSession.send`."""
        self._refuse_if_closed(command)
        if isinstance(command, SendAudio):
            await self._send_audio(command)
        elif isinstance(command, ReportPlayed):
            self._responses.playback.report(command.response_id, command.ms)
        elif isinstance(command, Interrupt):
            self._interrupt(command)
        else:
            act = self._action(command)
            self._open.add(command.id)
            if isinstance(command, EndTurn | DiscardTurn):
                self._input.after_audio(partial(self._cut, command))
            self._order.run(act)

    def _refuse_if_closed(self, command: Command) -> None:
        if self._closed:
            raise SessionClosed("The session is over: open a new one with voicebridge.connect.", command_id=command.id)

    async def _send_audio(self, command: SendAudio) -> None:
        await self._input.room()
        self._refuse_if_closed(command)
        # From here on nothing waits, so that a cancelled `send` has sent all or nothing.
        pcm = self._odd + command.pcm
        whole = len(pcm) - len(pcm) % self._format.frame_bytes
        self._odd = pcm[whole:]
        if not whole:
            return
        self._input.after_audio(self._open_by_client)
        self._input.feed(pcm[:whole])
        self._fed_bytes += whole

    def _open_by_client(self) -> None:
        if self._config.turns.mode == "manual":
            self._do(self._turns.open_by_client(self._input.heard_ms))

    def _action(self, command: Command) -> Callable[[], None]:
        """What the command does, checked as far as that is possible beforehand."""
        if isinstance(command, SendText):
            if command.images:
                raise Unsupported("A cascade takes no images.", command_id=command.id)
            return partial(self._send_text, command)
        if isinstance(command, SendToolResult):
            if self._capabilities.tools == "none":
                raise Unsupported("This cascade's language model calls no tools.", command_id=command.id)
            return partial(self._send_tool_result, command)
        if isinstance(command, EndTurn | DiscardTurn):
            return partial(self._hold_up, command)
        if isinstance(command, Respond):
            if command.options:
                raise Unsupported("A cascade has no options for a single response.", command_id=command.id)
            return partial(self._respond, command)
        if isinstance(command, Configure):
            self._settings.patched(command)
            return partial(self._configure, command)
        raise Unsupported(f"A cascade does not know the command {type(command).__name__}.", command_id=command.id)

    def _send_text(self, command: SendText) -> None:
        self._responses.append(MessageItem(role=command.role, text=whole_text(command.text)))
        if command.respond:
            self._ask(Request(cause="request", answers=(command.id,), settles=(command.id,)))
        else:
            self._settle(command.id)

    def _send_tool_result(self, command: SendToolResult) -> None:
        result = ToolResultItem(call_id=command.call_id, output=whole_text(command.output), is_error=command.is_error)
        respond = command.respond and command.id not in self._unwanted
        if not self._responses.tool_result(command.id, result, respond=respond):
            message = f"No tool call {command.call_id!r} is waiting for a result."
            self._settle(command.id, Fault(category="config", code="unknown_call", message=message))

    def _hold_up(self, command: EndTurn | DiscardTurn) -> None:
        """What was sent after it waits for its turn to be decided: it belongs behind that."""
        if command.id in self._open:
            self._order.hold(command.id)

    def _cut(self, command: EndTurn | DiscardTurn) -> None:
        """All audio before it was heard, and none after it."""
        if isinstance(command, DiscardTurn):
            self._do(self._turns.discard(self._input.heard_ms))
            self._settle(command.id)
        elif self._turns.turn_id is None:
            fault = Fault(category="config", code="empty_turn", message="There is no audio since the last turn.")
            self._settle(command.id, fault)
        else:
            self._turn_commands[self._turns.turn_id] = command.id
            respond = command.respond and command.id not in self._unwanted
            self._do(self._turns.end_by_client(self._input.heard_ms, respond=respond, command_id=command.id))

    def _respond(self, command: Respond) -> None:
        self._ask(
            Request(
                cause="request",
                answers=(command.id,),
                settles=(command.id,),
                instructions=command.instructions,
                say=None if command.say is None else whole_text(command.say),
                aside=command.aside,
                modality=command.modality,
                waits=False,
            )
        )

    def _ask(self, request: Request) -> None:
        """Ask for the response that a command wants, unless an `Interrupt` came first."""
        if self._unwanted.isdisjoint(request.settles):
            self._responses.ask(request)
            return
        for command_id in request.settles:
            self._settle(command_id, WITHDRAWN)

    def _interrupt(self, command: Interrupt) -> None:
        if command.response_id is None:
            self._unwanted |= self._open
            self._turns.withdraw_answers()
        self._responses.interrupt(command.response_id, command.heard)
        self._settle(command.id)

    def _configure(self, command: Configure) -> None:
        mode = self._config.turns.mode
        fault = self._settings.change(command)
        if fault is None:
            now = self._config.turns.mode
            if now != mode and "manual" in (now, mode):  # else a detector found the turn under way, and will end it
                self._do(self._turns.discard(self._input.heard_ms))
            self._turns.policy = self._config.turns
            self._responses.configure(self._config)
        self._settle(command.id, fault)

    # What the input pipeline hears

    def on_signal(self, signal: TurnSignal) -> None:
        """See `Listener`."""
        if self._config.turns.mode != "manual":
            self._do(self._turns.signal(signal))

    def on_transcript(self, heard: Transcript) -> None:
        """See `Listener`."""
        self._do(self._turns.transcript(heard))
        if heard.text and not heard.final and self._turns.heard_turn_id and not self._responses.guessing:
            self._read_ahead(heard.text)

    def on_stt_usage(self, usage: Usage) -> None:
        """See `Listener`."""
        self._responses.report_usage("stt", usage, turn_id=self._turns.heard_turn_id)

    def on_stt_failure(self, fault: Fault) -> None:
        """See `Listener`."""
        self._tell(BackendError(fault=fault))
        self._do(self._turns.recogniser_failed(fault))

    def _do(self, effects: Iterable[Effect]) -> None:
        if self._closed:
            return  # what the stages still hear until their tasks are gone
        # The floor is the user's until it is known what was said.
        speaks = self._turns.heard_turn_id is not None and self._config.turns.auto_interrupt
        self._responses.user_speaks(speaks and self._config.turns.mode != "manual")
        self._order.hold("effects")  # a command that one of them settles must not let the next in between them
        for effect in effects:
            self._carry_out(effect)
        self.speculation.marks, self.speculation.wasted_marks = self._turns.guess_marks, self._turns.wasted_marks
        self._responses.resume()
        self._order.release("effects")

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Tell):
            self._tell_turn(effect.event)
        elif isinstance(effect, Mark):
            self._input.mark(effect)
        elif isinstance(effect, Listen):
            self._input.listen(effect.from_ms, exact=self._config.turns.mode == "manual")
            self._caretaker.get_ready()
            self._read_ahead()
        elif isinstance(effect, BargeIn):
            self._responses.barge_in()
        elif isinstance(effect, Guess):
            self._ahead.stop()
            if self._options.speculate == "reply" and self._config.turns.auto_respond:
                self._responses.guess(effect.turn_id, effect.text)
        elif isinstance(effect, DropGuess):
            self._responses.drop_guess()
        elif isinstance(effect, Commit):
            self._ahead.stop()
            self._responses.commit(effect.turn_id, effect.text, respond=effect.respond, command_id=effect.command_id)

    def _tell_turn(self, event: UserTurn | InputTranscript) -> None:
        self._tell(event)
        over = isinstance(event, UserTurn) and event.phase in ("committed", "discarded")
        if over and (command_id := self._turn_commands.pop(event.turn_id, None)):
            self._settle(command_id)

    def _read_ahead(self, heard: str = "") -> None:
        """The model may read what is known already, and what was heard of the turn so far."""
        if self._reads_ahead and self._config.turns.auto_respond:
            turn = (MessageItem(role="user", text=heard),) if heard else ()
            self._ahead.read(self._responses.prompt(turn, speculative=True))

    # Small things

    def _settle(self, command_id: str, fault: Fault | None = None) -> None:
        self._open.discard(command_id)
        self._unwanted.discard(command_id)
        self._tell(CommandSettled(command_id=command_id, fault=fault))
        self._order.release(command_id)

    def _tell(self, event: Event) -> None:
        self._delivery.put(event)
