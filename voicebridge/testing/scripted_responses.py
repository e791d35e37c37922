"""The answering half of a scripted session: which reply is given, to whom, and how much of it was heard."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from voicebridge.cascade.playback_tracker import PlaybackTracker
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import OutputAudio, OutputText, ResponseEnded, ResponseStarted, ToolCall
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, ToolCallItem, ToolResultItem
from voicebridge.contract.stages import Word
from voicebridge.core.arbiter import Arbiter, Request
from voicebridge.core.history import History
from voicebridge.transport.delivery import Delivery

from .script import Reply, Script, door_formats

__all__ = ["ScriptedResponses", "again"]

_WITHDRAWN = Fault(category="closed", code="withdrawn", message="Interrupted before the response started.")


def again(values: Sequence[Any]) -> Any:
    """These values, the last one again and again."""
    return itertools.chain(values, itertools.repeat(values[-1]))


@dataclass(slots=True)
class _Running:
    """The response that is being given."""

    id: str
    task: asyncio.Task[None]


class ScriptedResponses:
    """Gives replies, one at a time.

    Args:
        settle: tells the fate of a command.
        spawn: makes a task that the session ends.
    """

    def __init__(
        self,
        script: Script,
        config: SessionConfig,
        history: Sequence[Item],
        delivery: Delivery,
        settle: Callable[[str, Fault | None], None],
        spawn: Callable[[Any, str], asyncio.Task[None]],
    ) -> None:
        self.history = History(history)
        self.playback = PlaybackTracker(self.history, delivery)
        self.config = config
        self._script, self._delivery, self._settle, self._spawn = script, delivery, settle, spawn
        self._output = door_formats(script.capabilities)[1]
        self._arbiter = Arbiter()
        self._arbiter.open_earlier_calls(self.history.open_calls())
        self._running: _Running | None = None
        self._replies = iter(()) if callable(script.replies) else again(script.replies)
        self._spontaneous: deque[Reply] = deque()
        self._numbers = {kind: itertools.count(1) for kind in ("r", "call-")}

    def ask(self, request: Request) -> None:
        """Respond now, or once nothing else runs and the user is silent."""
        if ready := self._arbiter.ask(request):
            self._begin(ready)

    def say(self, reply: Reply) -> None:
        """Respond without being asked."""
        self._spontaneous.append(reply)
        self.ask(Request(cause="spontaneous"))

    def user_speaks(self, speaks: bool) -> None:
        """Whether the user has the floor."""
        self._arbiter.user_speaks = speaks

    def resume(self) -> None:
        """Give what waited for the user."""
        if held := self._arbiter.resume():
            self._begin(held)

    def tool_result(self, command_id: str, result: ToolResultItem, *, respond: bool) -> bool:
        """Take the answer to a call, and settle the command. False if no such call is open."""
        if not self._arbiter.knows_call(result.call_id):
            return False
        self.history.append(result)
        self._settle(command_id, None)
        if request := self._arbiter.answer_call(result.call_id, command_id, respond=respond):
            self.ask(request)
        return True

    def barge_in(self) -> None:
        """The user speaks: stop what runs or plays."""
        self._stop(self._running, self.playback.unsettled(), {})

    def interrupt(self, response_id: str | None, heard: Mapping[str, float]) -> None:
        """Stop a response, or all that run or are asked for."""
        if response_id is None:
            for request in self._arbiter.withdraw():
                for command_id in request.settles:
                    self._settle(command_id, _WITHDRAWN)
        running = self._running
        stopped = running if running and response_id in (None, running.id) else None
        named = {*heard, *([response_id] if response_id else self.playback.unsettled())}
        if running and not stopped:
            named.discard(running.id)
        self._stop(stopped, sorted(named), heard)

    def close(self) -> None:
        """The session is over: what runs is lost."""
        self.playback.close()
        if running := self._running:
            self._running = None
            self._delivery.put(ResponseEnded(response_id=running.id, status="lost", reason="closed"))

    def _begin(self, request: Request) -> None:
        response_id = self._next_id("r")
        if not request.aside:
            self.history.open_response(response_id)
        self._delivery.put(
            ResponseStarted(response_id=response_id, cause=request.cause, answers=request.answers, aside=request.aside)
        )
        for command_id in request.settles:
            self._settle(command_id, None)
        reply = self._reply(request)
        self._running = _Running(response_id, self._spawn(self._give(response_id, request, reply), "reply"))

    def _reply(self, request: Request) -> Reply:
        if request.say:
            return Reply(request.say)
        if request.cause == "spontaneous" and self._spontaneous:
            return self._spontaneous.popleft()
        replies = self._script.replies
        reply = replies(self.history.items(placeholders=True)) if callable(replies) else next(self._replies)
        return Reply(reply) if isinstance(reply, str) else reply

    async def _give(self, response_id: str, request: Request, reply: Reply) -> None:
        await asyncio.sleep(reply.wait_s)
        spoken = (
            request.modality or "audio"
        ) == "audio" and "audio" in self.config.outputs & self._script.capabilities.outputs
        offset_ms = 0.0
        for number, word in enumerate(re.findall(r"\s*\S+\s*$|\s*\S+", reply.text)):
            await asyncio.sleep(reply.word_s if number else 0)
            await self._delivery.room()
            offset_ms = self._say(response_id, request, word, offset_ms if spoken else None)
        for call in reply.calls:
            call_id = self._next_id("call-")
            self._arbiter.open_call(call_id, response_id)
            self.history.append(ToolCallItem(call_id=call_id, name=call.name, arguments=call.arguments))
            self._delivery.put(
                ToolCall(response_id=response_id, call_id=call_id, name=call.name, arguments=call.arguments)
            )
        self._finish(response_id, "failed" if reply.fault else reply.status, reply.fault)

    def _say(self, response_id: str, request: Request, word: str, offset_ms: float | None) -> float:
        """Say a word; from where the next one begins."""
        if not request.aside:
            self.history.say(response_id, word)
        if offset_ms is None:
            self._delivery.put(OutputText(response_id=response_id, delta=word, kind="text"))
            return 0.0
        pcm = b"\x00\x20" * (self._output.size(len(word) * self._script.character_ms) // 2)
        length_ms = self._output.ms(len(pcm))
        end_ms = offset_ms + length_ms
        if "text" in self._script.capabilities.outputs:
            self._delivery.put(OutputText(response_id=response_id, delta=word, start_ms=offset_ms, end_ms=end_ms))
        self.playback.received(response_id, length_ms, word, (Word(word, 0.0, length_ms),))
        self._delivery.put(OutputAudio(response_id=response_id, pcm=pcm, offset_ms=offset_ms))
        return end_ms

    def _stop(self, running: _Running | None, ids: Sequence[str], heard: Mapping[str, float]) -> None:
        if running:
            running.task.cancel()
        self.playback.cut(ids, heard)
        if running:
            self._delivery.purge(running.id)
            self._finish(running.id, "interrupted")

    def _finish(
        self,
        response_id: str,
        status: Literal["completed", "incomplete", "interrupted", "failed"],
        fault: Fault | None = None,
    ) -> None:
        self._running = None
        if status == "failed":
            self._delivery.purge(response_id)
        self._delivery.put(ResponseEnded(response_id=response_id, status=status, fault=fault))
        self.playback.response_ended(response_id, whole=status == "completed")
        if following := self._arbiter.ended(response_id):
            self._begin(following)

    def _next_id(self, kind: str) -> str:
        return f"{kind}{next(self._numbers[kind])}"
