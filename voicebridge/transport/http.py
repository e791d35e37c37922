"""The border to the HTTP APIs of vendors: requests out, useful outputs in, and every failure as a `Fault`.

There is no retry here but one: a connection that was kept for this request and turns out to be dead before the answer
has begun is replaced at once. Whether to try again, or elsewhere, is decided above, where all of it is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from voicebridge.contract.codec import Closed
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.core.closing import fault_of

from .api_key import check_encrypted, with_keys_only
from .body import Body
from .http_address import HttpAddress
from .http_call import HttpCall, HttpFile, HttpTimeouts, encoded
from .http_connection import Answer
from .http_exchange import HttpExchange
from .http_patience import Patience
from .http_pool import HttpPool, shared_pool
from .secrets import Secrets
from .wire import WireClosed, retry_after

__all__ = ["HttpApi", "HttpCall", "HttpFile", "HttpTimeouts"]

T = TypeVar("T")
Explain = Callable[[int, str], Fault | None]
_REFUSAL_BYTES = 16 * 1024
_REFUSAL_CHARS = 500
_REFUSAL_S = 2.0
_CLOSED = Fault(category="closed", code="closed", message="This stage was closed.")


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
        check_encrypted(base_url, self._headers)
        self._secrets = Secrets(self._headers.values())
        self._idle_s, self._timeouts, self._explain = idle_s, timeouts, explain
        self._pool: HttpPool | None = None
        self._exchanges: set[HttpExchange] = set()
        self._closed = False

    async def get_ready(self) -> None:
        """Open a connection, without a request, unless one waits unused. A failure shows at the next request."""
        if not self._closed:
            await self._joined().get_ready(self)

    async def ask(self, call: HttpCall, body: Body[T]) -> AsyncGenerator[T]:
        """Send a request, and read its answer. Closed or cancelled before its end, it closes the connection.

        Raises:
            VoiceBridgeError: it failed; the fault says how, and whether it may be tried again.
        """
        patience = Patience(self._timeouts, asyncio.get_running_loop().time)
        exchange = self._exchange(patience)
        try:
            await self._begin(exchange, call)
            while piece := await self._piece(exchange):
                for output in self._outputs(partial(body.feed, piece)):
                    patience.got(output)
                    yield output
            for output in self._outputs(body.end):
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
            connect_s, dial = self._timeouts.connect_s, self._address.dial
            pool = self._pool = shared_pool(
                key, lambda: HttpPool(self._address.shown, lambda: dial(connect_s), self._idle_s)
            )
            pool.users += 1
        return pool

    async def _leave(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None and pool.is_here:
            await pool.leave(self)

    # An exchange

    def _exchange(self, patience: Patience) -> HttpExchange:
        if self._closed:
            raise VoiceBridgeError(_CLOSED)
        pool = self._joined()
        pool.begins(self)
        exchange = HttpExchange(pool, patience, self._timeouts.connect_s)
        self._exchanges.add(exchange)
        return exchange

    async def _begin(self, exchange: HttpExchange, call: HttpCall) -> None:
        """Send the request.

        Raises:
            VoiceBridgeError: there is no answer, or a refusal.
        """
        request, content = encoded(call, self._address.url, self._headers)
        try:
            answer = await exchange.begin(request, content)
        except WireClosed as error:
            raise self._failed(error) from None
        if not 200 <= answer.status < 300:
            raise VoiceBridgeError(self._refused(answer, await self._refusal(exchange)))

    async def _piece(self, exchange: HttpExchange) -> bytes:
        try:
            return await exchange.piece()
        except WireClosed as error:
            raise self._failed(error) from None

    async def _refusal(self, exchange: HttpExchange) -> str:
        """What came with a refusal. That it came is enough, so whatever happens to its text does not matter."""
        text = b""
        with suppress(WireClosed, VoiceBridgeError, TimeoutError):
            async with asyncio.timeout(_REFUSAL_S):
                while len(text) < _REFUSAL_BYTES and (piece := await exchange.piece()):
                    text += piece
        return self._secrets.scrubbed(text[:_REFUSAL_BYTES].decode("utf-8", "replace"))

    def _outputs(self, read: Callable[[], Iterable[T]]) -> Iterator[T]:
        """What a body makes of bytes. What it can't read is the server's fault."""
        try:
            yield from read()
        except VoiceBridgeError as error:
            if (fault := self._hidden(error.fault)) == error.fault:
                raise
            raise VoiceBridgeError(fault) from None
        except Exception as error:
            message = f"The server's answer could not be read: {type(error).__name__}: {error}"
            raise VoiceBridgeError(
                self._hidden(Fault(category="protocol", code="bad_answer", message=message))
            ) from error

    # Faults

    def _failed(self, error: WireClosed) -> VoiceBridgeError:
        return VoiceBridgeError(_CLOSED if self._closed else self._hidden(fault_of(error.closed)))

    def _refused(self, answer: Answer, text: str) -> Fault:
        seconds = retry_after(answer.headers.get("retry-after", ()))
        fault = self._explain(answer.status, text) if self._explain is not None else None
        if fault is None:
            closed = Closed(by="peer", status=answer.status, body=text[:_REFUSAL_CHARS], retry_after_s=seconds)
            fault = fault_of(closed)
        elif fault.retry_after_s is None:
            fault = replace(fault, retry_after_s=seconds)
        return self._hidden(fault)

    def _hidden(self, fault: Fault) -> Fault:
        return replace(fault, message=self._secrets.scrubbed(fault.message), code=self._secrets.scrubbed(fault.code))
