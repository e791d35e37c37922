"""A session that follows a script and keeps every promise: for tests of what is built on sessions.

    backend = ScriptedBackend("Good morning.", Reply(calls=(Call("look_up"),)), "It is sunny.")
    async with voicebridge.connect(backend) as session:
        ...

It only waits on the event loop, so in virtual time every figure is exact.

what it owns              from          until
the task that follows
the script's moments      `start`       the last moment, or the end of the session
the running reply's task  it starts     the reply ends, is interrupted, or the session ends
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
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
from voicebridge.contract.errors import BadOption, SessionClosed, Unsupported
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    InputTranscript,
    SessionReady,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, MessageItem, ToolResultItem
from voicebridge.core.arbiter import Request
from voicebridge.transport.delivery import Delivery

from .script import Reply, Script, door_formats, refusal
from .scripted_responses import ScriptedResponses, again
from .scripted_turns import ScriptedTurns

__all__ = ["ScriptedBackend", "ScriptedSession"]

_MODES: tuple[Literal["server_vad", "semantic", "manual"], ...] = ("server_vad", "semantic", "manual")
"""The first that the script's capabilities hold is taken where nothing is asked for."""
_EARLY_MS = 30_000
_CLOSED = Fault(category="closed", code="closed", message="The session was closed.")
_KNOWN = (Configure, DiscardTurn, EndTurn, Interrupt, ReportPlayed, Respond, SendAudio, SendText, SendToolResult)


class ScriptedBackend:
    """A `Backend` whose sessions follow one script, each from its beginning.

    Args:
        replies: what is answered, in turn; the last one again and again. Or one function of the conversation so far.
        settings: the other fields of `Script`.
    """

    def __init__(self, *replies: Reply | str | Callable[[tuple[Item, ...]], Reply | str], **settings: Any) -> None:
        if replies:
            settings["replies"] = replies[0] if callable(replies[0]) else replies
        self.script = Script(**settings)
        self.sessions: list[ScriptedSession] = []
        """Those that were opened, for a look at what reached them."""

    @property
    def capabilities(self) -> Capabilities:
        """As the script says."""
        return self.script.capabilities

    def check(self, config: SessionConfig) -> None:
        """What `connect` would raise."""
        if config.options:
            raise BadOption(f"A scripted backend has no option {min(config.options)!r}.", code="unknown_option")
        mode = config.turns.mode
        if mode is not None and mode not in self.capabilities.turns:
            raise Unsupported(f"This scripted backend can't find turns by {mode!r}.")

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[ScriptedSession]:
        """A session.

        Raises:
            BadOption: an option; a script has none.
            Unsupported: a way to find turns that the script's capabilities lack.
        """
        self.check(config)
        mode = config.turns.mode or next((mode for mode in _MODES if mode in self.capabilities.turns), None)
        config = config.patched({"turns": config.turns.model_copy(update={"mode": mode})})
        session = ScriptedSession(self.script, config, history)
        self.sessions.append(session)
        session.start()
        try:
            yield session
        finally:
            await session.aclose()


