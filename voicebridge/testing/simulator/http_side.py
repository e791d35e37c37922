"""The HTTP side of a running server: each request is counted, meets the faults of the script, and is answered."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

from .callers import Callers, control
from .fault_run import FaultRun
from .http_connection import HttpConnection
from .http_reply import GARBAGE_HEAD, HttpReply
from .turn_log import TurnLog
from .wire import Converses, HttpAnswer, HttpRequest, Vendor

__all__ = ["HttpSide"]

_logger = logging.getLogger("voicebridge.simulator")


class HttpSide:
    """Is an `HttpDoor`.

    Args:
        next_run: the number of the next request, and the faults that it meets.
    """

    def __init__(
        self,
        vendor: Vendor,
        log: TurnLog,
        callers: Callers | None,
        next_run: Callable[[], tuple[int, FaultRun]],
        *,
        keep_alive_s: float | None = None,
        stale: bool = False,
    ) -> None:
        self.keep_alive_s = keep_alive_s
        self.stale = stale
        self._vendor = vendor
        self._log = log
        self._callers = callers
        self._next_run = next_run
        self._connections: set[HttpConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def made(self, connection: HttpConnection) -> None:
        """See `HttpDoor.made`."""
        self._connections.add(connection)

    def lost(self, connection: HttpConnection) -> None:
        """See `HttpDoor.lost`."""
        self._connections.discard(connection)

    async def respond(self, request: HttpRequest, connection: HttpConnection) -> None:
        """See `HttpDoor.respond`."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if asked := control(request, self._log, self._callers):
            await _send_whole(HttpReply(connection, request, 0, FaultRun((), 0, 0)), asked)
            return
        number, faults = self._next_run()
        if not await self._passes(connection, request, number, faults):
            return
        reply = HttpReply(connection, request, number, faults)
        try:
            await self._converse(request, reply, connection)
        finally:
            await reply.aclose()

    async def _converse(self, request: HttpRequest, reply: HttpReply, connection: HttpConnection) -> None:
        try:
            if isinstance(self._vendor, Converses):
                await self._vendor.converse(request, reply)
                if not reply.started:
                    raise RuntimeError("it was not answered")
                await reply.end()
            else:
                await _send_whole(reply, self._vendor.answer(request))
        except Exception as error:  # whatever it is, a client gets an answer
            _logger.error("The request %s %s failed.", request.method, request.path, exc_info=error)
            if reply.started:
                connection.cut()
            else:
                await _send_whole(reply, _failed(error))

    async def _passes(self, connection: HttpConnection, request: HttpRequest, number: int, faults: FaultRun) -> bool:
        """Whether the script lets a request in; else it has got what the script says."""
        for mishap in faults.handshake:
            if mishap.action == "stall":
                if mishap.seconds is None:
                    await connection.over.wait()
                else:
                    await asyncio.sleep(mishap.seconds)
            elif mishap.action == "reset":
                connection.reset()
                return False
            elif mishap.action == "garbage":
                connection.write(GARBAGE_HEAD)
                connection.cut()
                return False
            else:
                answer = HttpAnswer(status=mishap.code, headers=mishap.headers, body=b"{}")
                await _send_whole(HttpReply(connection, request, number, FaultRun((), number, 0)), answer)
                return False
        return True

    async def close(self, within_s: float) -> bool:
        """End all connections and what is answered on them; whether it ended in time."""
        for connection in list(self._connections):
            connection.abort()
        if not self._tasks:
            return True
        _, left = await asyncio.wait(set(self._tasks), timeout=within_s)
        return not left


async def _send_whole(reply: HttpReply, answer: HttpAnswer) -> None:
    headers = {"Content-Type": "application/json", **answer.headers, "Content-Length": str(len(answer.body))}
    await reply.start(answer.status, headers)
    await reply.send("body", answer.body)
    await reply.end()


def _failed(error: Exception) -> HttpAnswer:
    told = {"message": f"The simulator failed: {error}", "type": "server_error", "param": None, "code": None}
    return HttpAnswer(status=500, body=json.dumps({"error": told}).encode())
