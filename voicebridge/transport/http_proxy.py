"""The proxy that the environment names, and the way through it."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import h11

from voicebridge.contract.codec import Closed
from voicebridge.contract.errors import ConfigError

from .http_connection import HttpConnection
from .tcp import is_this_machine, tls_context
from .wire import WireClosed

__all__ = ["HttpProxy"]


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """A proxy that speaks HTTP."""

    host: str
    port: int
    secure: bool
    authorization: str = field(default="", repr=False)

    @classmethod
    def for_url(cls, url: str) -> HttpProxy | None:
        """The one for an address. None: go there directly, as always within this machine.

        Raises:
            ConfigError: the environment names one that can't be used.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        # A proxy would be shown the key in the clear on a way that never leaves this machine.
        if is_this_machine(url) or proxy_bypass(f"{host}:{parts.port}" if parts.port else host):
            return None
        found = getproxies()
        named = found.get(parts.scheme) or found.get("all") or ""
        return cls._of(named) if named else None

    @classmethod
    def _of(cls, named: str) -> HttpProxy:
        try:
            parts = urlsplit(named if "://" in named else f"http://{named}")
            port = parts.port or (443 if parts.scheme == "https" else 80)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(named)
        except ValueError:
            raise ConfigError(
                "The proxy that the environment names can't be used: name one of http:// or https:// in HTTPS_PROXY, "
                "or except the host in NO_PROXY.",
                code="bad_proxy",
            ) from None
        user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(user.encode()).decode() if parts.username else ""
        return cls(parts.hostname, port, parts.scheme == "https", authorization)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What the proxy wants to see."""
        return [("Proxy-Authorization", self.authorization)] if self.authorization else []

    async def tunnel(self, host: str, port: int, shown: str) -> HttpConnection:
        """A connection that is encrypted all the way to a host.

        Raises:
            WireClosed: the proxy refuses, or breaks off.
            OSError: the proxy can't be reached, or the host's certificate is wrong.
        """
        loop = asyncio.get_running_loop()
        outer = await self.dial(shown)
        try:
            target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            headers = [("Host", target), *self.headers]
            answer = await outer.ask(h11.Request(method="CONNECT", target=target, headers=headers), b"")
            if not 200 <= answer.status < 300:
                reason = f"the proxy {self.host} answers HTTP {answer.status}"
                raise WireClosed(Closed(by="nobody", problem="refused", reason=reason))
            inner = HttpConnection(shown)
            transport = await loop.start_tls(outer.transport, inner, tls_context(), server_hostname=host)
            if transport is None:
                raise ConnectionResetError
            inner.connection_made(transport)
        except BaseException:
            outer.abort()
            raise
        return inner

    async def dial(self, shown: str) -> HttpConnection:
        """A connection to the proxy itself.

        Raises:
            OSError: it can't be reached.
        """
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: HttpConnection(shown), self.host, self.port, ssl=tls_context() if self.secure else None
        )
        return connection
