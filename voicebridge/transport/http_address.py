"""Where an HTTP API is, and how a connection to it is opened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlsplit

import httpx

from voicebridge.contract.codec import Closed
from voicebridge.contract.errors import ConfigError

from .http_connection import HttpConnection
from .http_proxy import HttpProxy
from .tcp import connection_problem, tls_context
from .wire import WireClosed

__all__ = ["HttpAddress"]

_SECRETS = frozenset(
    {"access_token", "api-key", "api_key", "apikey", "authorization", "key", "sig", "signature", "token"}
)

_NEXT_ADDRESS_S = 0.25
"""After so long the host's next address is tried as well (RFC 8305 recommends it)."""


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """A base URL that can be used."""

    url: httpx.URL
    host: str
    port: int
    secure: bool
    proxy: HttpProxy | None = None

    @classmethod
    def of(cls, base_url: str) -> HttpAddress:
        """Read it.

        Raises:
            ConfigError: it is none, or it holds a secret, or the way is through a proxy that can't be used.
        """
        try:
            parts = urlsplit(base_url)
            scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
            fits = scheme in ("http", "https") and bool(host) and (port is None or port > 0) and not parts.fragment
            url = httpx.URL(base_url)
            url.raw_host.decode("ascii")
        except (ValueError, httpx.InvalidURL):  # an address in brackets that is none, a port that is none
            fits = False
        if not fits or any(not character.isprintable() or character.isspace() for character in base_url):
            raise ConfigError(f"base_url must look like https://host/v1, not {base_url!r}.", code="bad_base_url")
        if parts.username or parts.password or any(name.lower() in _SECRETS for name, _ in parse_qsl(parts.query)):
            raise ConfigError(
                "base_url holds a secret: pass it as api_key, which is sent as a header.", code="bad_base_url"
            )
        secure = scheme == "https"
        host = url.raw_host.decode("ascii")
        return cls(url, host, url.port or (443 if secure else 80), secure, HttpProxy.for_url(base_url))

    @property
    def origin(self) -> tuple[bool, str, int, HttpProxy | None]:
        """What connections are shared by."""
        return self.secure, self.host, self.port, self.proxy

    @property
    def shown(self) -> str:
        """For errors."""
        return f"{self.host}:{self.port}" if self.url.port else self.host

    async def dial(self) -> HttpConnection:
        """Open a connection. Takes as long as it takes: the caller bounds it.

        Raises:
            WireClosed: there was no way.
        """
        try:
            if self.proxy is None:
                return await self._dial_directly()
            if self.secure:
                return await self.proxy.tunnel(self.host, self.port, self.shown)
            return await self.proxy.dial(self.shown)
        except (OSError, UnicodeError) as error:
            lost = Closed(by="nobody", problem="no_such_host" if isinstance(error, UnicodeError) else "reset")
            raise WireClosed(connection_problem(error, self.shown) or replace(lost, reason=self.shown)) from None

    @property
    def _is_number(self) -> bool:
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True

    async def _dial_directly(self) -> HttpConnection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: HttpConnection(self.shown),
            self.host,
            self.port,
            ssl=tls_context() if self.secure else None,
            # For names alone: asyncio may lose a socket where such a race is cancelled.
            happy_eyeballs_delay=None if self._is_number else _NEXT_ADDRESS_S,
        )
        return connection