class ScriptedSession:
    """A `VoiceSession`. Made by `ScriptedBackend`."""

    def __init__(self, script: Script, config: SessionConfig, history: Sequence[Item]) -> None:
        self.received: list[Command] = []
        """Every command that was taken, in order."""
        self._script, self._config = script, config
        self._loop = asyncio.get_running_loop()
        self._input, self._output = door_formats(script.capabilities)
        self._delivery = Delivery(self._output, self._loop.time)
        self._responses = ScriptedResponses(script, config, history, self._delivery, self._settle, self._spawn)
        self._turns = ScriptedTurns(self._input, config.turns)
        self._open: set[str] = set()
        self._early: deque[Command] = deque()
        self._early_bytes = self._taken_bytes = 0
        self._may_send = asyncio.Event()
        """Set once the session is ready, and when it ends."""
        self._ready = self._over = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = again(script.user)

    @property
    def capabilities(self) -> Capabilities:
        """As the script says."""
        return self._script.capabilities

    @property
    def conversation(self) -> tuple[Item, ...]:
        """What was said so far, answers cut to what was heard."""
        return self._responses.history.items()

    @property
    def config(self) -> SessionConfig:
        """The settings as they are now."""
        return self._config

    def start(self) -> None:
        """Begin to connect."""
        self._spawn(self._follow(), "scripted session")

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self._delivery)

    # Life

    async def _follow(self) -> None:
        await asyncio.sleep(self._script.ready_s)
        self._become_ready()
        began = self._loop.time()
        for seconds, moment in sorted(self._script.moments, key=lambda one: one[0]):
            await asyncio.sleep(began + seconds - self._loop.time())
            if isinstance(moment, Fault):
                self._end(moment)
                return
            if isinstance(moment, Reply):
                self._responses.say(moment)
            else:
                self._tell(replace(moment))

    def _become_ready(self) -> None:
        can = self.capabilities
        self._tell(
            SessionReady(
                session_id=f"scripted-{id(self):x}",
                model="scripted/script",
                capabilities=can,
                input_format=self._input,
                output_format=self._output,
            )
        )
        self._ready = True
        self._may_send.set()
        while self._early:
            self._carry_out(self._early.popleft())

    async def aclose(self) -> None:
        """End the session. See `VoiceSession.aclose`."""
        self._end(None)
        if others := self._tasks - {asyncio.current_task()}:
            await asyncio.wait(others)

    def _end(self, fault: Fault | None) -> None:
        if self._over:
            return
        self._over = True
        self._may_send.set()
        self._responses.close()
        for command_id in sorted(self._open):
            self._tell(CommandSettled(command_id=command_id, fault=_CLOSED))
        self._delivery.end(fault)
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    def _spawn(self, work: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    @property
    def delivered_ms(self) -> float:
        """Milliseconds of the audio sent that it has: all that `send` took, for there is no line between."""
        return self._input.ms(self._taken_bytes)

    # Commands

    async def send(self, command: Command) -> None:
        """Give a command. See `VoiceSession.send`."""
        self._refuse(command)
        if isinstance(command, SendAudio) and not self._ready and self._early_bytes >= self._input.size(_EARLY_MS):
            await self._may_send.wait()
            self._refuse(command)
        # From here on nothing waits, so that a cancelled `send` has sent all or nothing.
        self.received.append(command)
        if not isinstance(command, SendAudio | ReportPlayed):
            self._open.add(command.id)
        if isinstance(command, SendAudio):
            self._taken_bytes += len(command.pcm)
        if self._ready:
            self._carry_out(command)
        else:
            self._early.append(command)
            self._early_bytes += len(command.pcm) if isinstance(command, SendAudio) else 0

    def _refuse(self, command: Command) -> None:
        if self._over:
            raise SessionClosed("The session is over: open a new one.", command_id=command.id)
        if not isinstance(command, _KNOWN):
            raise Unsupported(f"A script does not know {type(command).__name__}.", command_id=command.id)
        if why := refusal(command, self.capabilities):
            raise Unsupported(f"This scripted backend {why}.", command_id=command.id)
        if isinstance(command, Configure):
            self._patched(command.patch)

    def _patched(self, patch: Mapping[str, Any]) -> SessionConfig:
        config = self._config.patched(patch)
        mode = config.turns.mode or self._config.turns.mode
        if mode is not None and mode not in self.capabilities.turns:
            raise Unsupported(f"This scripted backend can't find turns by {mode!r}.")
        return config.patched({"turns": config.turns.model_copy(update={"mode": mode})})

    def _carry_out(self, command: Command) -> None:
        if fault := self._script.faults.get(type(command)):
            self._settle(command.id, fault)
            return
        match command:
            case SendAudio():
                for turn in self._turns.feed(bytes(command.pcm)):
                    self._turn(turn)
            case ReportPlayed():
                self._responses.playback.report(command.response_id, command.ms)
            case SendText():
                self._send_text(command)
            case SendToolResult():
                self._tool_result(command)
            case EndTurn() | DiscardTurn():
                self._end_turn(command)
            case Respond():
                self._respond(command)
            case Interrupt():
                self._responses.interrupt(command.response_id, command.heard)
                self._settle(command.id)
            case Configure():
                self._configure(command)

    def _send_text(self, command: SendText) -> None:
        self._responses.history.append(MessageItem(role=command.role, text=command.text, images=command.images))
        if command.respond:
            self._responses.ask(Request(cause="request", answers=(command.id,), settles=(command.id,)))
        else:
            self._settle(command.id)

    def _respond(self, command: Respond) -> None:
        self._responses.ask(
            Request(
                cause="request",
                answers=(command.id,),
                settles=(command.id,),
                instructions=command.instructions,
                say=command.say,
                aside=command.aside,
                modality=command.modality,
                waits=False,
            )
        )

    def _tool_result(self, command: SendToolResult) -> None:
        result = ToolResultItem(call_id=command.call_id, output=command.output, is_error=command.is_error)
        if not self._responses.tool_result(command.id, result, respond=command.respond):
            message = f"No tool call {command.call_id!r} is waiting for a result."
            self._settle(command.id, Fault(category="config", code="unknown_call", message=message))

    def _end_turn(self, command: EndTurn | DiscardTurn) -> None:
        if self._turns.turn_id is None:
            empty = Fault(category="config", code="empty_turn", message="There is no audio since the last turn.")
            self._settle(command.id, empty if isinstance(command, EndTurn) else None)
        elif isinstance(command, DiscardTurn):
            self._turn(self._turns.close("discarded"))
            self._settle(command.id)
        else:
            self._turn(self._turns.close("committed"), command)

    def _turn(self, turn: UserTurn, command: EndTurn | None = None) -> None:
        """Tell a phase of the user's turn, and do what follows from it."""
        policy = self._config.turns
        self._tell(turn)
        if turn.phase == "speech" and policy.mode != "manual" and policy.auto_interrupt:
            self._responses.user_speaks(True)
            self._responses.barge_in()
        if turn.phase in ("committed", "discarded"):
            self._responses.user_speaks(False)
        if turn.phase == "committed":
            text = next(self._heard)
            self._responses.history.append(MessageItem(role="user", text=text))
            self._tell(InputTranscript(turn_id=turn.turn_id, text=text, final=True))
            if command:
                self._settle(command.id)
            if self.capabilities.outputs and (command.respond if command else policy.auto_respond):
                self._responses.ask(Request(cause="user", answers=(*((command.id,) if command else ()), turn.turn_id)))
        if turn.phase in ("committed", "discarded"):
            self._responses.resume()

    def _configure(self, command: Configure) -> None:
        config = self._patched(command.patch)
        if config.turns.mode != self._config.turns.mode and self._turns.turn_id:
            self._turn(self._turns.close("discarded"))
        self._config = self._responses.config = config
        self._turns.configure(config.turns)
        self._settle(command.id)

    # Small things

    def _settle(self, command_id: str, fault: Fault | None = None) -> None:
        self._open.discard(command_id)
        self._tell(CommandSettled(command_id=command_id, fault=fault))

    def _tell(self, event: Event) -> None:
        self._delivery.put(event)
