"""The border to the HTTP APIs of vendors: requests out, useful outputs in, and every failure as a `Fault`.

There is no retry here but one: a connection that was kept for this request and turns out to be dead before the answer
has begun is replaced at once. Whether to try again, or elsewhere, is decided above, where all of it is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeVar

from voicebridge.contract.errors import VoiceBridgeError

from .body import Body
from .headers import check_encrypted, check_headers, with_keys_only
from .http_address import HttpAddress
from .http_call import HttpCall, HttpFile, HttpTimeouts, encoded
from .http_exchange import HttpExchange
from .http_faults import CLOSED, Explain, HttpFaults
from .http_patience import Patience
from .http_pool import HttpPool, shared_pool
from .wire import WireClosed

__all__ = ["HttpApi", "HttpCall", "HttpFile", "HttpTimeouts"]

T = TypeVar("T")
_REFUSAL_BYTES = 16 * 1024
_REFUSAL_S = 2.0


class HttpApi:
    """One vendor's HTTP API, for one stage. Connections are shared by all stages of an event loop with this origin.

    Args:
        base_url: `https://host/v1`, without secrets: it may be shown in errors.
        headers: sent with each request, shown nowhere. One that lacks its key, as `Bearer ` does, is left out.
        idle_s: a connection that was unused for longer is never used again: below what the vendor closes it after.
        explain: what the vendor means by a refusal (status, body), where it has a say beyond the common table.

    Raises:
        ConfigError: the address is none, a header holds what none can, or a key would be sent unencrypted.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str],
        idle_s: float,
        timeouts: HttpTimeouts = HttpTimeouts(),  # noqa: B008 - frozen
        explain: Explain | None = None,
    ) -> None:
        self._address = HttpAddress.of(base_url)
        self._headers = with_keys_only(headers)
        check_headers(self._headers)
        check_encrypted(base_url, self._headers)
        self._idle_s, self._timeouts, self._explain = idle_s, timeouts, explain
        self._pool: HttpPool | None = None
        self._exchanges: set[HttpExchange] = set()
        self._closed = False

    async def get_ready(self) -> None:
        """Open a connection, without a request, unless one waits unused. A failure shows at the next request."""
        if not self._closed:
            await self._joined().get_ready(self, self._timeouts.connect_s)

    async def ask(self, call: HttpCall, body: Body[T]) -> AsyncGenerator[T]:
        """Send a request, and read its answer. Closed or cancelled before its end, it closes the connection.

        Raises:
            VoiceBridgeError: it failed; the fault says how, and whether it may be tried again.
        """
        patience = Patience(self._timeouts, asyncio.get_running_loop().time)
        exchange = self._exchange(call, patience)
        faults = HttpFaults([*self._headers.values(), *call.headers.values()], self._explain)
        try:
            await self._begin(exchange, call, faults)
            while piece := await self._piece(exchange, faults):
                for output in faults.checked(partial(body.feed, piece)):
                    patience.got(output)
                    yield output
            for output in faults.checked(body.end):
                yield output
        finally:
            exchange.release()
            self._exchanges.discard(exchange)

    async def aclose(self) -> None:
        """Close what is open. May be called again."""
        self._closed = True
        for exchange in tuple(self._exchanges):
            exchange.abort()
        await self._leave()

    # The pool

    def _joined(self) -> HttpPool:
        """The pool of the running loop. Another loop's is left to that loop."""
        pool = self._pool
        if pool is None or not pool.is_here:
            key = (self._address.origin, self._idle_s)
            address, idle_s = self._address, self._idle_s
            pool = self._pool = shared_pool(key, lambda: HttpPool(address.shown, address.dial, idle_s))
            pool.users.add(self)
        return pool

    async def _leave(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None and pool.is_here:
            await pool.leave(self)

    # An exchange

    def _exchange(self, call: HttpCall, patience: Patience) -> HttpExchange:
        if self._closed:
            raise VoiceBridgeError(CLOSED)
        if call.headers:
            check_headers(call.headers)
            check_encrypted(str(self._address.url), call.headers)
        pool = self._joined()
        pool.begins(self)
        exchange = HttpExchange(pool, patience, self._timeouts.connect_s)
        self._exchanges.add(exchange)
        return exchange

    async def _begin(self, exchange: HttpExchange, call: HttpCall, faults: HttpFaults) -> None:
        """Send the request.

        Raises:
            VoiceBridgeError: there is no answer, or a refusal.
        """
        request, content = encoded(call, self._address, self._headers)
        try:
            answer = await exchange.begin(request, content)
        except WireClosed as error:
            raise self._failed(error, faults) from None
        if not 200 <= answer.status < 300:
            raise faults.of_refusal(answer, await _text(exchange))
        if any(value.strip().lower() != "identity" for value in answer.headers.get("content-encoding", ())):
            raise VoiceBridgeError("The server compressed its answer, which it was asked not to.", code="compressed")

    async def _piece(self, exchange: HttpExchange, faults: HttpFaults) -> bytes:
        try:
            return await exchange.piece()
        except WireClosed as error:
            raise self._failed(error, faults) from None

    def _failed(self, error: WireClosed, faults: HttpFaults) -> VoiceBridgeError:
        return VoiceBridgeError(CLOSED) if self._closed else faults.of_connection(error)


async def _text(exchange: HttpExchange) -> str:
    """What came with a refusal. That it came is enough, so whatever happens to its text does not matter."""
    text = b""
    with suppress(WireClosed, VoiceBridgeError, TimeoutError):
        async with asyncio.timeout(_REFUSAL_S):
            while len(text) < _REFUSAL_BYTES and (piece := await exchange.piece()):
                text += piece
    return text[:_REFUSAL_BYTES].decode("utf-8", "replace")
