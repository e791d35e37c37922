"""Where an HTTP API is, and how a connection to it is opened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import httpx

from voicebridge.contract.codec import Closed
from voicebridge.contract.errors import ConfigError

from .http_connection import HttpConnection
from .wire import WireClosed, _refusal, _tls

__all__ = ["HttpAddress"]

_SECRETS = frozenset(
    {"access_token", "api-key", "api_key", "apikey", "authorization", "key", "sig", "signature", "token"}
)


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """A base URL that can be used."""

    url: httpx.URL
    host: str
    port: int
    secure: bool

    @classmethod
    def of(cls, base_url: str) -> HttpAddress:
        """Read it.

        Raises:
            ConfigError: it is none, or it holds a secret.
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
        return cls(url, url.raw_host.decode("ascii"), url.port or (443 if secure else 80), secure)

    @property
    def origin(self) -> tuple[bool, str, int]:
        """What connections are shared by."""
        return self.secure, self.host, self.port

    @property
    def shown(self) -> str:
        """For errors."""
        return f"{self.host}:{self.port}" if self.url.port else self.host

    async def dial(self, connect_s: float) -> HttpConnection:
        """Open a connection.

        Raises:
            WireClosed: there was no way, or not in time.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(connect_s):
                _, connection = await loop.create_connection(
                    lambda: HttpConnection(self.shown),
                    self.host,
                    self.port,
                    ssl=_tls() if self.secure else None,
                    happy_eyeballs_delay=0.25,
                )
        except OSError as error:
            raise WireClosed(_network_problem(error, self.shown)) from None
        return connection


def _network_problem(error: OSError, host: str) -> Closed:
    from voicebridge.contract.codec import Endpoint

    return _refusal(error, Endpoint(url=f"ws://{host}"))
