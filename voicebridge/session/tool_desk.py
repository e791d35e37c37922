"""Answers what the models of a conversation call: functions, and the handoff from one agent of a team to another.

A handoff is answered first, so that the conversation which the next agent is given has the answer in it. Then the
session is configured for that agent, in place or by a handover, and the agent is asked to speak.

what it owns               from                 until
the runner and its tasks   it is made           `aclose`
a task for each answer
to a handoff               the call is told     it is sent, the next agent is asked to speak, or `aclose`
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, Configure, Respond, SendToolResult
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import SessionClosed, VoiceBridgeError
from voicebridge.contract.events import CommandSettled, Event, ToolCall, ToolCallCancelled
from voicebridge.contract.fault import Fault
from voicebridge.contract.session import Backend
from voicebridge.pool.key_pool import KeyPool

from .team import Agent, Floor, Handoff, Team
from .tool_runner import ToolRunner
from .toolbox import Toolbox

__all__ = ["Served", "ToolDesk"]

_log = logging.getLogger("voicebridge")


class Served(Protocol):
    """The session that a desk works for."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def send(self, command: Command) -> None: ...

    def settings(self) -> Mapping[str, Any]:
        """What it is set to now: fields of `SessionConfig`, and `backend`."""


class ToolDesk:
    """Everything that a session does about tool calls. It is told the session's events, and sends commands.

    Args:
        tools: the functions of a call without a team; with one, its toolboxes are used.
        call, backend, keys: what the whole call was opened with, for what a member of the team does not say.
        options: those of `ToolRunner`.
    """

    def __init__(
        self,
        session: Served,
        tools: Toolbox | Team,
        call: SessionConfig,
        backend: str | Backend,
        *,
        keys: KeyPool | None = None,
        **options: Any,
    ) -> None:
        self._session, self._call, self._backend, self._keys = session, call, backend, keys
        self._floor = Floor(tools) if isinstance(tools, Team) else None
        toolbox = tools.toolbox_of(tools.first) if isinstance(tools, Team) else tools
        self._runner = ToolRunner(toolbox, self._send, **options)
        self._own: dict[str, Command] = {}
        """Commands of its making that are not settled."""
        self._moving: tuple[str, asyncio.Future[Fault | None]] | None = None
        """The command that brings the next agent, and its fate."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def agent(self) -> Agent | None:
        """Who of the team has the floor."""
        return None if self._floor is None else self._floor.agent

    def owns(self, command_id: str) -> bool:
        """Whether a command that is not settled was sent by this desk, so that the application knows nothing of it."""
        return command_id in self._own

    def told(self, event: Event, leg: object = None) -> bool:
        """Something happened. True: it is nobody else's business; or, of a `ToolCall`, it is answered here.

        Args:
            leg: the connection that told of it.
        """
        if isinstance(event, ToolCall):
            return self._called(event, leg)
        if isinstance(event, ToolCallCancelled):
            self._runner.cancelled(event.call_id)
        elif isinstance(event, CommandSettled) and event.command_id in self._own:
            self._settled(self._own.pop(event.command_id), event.fault)
            return True
        return False

    async def aclose(self) -> None:
        """Cancel what runs. May be called again."""
        self._closed = True
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._runner.aclose()

    def _called(self, call: ToolCall, leg: object) -> bool:
        read = self._floor.read(call) if self._floor else None
        if isinstance(read, Handoff):
            self._spawn(self._hand_over(read))
        elif read is not None:
            self._spawn(self._send(read))
        else:
            return self._runner.call(call, leg=leg)
        return True

    async def _hand_over(self, handoff: Handoff) -> None:
        assert self._floor is not None
        try:
            await self._send(handoff.result)
            fault = await self._configured(handoff.to)
        except SessionClosed:
            raise
        except VoiceBridgeError as error:
            fault = error.fault
        except Exception as error:
            _log.exception("A handoff failed")
            fault = Fault(category="protocol", message=f"The session failed ({type(error).__name__}).")
        if fault is None:
            if "verb" in self._session.capabilities.respond:
                await self._send(Respond())
        elif self._floor.passing is handoff:  # whatever it was: the conversation may be handed over another time
            await self._send(self._floor.failed(fault.message))

    async def _configured(self, agent: Agent) -> Fault | None:
        """Set the session for this agent; why that can't be."""
        command = Configure(patch=self._changes(agent))
        if not command.patch:
            self._take_the_floor()
            return None
        fate: asyncio.Future[Fault | None] = asyncio.get_running_loop().create_future()
        self._moving = command.id, fate
        try:
            await self._send(command)
            return await fate
        except SessionClosed:
            raise
        except VoiceBridgeError as error:
            return error.fault
        finally:
            self._moving = None

    def _changes(self, agent: Agent) -> dict[str, Any]:
        """The part of an agent's settings that is not so already: less may be possible in place."""
        assert self._floor is not None
        patch = self._floor.team.patch_for(agent, self._call, self._backend, self._keys)
        now = self._session.settings()
        if "backend" in patch and patch["backend"] != now["backend"]:
            return patch
        return {name: value for name, value in patch.items() if now[name] != value}

    def _settled(self, command: Command, fault: Fault | None) -> None:
        lost = fault is not None and fault.category == "closed" and not self._closed
        if isinstance(command, SendToolResult) and lost:
            # It went down with its connection, or did not. The model that has the call now knows nothing of it.
            self._spawn(self._send(_again(command)))
        if self._moving is None or self._moving[0] != command.id:
            return
        if fault is None:  # now, not once the task runs: the next agent may call something by then
            self._take_the_floor()
        if not self._moving[1].done():
            self._moving[1].set_result(fault)

    def _take_the_floor(self) -> None:
        assert self._floor is not None
        self._runner.use(self._floor.team.toolbox_of(self._floor.done()))

    async def _send(self, command: Command) -> None:
        self._own[command.id] = command
        try:
            await self._session.send(command)
        except BaseException:
            self._own.pop(command.id, None)
            raise

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(_carried_out(work), name="handoff")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _again(result: SendToolResult) -> SendToolResult:
    return SendToolResult(
        call_id=result.call_id, output=result.output, is_error=result.is_error, respond=result.respond
    )


async def _carried_out(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except SessionClosed:
        pass  # there is nobody left to hand over to
    except VoiceBridgeError as error:
        _log.warning("a handoff or a tool's result could not be passed on: %s", error)
