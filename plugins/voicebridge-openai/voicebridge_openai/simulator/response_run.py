"""One response, from `response.created` to `response.done`, in the order that was recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.testing.simulator.turn_log import TurnRecord

from .conversation import Entry
from .message_output import MessageOutput
from .replies import Call, Failure, Part, Say
from .response_request import ResponseRequest
from .stage import Stage
from .usage import text_tokens

__all__ = ["ResponseRun"]

T = TypeVar("T")
_logger = logging.getLogger("voicebridge.simulator")
_CALL_DELTA = 8
"""Characters of arguments in one delta."""


class ResponseRun:
    """A response that runs.

    Args:
        stage: what it shares with others.
        request: what was asked for.
        context: the items that it sees.
        record: of the turn, for the log.
    """

    def __init__(self, stage: Stage, request: ResponseRequest, context: Sequence[Entry], record: TurnRecord) -> None:
        self.id = stage.outbox.identifiers.new("resp")
        self.request = request
        self.begun = asyncio.Event()
        """Its first audio, text or arguments have been sent, or it is over."""
        self.over = asyncio.Event()
        self.record = record
        self._stage = stage
        self._context = context
        self._stopped = asyncio.Event()
        self._reason = ""
        self._status: dict[str, Any] | None = None
        self._output: list[Entry] = []

    @property
    def audio_ms(self) -> float:
        """Of the audio that it made."""
        return sum(entry.made_ms for entry in self._output)

    @property
    def stopped(self) -> bool:
        """It was cancelled: nothing more is made."""
        return self._stopped.is_set()

    async def begin(self) -> None:
        """Tell that it exists."""
        self._stage.turns += 1
        self.record.turn = self._stage.turns
        await self._send("response.created", response=self._response("in_progress", None))
        self.stamp("response_created")

    async def run(self, reply: Callable[[], Awaitable[Sequence[Part]]]) -> None:
        """Do the rest. `reply` is asked first, then the vendor's thinking time passes."""
        try:
            drawn = self._stage.draws.ms("speech_to_speech", self._stage.turns)
            self.record.drawn_ms["speech_to_speech"] = drawn
            parts = await self.unless_stopped(reply())
            await self.pause(drawn / 1000)
            for part in parts or ():
                if self.stopped or self._status:
                    break
                await self._make(part)
        except VoiceBridgeError as error:  # of a speech stage
            self._fail(error.fault.code or "server_error", error.fault.message)
        except Exception as error:  # whatever it is, a response ends: a client must never wait for a bug
            _logger.exception("The response %s failed.", self.id)
            self._fail("server_error", f"The simulator failed: {error}")
        await self._end()

    async def stop(self, reason: str) -> None:
        """Cancel it, and wait until its last event is sent."""
        if not self.over.is_set():
            self._reason = self._reason or reason
            self._stopped.set()
            await self.over.wait()

    async def pause(self, seconds: float) -> None:
        """Let time pass, or until it is cancelled."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    def stamp(self, name: str) -> None:
        """Note when something happened first."""
        self.record.stamps.setdefault(name, asyncio.get_running_loop().time())

    async def unless_stopped(self, work: Awaitable[T]) -> T | None:
        """What the work gives; None, and the work cancelled, where the response is cancelled first."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for one in (task, stopped):
                one.cancel()
            await asyncio.gather(task, stopped, return_exceptions=True)

    async def _make(self, part: Part) -> None:
        if isinstance(part, Failure):
            self._fail(part.code, part.message)
        elif isinstance(part, Call):
            await self._call(part)
        else:
            await self._say(part)

    async def _say(self, part: Say) -> None:
        text, end = part.text, part.end
        limit = self.request.max_output_tokens
        if isinstance(limit, int) and text_tokens(text) > limit:
            text, end = text[: limit * 4], "max_output_tokens"
        message = MessageOutput(self, self._stage, await self._item(self._message()), len(self._output) - 1)
        await message.make(text)
        if end and not self.stopped:
            self._status = {"type": "incomplete", "reason": end}
        whole = not self.stopped and not end
        await message.finish()
        await self._item_done("completed" if whole else "incomplete")

    async def _call(self, call: Call) -> None:
        ids = self._stage.outbox.identifiers
        item: dict[str, Any] = {
            "id": ids.new("item"),
            "type": "function_call",
            "status": "in_progress",
            "name": call.name,
            "call_id": f"call_{ids.signs(16)}",
            "arguments": "",
        }
        entry = await self._item(item)
        where = {"response_id": self.id, "item_id": item["id"], "output_index": len(self._output) - 1}
        where["call_id"] = item["call_id"]
        for start in range(0, len(call.arguments), _CALL_DELTA):
            if self.stopped:
                break
            delta = call.arguments[start : start + _CALL_DELTA]
            entry.item["arguments"] += delta
            padding = ids.obfuscation(delta)
            await self._send("response.function_call_arguments.delta", **where, delta=delta, obfuscation=padding)
            self.begun.set()
            await asyncio.sleep(0)
        whole = entry.item["arguments"]
        await self._send("response.function_call_arguments.done", **where, name=call.name, arguments=whole)
        await self._item_done("incomplete" if self.stopped else "completed")

    def _message(self) -> dict[str, Any]:
        item_id = self._stage.outbox.identifiers.new("item")
        return {"id": item_id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}

    async def _item(self, item: dict[str, Any]) -> Entry:
        """Tell of a new item."""
        entry = Entry(item=item)
        self._output.append(entry)
        index = len(self._output) - 1
        await self._send("response.output_item.added", response_id=self.id, output_index=index, item=item)
        if not self.request.aside:
            before = self._stage.conversation.add(entry)
            await self._send("conversation.item.added", previous_item_id=before, item=item)
        return entry

    async def _item_done(self, status: str) -> None:
        item = self._output[-1].item
        item["status"] = status
        if not self.request.aside:
            before = self._stage.conversation.previous_id(item["id"])
            await self._send("conversation.item.done", previous_item_id=before, item=item)
        index = len(self._output) - 1
        await self._send("response.output_item.done", response_id=self.id, output_index=index, item=item)

    def _fail(self, code: str, message: str) -> None:
        self._status = {"type": "failed", "error": {"type": "server_error", "code": code, "message": message}}

    async def _end(self) -> None:
        if self.stopped and self._status is None:
            self._status = {"type": "cancelled", "reason": self._reason}
        status = self._status["type"] if self._status else "completed"
        counted = self._stage.meter.usage(self._context, self.request.given, self._output)
        usage = counted if self._stage.outbox.dialect.usage else None
        self.record.status = status
        # Over before it is told: whoever reads the last event may ask for the next response at once.
        self.over.set()
        self.begun.set()
        await self._send("response.done", response=self._response(status, usage))
        self.stamp("done")
        self._stage.log.add(self.record)

    def _response(self, status: str, usage: dict[str, Any] | None) -> dict[str, Any]:
        request = self.request
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": self._status,
            "output": [entry.item for entry in self._output],
            "conversation_id": None if request.aside else self._stage.conversation_id,
            "output_modalities": request.output_modalities,
            "max_output_tokens": request.max_output_tokens,
            "audio": {"output": request.output},
            "usage": usage,
            "metadata": request.metadata,
        }

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._stage.outbox.send(kind, **fields)
