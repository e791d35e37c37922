"""A websocket of one stage: frames out, frames in, and its end as a fault."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import urlsplit

from voicebridge.contract.codec import Closed, Endpoint, Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.core import closing

from .headers import check_encrypted, with_keys_only
from .secrets import Secrets
from .wire import Wire, WireClosed, dial

__all__ = ["StageSocket"]


class StageSocket:
    """Made by `open`. Whoever waits for a frame may be cancelled: no frame is lost.

    Args:
        classify: what the end of the connection means on this wire.
    """

    def __init__(self, wire: Wire, classify: Callable[[Closed], Fault], secrets: Secrets) -> None:
        self._wire, self._classify, self._secrets = wire, classify, secrets
        self._closed: Closed | None = None

    @classmethod
    async def open(
        cls, endpoint: Endpoint, *, connect_s: float = 3.0, classify: Callable[[Closed], Fault] = closing.fault_of
    ) -> StageSocket:
        """Dial.

        Args:
            endpoint: a header that lacks its key, as `Token ` does, is left out.
            connect_s: for TCP, TLS and the handshake.

        Raises:
            VoiceBridgeError: it was refused, or took too long.
            ConfigError: the address is none, or a key would be sent unencrypted.
        """
        endpoint = replace(endpoint, headers=with_keys_only(endpoint.headers))
        check_encrypted(endpoint.url, {**endpoint.headers, **({"key": ""} if endpoint.secret_query else {})})
        secrets = Secrets.of(endpoint)
        try:
            async with asyncio.timeout(connect_s):
                return cls(await dial(endpoint), classify, secrets)
        except WireClosed as error:
            closed = error.closed
        except TimeoutError:
            closed = Closed(by="nobody", problem="timeout", reason=urlsplit(endpoint.url).netloc)
        raise _failed(closed, classify, secrets)

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it, as far as is known here."""
        return self._closed is None and self._wire.is_open

    async def send(self, frame: Frame) -> None:
        """Write a frame; waits while the operating system takes no more.

        Raises:
            VoiceBridgeError: the connection is over.
        """
        try:
            await self._wire.send(frame)
        except WireClosed as error:
            raise self._ended(error.closed) from None

    async def receive(self) -> Frame:
        """The next frame.

        Raises:
            VoiceBridgeError: the connection is over, also by a normal close.
        """
        try:
            return await self._wire.recv()
        except WireClosed as error:
            raise self._ended(error.closed) from None

    async def ping(self) -> Awaitable[object]:
        """Write a ping. What it gives is done once the pong has come; it may be cancelled or fail when none will.

        Raises:
            VoiceBridgeError: the connection is over.
        """
        try:
            return await self._wire.ping()
        except WireClosed as error:
            raise self._ended(error.closed) from None

    async def aclose(self) -> None:
        """Say goodbye, wait for the answer a moment, and let go. May be called again."""
        await self._wire.close()

    def _ended(self, closed: Closed) -> VoiceBridgeError:
        self._closed = closed
        return _failed(closed, self._classify, self._secrets)


def _failed(closed: Closed, classify: Callable[[Closed], Fault], secrets: Secrets) -> VoiceBridgeError:
    fault = classify(closed)
    return VoiceBridgeError(replace(fault, message=secrets.scrubbed(fault.message), code=secrets.scrubbed(fault.code)))
