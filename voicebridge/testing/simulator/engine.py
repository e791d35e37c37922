"""The server of every simulator: it lets clients in, gives each a wire, and ends what is left when it closes.

A plugin's simulator is a `SimulatedServer` around its `Vendor`:

    async with registry().simulator("some-vendor", SimulatorSettings(faults=("reset after 12 frames",))).serve() as url:
        ...  # point a client at url

It listens on 127.0.0.1 unless told otherwise, speaks no TLS, and compresses nothing.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Literal

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import Subprotocol

from voicebridge.contract.errors import ConfigError
from voicebridge.contract.simulator import SimulatorSettings

from .callers import Callers
from .connection import Connection
from .doorman import Doorman
from .fault_run import FaultRun
from .fault_script import read_script
from .http_connection import HttpConnection, reason_of
from .http_side import HttpSide
from .server_socket import ServerSocket, read_url
from .turn_log import TurnLog
from .wire import HttpAnswer, HttpRequest, Vendor, Wire

__all__ = ["SimulatedServer"]

_CLOSE_TIMEOUT_S = 1.0
"""A client that does not answer a close frame is cut off then."""
_CUT_OFF_WITHIN_S = 0.4
"""So long the end of a server waits for what is cut off."""
_logger = logging.getLogger("voicebridge.simulator")
_silent = logging.getLogger("voicebridge.simulator.websocket")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
# A client that leaves in the middle is what these servers are for: no line of log for each of them.


class SimulatedServer:
    """Is a `Simulator`.

    Args:
        vendor: makes what the server's clients share; called once for each `serve`, with the log of its turns.
        options: those of the wire, a dataclass: kept for whoever lists them.
        base_path: of the URL that `serve` gives.
        hints: lines that tell how clients are pointed at the server; `{url}` and `{http}` are filled in.
        scheme: of the URL that `serve` gives: `http` where clients speak no websocket.
        callers: those whom the vendor draws times for; their turns can then be set (`PUT /simulator/turn`).

    Raises:
        BadOption: a line of the fault script is not clear.
    """

    def __init__(
        self,
        settings: SimulatorSettings,
        vendor: Callable[[TurnLog], Vendor],
        *,
        options: object = None,
        base_path: str = "",
        hints: tuple[str, ...] = (),
        scheme: Literal["ws", "http"] = "ws",
        callers: Callers | None = None,
    ) -> None:
        self.settings = settings
        self.options = options
        self.hints = hints
        self.turns: TurnLog | None = None
        """Of the last `serve`: `turns.turns` holds what happened."""
        self.connections = 0
        """Handshakes and requests seen so far, refused ones too."""
        self.frame_received: Callable[[HttpRequest, str | bytes], None] | None = None
        """Called with each frame of a client and its handshake, before the wire takes it: for those who count."""
        self._script = read_script(settings.faults)
        self._vendor = vendor
        self._base_path = base_path
        self._scheme = scheme
        self._callers = callers

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """See `Simulator.serve`."""
        self.turns = TurnLog(self.settings.log)
        if self._callers is not None:
            self._callers.serve(self.turns)
        try:
            house = _House(self, self._vendor(self.turns), self.turns)
            await house.vendor.warm()
            server = await self._listening(house, host, port)
            try:
                bound = server.sockets[0].getsockname()[1]
                shown = f"[{host}]" if ":" in host else host
                yield f"{self._scheme}://{shown}:{bound}{self._base_path}"
            finally:
                await house.close(server)
        finally:
            self.turns.close()

    async def _listening(self, house: _House, host: str, port: int) -> Server:
        try:
            return await serve(
                house.handle,
                host,
                port,
                process_request=house.process_request,
                create_connection=house.doorman,  # type: ignore[arg-type]  # a factory is all that it is used as
                subprotocols=[Subprotocol(name) for name in house.vendor.subprotocols] or None,
                select_subprotocol=house.subprotocol,
                compression=None,
                max_size=house.vendor.largest_frame,
                ping_interval=None,
                open_timeout=None,
                close_timeout=_CLOSE_TIMEOUT_S,
                logger=_silent,
            )
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            how = "Choose another one, or 0 for any free one." if taken else f"{error.strerror or error}."
            what = "is taken" if taken else "can't be used"
            raise ConfigError(f"The port {port} of {host} {what}. {how}", code="bad_port") from None


class _House:
    """One running server: its vendor and its connections."""

    def __init__(self, simulator: SimulatedServer, vendor: Vendor, log: TurnLog) -> None:
        self.vendor = vendor
        self._simulator = simulator
        settings = simulator.settings
        self._http = HttpSide(
            vendor, log, simulator._callers, self._next_run, keep_alive_s=settings.keep_alive_s, stale=settings.stale
        )
        self._doormen: set[Doorman] = set()
        """Before those of whom nobody knows yet what they speak."""
        self._waiting: dict[ServerConnection, tuple[int, FaultRun, HttpRequest]] = {}
        """Let in by the handshake, not handled yet."""
        self._sockets: set[ServerSocket] = set()
        """All that are connected, whatever they have said so far."""

    def doorman(self, *arguments: object, **settings: object) -> Doorman:
        """Stands before a new client."""
        socket = ServerSocket(*arguments, **settings)  # type: ignore[arg-type]  # passed through from `serve`
        socket.made = self._sockets.add
        socket.lost = self._forget
        return Doorman(socket, HttpConnection(self._http), self._doormen.add, self._doormen.discard)

    def _forget(self, socket: ServerSocket) -> None:
        self._sockets.discard(socket)
        self._waiting.pop(socket, None)

    def _next_run(self) -> tuple[int, FaultRun]:
        """The number of the next handshake or request, and what goes wrong with it."""
        self._simulator.connections += 1
        number = self._simulator.connections
        return number, FaultRun(self._simulator._script, number, self._simulator.settings.seed)

    def subprotocol(self, connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """The first one that both know; a client that offers none of ours gets none."""
        return next((name for name in offered if name in self.vendor.subprotocols), None)

    async def process_request(self, socket: ServerConnection, request: Request) -> Response | None:
        """Let a client in, or say why not."""
        assert isinstance(socket, ServerSocket)
        try:
            path, pairs = read_url(request.path)
        except ValueError:
            return _response(HttpAnswer(status=400, body=b"{}"))
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        asked = HttpRequest(method="GET", path=path, query=dict(pairs), pairs=pairs, headers=headers)
        number, faults = self._next_run()
        if answer := await self._mishap_of_handshake(socket, faults) or self.vendor.refusal(asked):
            return _response(answer)
        self._waiting[socket] = (number, faults, asked)
        return None

    async def handle(self, socket: ServerConnection) -> None:
        """A client's whole stay."""
        assert isinstance(socket, ServerSocket)
        waited = self._waiting.pop(socket, None)
        if waited is None:
            return  # it left as soon as it was let in
        number, faults, asked = waited
        connection = Connection(socket, number, faults)
        wire = self.vendor.wire(connection, asked)
        try:
            connection.opened()
            await self._until_gone(socket, connection, wire, asked)
        finally:
            await connection.aclose()
            await wire.aclose()

    async def _until_gone(self, socket: ServerSocket, connection: Connection, wire: Wire, asked: HttpRequest) -> None:
        """Converse, but no longer than the client is there: a fault may hold a frame for ever."""
        talk = asyncio.ensure_future(self._converse(socket, connection, wire, asked))
        gone = asyncio.ensure_future(socket.wait_closed())
        try:
            await asyncio.wait({talk, gone}, return_when=asyncio.FIRST_COMPLETED)
            if talk.done() and (error := talk.exception()):
                _logger.error("The wire of connection %d failed.", connection.number, exc_info=error)
                await connection.close(1011, "the simulator failed")
        finally:
            connection.closed.set()
            for task in (talk, gone):
                task.cancel()
            await asyncio.gather(talk, gone, return_exceptions=True)

    async def _converse(self, socket: ServerSocket, connection: Connection, wire: Wire, asked: HttpRequest) -> None:
        with suppress(ConnectionClosed):
            await wire.opened()
            async for frame in socket:
                if self._simulator.frame_received is not None:
                    self._simulator.frame_received(asked, frame)
                await wire.received(frame)
                if connection.closed.is_set() and not socket.half_open:
                    break
        if socket.half_open:
            await socket.wait_closed()

    async def _mishap_of_handshake(self, socket: ServerSocket, faults: FaultRun) -> HttpAnswer | None:
        for mishap in faults.handshake:
            if mishap.action == "stall":
                if mishap.seconds is None:
                    await socket.wait_closed()
                else:
                    await asyncio.sleep(mishap.seconds)
            elif mishap.action == "reset":
                socket.reset()
            elif mishap.action == "garbage":
                socket.write_raw(b"\x00\x01 this is no HTTP\r\n\r\n")
                socket.cut()
            else:
                return HttpAnswer(status=mishap.code, headers=mishap.headers, body=b"{}")
        return None

    async def close(self, server: Server) -> None:
        """End the server and all that is connected: by a close frame where one is understood, else at once."""
        self._abort(lambda socket: socket.half_open or socket.state is not State.OPEN)
        for doorman in list(self._doormen):
            doorman.transport.abort()
        server.close()
        if not await self._http.close(_CUT_OFF_WITHIN_S):
            _logger.error("A request did not end within %g s.", _CUT_OFF_WITHIN_S)
        if await _is_closed(server, _CLOSE_TIMEOUT_S + _CUT_OFF_WITHIN_S / 2):
            return
        self._abort(lambda _: True)
        if not await _is_closed(server, _CUT_OFF_WITHIN_S):
            _logger.error("A wire did not end within %g s.", _CUT_OFF_WITHIN_S)

    def _abort(self, chosen: Callable[[ServerSocket], bool]) -> None:
        for socket in list(self._sockets):
            if chosen(socket):
                socket.transport.abort()


async def _is_closed(server: Server, within_s: float) -> bool:
    try:
        await asyncio.wait_for(server.wait_closed(), within_s)
    except TimeoutError:
        return False
    return True


def _response(answer: HttpAnswer) -> Response:
    headers = Headers(answer.headers)
    headers["Content-Type"] = "application/json"
    headers["Content-Length"] = str(len(answer.body))
    headers["Connection"] = "close"
    return Response(answer.status, reason_of(answer.status).decode(), headers, answer.body)
