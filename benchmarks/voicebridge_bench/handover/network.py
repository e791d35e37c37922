"""The lines of a call: a proxy to each server, with the delay of a real network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from voicebridge.testing.chaos import ChaosProxy

__all__ = ["ROUND_TRIP_MS", "Network", "network"]

ROUND_TRIP_MS = 50.0


class Network:
    """Lines of one call. Made by `network`."""

    def __init__(self, urls: Mapping[str, str], stack: AsyncExitStack) -> None:
        self._urls, self._stack = urls, stack

    async def line(self, server: str) -> ChaosProxy:
        """A line to a server by its name (see `simulators.SERVERS`), of this call alone."""
        proxy = await self._stack.enter_async_context(ChaosProxy(self._urls[server]))
        proxy.up.latency_s = proxy.down.latency_s = ROUND_TRIP_MS / 2000
        return proxy


@asynccontextmanager
async def network(urls: Mapping[str, str]) -> AsyncIterator[Network]:
    """The lines, until the call is over."""
    async with AsyncExitStack() as stack:
        yield Network(urls, stack)
