"""The server process: `python -m voicebridge_bench.realtime.server`. It answers, paces audio, and watches itself.

It is told what to do by lines of JSON on standard input, and tells by lines on standard output; it ends when its
input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import json
import os
import random
import select
import selectors
import sys
import time
from dataclasses import dataclass
from typing import Any

from .frames import CLOSE, PING, PONG, TEXT, FrameReader, accept, frame
from .histogram import Histogram
from .stamp import FRAME_MS, now_ns
from .wire import Answer, Conversation

__all__ = ["Manner", "Server", "Watch", "main"]

_FRAME_NS = FRAME_MS * 1_000_000
_WORDS_EACH = 10
"""Frames between two pieces of the transcript: five in a second, about as people speak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the server behaves towards its next connections."""

    answers_speech: bool = True
    """Answer by itself once 200 ms of audio have come, as with speech detection; otherwise only when asked."""
    frames: int = 10_000
    """Of audio in a response."""
    paced: bool = True
    """One frame each 20 ms, each response in a phase of its own; otherwise all at once."""
    seed: int = 0
    """Of the phases."""


class Watch:
    """What the server did since `reset`: whether it was on time, and what came in."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew."""
        self.lateness = Histogram()
        self.sent = self.appends = self.audio_bytes = 0
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def report(self) -> dict[str, Any]:
        """What was seen."""
        wall = max(time.monotonic() - self._wall, 1e-9)
        return {
            "seconds": wall,
            "cores": (time.process_time() - self._cpu) / wall,
            "lateness_10us": self.lateness.to_json(),
            "frames_sent": self.sent,
            "appends": self.appends,
            "audio_bytes": self.audio_bytes,
        }


class Server:
    """All connections, and the one timer that paces them."""

    def __init__(self) -> None:
        self.manner = Manner()
        self.watch = Watch()
        self.connections: set[Connection] = set()
        self._due: list[tuple[int, int, Connection, Answer]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._phases = random.Random(0)

    def behave(self, manner: Manner) -> None:
        """Take on a manner, and begin its phases anew."""
        self.manner = manner
        self._phases = random.Random(manner.seed)

    def pace(self, connection: Connection, answer: Answer) -> None:
        """Begin to send a response's audio, at a random moment of the next 20 ms: calls don't begin together."""
        first = now_ns() + int(self._phases.random() * _FRAME_NS)
        heapq.heappush(self._due, (first, next(self._order), connection, answer))
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._due:
            self._timer = asyncio.get_running_loop().call_at(self._due[0][0] / 1e9, self._send_due)

    def _send_due(self) -> None:
        self._timer = None
        due = self._due
        while due and due[0][0] <= now_ns():
            at, _, connection, answer = due[0]
            if connection.send_audio(answer, at):
                heapq.heapreplace(due, (at + _FRAME_NS, next(self._order), connection, answer))
            else:
                heapq.heappop(due)
        self._set_timer()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._manner = server.manner
        self._reader: FrameReader | None = None
        self._request = b""
        self._conversation = Conversation()
        self._answer: Answer | None = None
        self._heard = 0
        self._gone = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has dialled."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._gone = True
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of the handshake or of frames. On one that speaks something else it hangs up."""
        try:
            self._received(data)
        except (ValueError, KeyError):
            self._transport.abort()

    def _received(self, data: bytes) -> None:
        if self._reader is None:
            self._request += data
            head, end, data = self._request.partition(b"\r\n\r\n")
            if not end:
                return
            self._request = b""
            self._reader = FrameReader()
            self._transport.write(accept(head) + self._conversation.created())
        for opcode, payload in self._reader.feed(data):
            if opcode == TEXT:
                self._take(payload)
            elif opcode == PING:
                self._transport.write(frame(PONG, payload))
            elif opcode == CLOSE:
                self._transport.write(frame(CLOSE, payload[:2]))
                self._transport.close()

    def _take(self, payload: bytes) -> None:
        if b'"input_audio_buffer.append"' in payload:
            self._hear(payload)
            return
        event = json.loads(payload)
        if reply := self._reply(event):
            self._transport.write(reply)
        if event["type"] == "response.create" and self._answer is None:
            self._begin(event.get("response") or {})

    def _hear(self, payload: bytes) -> None:
        start = payload.index(b'"', payload.index(b'"audio"') + 7) + 1
        size = (payload.index(b'"', start) - start) * 3 // 4
        self._server.watch.appends += 1
        self._server.watch.audio_bytes += size
        if self._heard >= 0:
            self._heard += size
            if self._manner.answers_speech and self._heard >= 9600:
                self._heard = -1
                if self._answer is None:
                    self._transport.write(self._conversation.user_turn())
                    self._begin({})

    def _reply(self, event: dict[str, Any]) -> bytes:
        talk, kind = self._conversation, event["type"]
        if kind == "session.update":
            return talk.updated(event["session"])
        if kind == "conversation.item.create":
            return talk.item(event["item"])
        if kind == "conversation.item.truncate":
            place = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
            return talk.simple("conversation.item.truncated", **place)
        if kind == "conversation.item.delete":
            return talk.simple("conversation.item.deleted", item_id=event["item_id"])
        if kind == "input_audio_buffer.clear":
            return talk.simple("input_audio_buffer.cleared")
        if kind == "input_audio_buffer.commit":
            return talk.user_turn()
        if kind == "response.cancel":
            return self._cancel(event)
        if kind == "response.create" and self._answer is not None:
            code = "conversation_already_has_active_response"
            return talk.error(code, "Conversation already has an active response.", event.get("event_id"))
        return b""

    def _cancel(self, event: dict[str, Any]) -> bytes:
        if self._answer is None:
            text = "Cancellation failed: no active response found."
            return self._conversation.error("response_cancel_not_active", text, event.get("event_id"))
        ended, self._answer = self._answer, None
        return ended.closing("cancelled")

    def _begin(self, asked: dict[str, Any]) -> None:
        answer = self._answer = self._conversation.answer(asked)
        self._transport.write(answer.opening())
        if self._manner.paced:
            self._server.pace(self, answer)
            return
        while self.send_audio(answer, now_ns()):
            pass

    def send_audio(self, answer: Answer, due_ns: int) -> bool:
        """Send a response's next frame; whether there is one more."""
        if self._gone or self._answer is not answer or self._transport.is_closing():
            return False
        if answer.sent % _WORDS_EACH == 0:
            self._transport.write(answer.words())
        watch, at = self._server.watch, now_ns()
        self._transport.write(answer.audio(at))
        watch.lateness.add(at - due_ns)
        watch.sent += 1
        if answer.sent < self._manner.frames:
            return True
        self._answer = None
        self._transport.write(answer.closing())
        return False


class _PreciseSelector(selectors.DefaultSelector):
    """Timers to the microsecond: `epoll` knows whole milliseconds, and 200 sessions have a frame due each 0.1 ms."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0 and hasattr(self, "fileno"):
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


async def _serve(cpu: int | None) -> None:
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    loop = asyncio.get_running_loop()
    server = Server()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=1024)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    _tell({"port": listening.sockets[0].getsockname()[1]})
    while line := await orders.readline():
        order = json.loads(line)
        if order["do"] == "behave":
            server.behave(Manner(**order["manner"]))
        elif order["do"] == "watch":
            server.watch.reset()
        _tell(server.watch.report() | {"connections": len(server.connections)})
    listening.close()


def _tell(row: dict[str, Any]) -> None:
    print(json.dumps(row), flush=True)


def main() -> None:
    """Serve until standard input ends. The first argument is the core to stay on, if there is one."""
    cpu = int(sys.argv[1]) if len(sys.argv) > 1 else None
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_serve(cpu))


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(_PreciseSelector())


if __name__ == "__main__":
    main()
