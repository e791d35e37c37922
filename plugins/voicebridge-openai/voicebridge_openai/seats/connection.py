"""One stage's way to its server: the address, the key, and what a failure means there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.transport.api_key import api_key
from voicebridge.transport.body import Body
from voicebridge.transport.http import HttpApi, HttpCall, HttpTimeouts

from .http_errors import explained, not_running
from .options import RequestOptions
from .servers import Server

__all__ = ["Connection", "api_url"]

T = TypeVar("T")
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_ENDPOINTS = ("/chat/completions", "/responses", "/audio/transcriptions", "/audio/speech", "/inference")
_PROBE = HttpCall(path="/models", method="GET")
_PROBE_S = 5.0
_LOADING_S = 110.0
"""A model of many gigabytes comes from the disk first."""


def api_url(server: Server, base_url: str | None) -> str:
    """The address that the paths of requests are appended to.

    Args:
        base_url: a host (`http://me.example:8000`), its API (`.../v1`), or the very address of a request.

    Raises:
        ConfigError: there is none, or it is no address, or it holds a secret.
    """
    given = (base_url or server.url).strip()
    if not given:
        raise ConfigError(f"{server.name} needs to know its server: pass base_url=...", code="missing_base_url")
    try:
        parts = urlsplit(given)
        fits = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # an address in brackets that is none, a port that is none
        fits = False
    if not fits or any(not character.isprintable() or character.isspace() for character in given):
        raise ConfigError("base_url must look like https://host/v1.", code="bad_base_url")
    if parts.username or parts.password or parse_qsl(parts.query):
        raise ConfigError(
            "base_url may hold a secret: pass it as api_key, which is sent as a header.", code="bad_base_url"
        )
    path = parts.path.rstrip("/")
    for endpoint in _ENDPOINTS:
        path = path.removesuffix(endpoint)
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path or server.path, "", ""))


class _Ignored(Body[Any]):
    """An answer of which only matters that it came."""

    def feed(self, data: bytes) -> Iterable[Any]:
        return ()

    def end(self) -> Iterable[Any]:
        return ()


class Connection:
    """A stage's `HttpApi`, made anew when the settings that it hangs on change.

    Args:
        model: as the server names it, for errors.
    """

    def __init__(self, server: Server, model: str) -> None:
        self._server, self._model = server, model
        self._api: HttpApi | None = None
        self._made_with: tuple[str, dict[str, str], HttpTimeouts] | None = None
        self._old: list[HttpApi] = []
        """Those of earlier settings: what they are asked ends in peace."""
        self._at_work: Counter[HttpApi] = Counter()
        self._opening: set[asyncio.Task[None]] = set()
        self._closed = False
        self.url = ""
        """Where it goes."""

    def configure(self, config: SessionConfig, options: RequestOptions) -> None:
        """Take the settings.

        Raises:
            ConfigError: no server, no key, or one that can't be sent.
        """
        url, server = api_url(self._server, config.base_url), self._server
        given = config.api_key is not None and config.api_key.get_secret_value()
        key = ""
        if server.key_variable or given:
            key = api_key(config, server.key_variable, vendor=server.maker, base_url=url)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        named = {"OpenAI-Organization": options.organization, "OpenAI-Project": options.project}
        headers |= {name: value for name, value in named.items() if value is not None}
        made_with = (url, headers, options.timeouts(server.first_output_s))
        if made_with == self._made_with:
            return
        if self._api is not None:
            self._old.append(self._api)
        self._made_with, self.url = made_with, url
        self._api = self._opened(made_with[2])

    def _opened(self, timeouts: HttpTimeouts) -> HttpApi:
        assert self._made_with is not None, "configure comes first"
        url, headers, _ = self._made_with
        explain = partial(explained, self._server, self._model)
        return HttpApi(url, headers=headers, idle_s=self._server.idle_s, timeouts=timeouts, explain=explain)

    async def get_ready(self) -> None:
        """Open a connection, if none waits."""
        await self._close([api for api in self._old if not self._at_work[api]])
        if self._api is not None:
            await self._api.get_ready()

    async def ask(
        self, call: HttpCall, body: Body[T], *, longer_s: float = 0.0, patience: HttpTimeouts | None = None
    ) -> AsyncGenerator[T]:
        """The outputs of a request.

        Args:
            longer_s: seconds that this one may take longer than is usual.
            patience: time-outs in place of the usual ones.

        Raises:
            VoiceBridgeError: it failed, or was refused.
        """
        assert self._api is not None, "configure comes first"
        assert self._made_with is not None
        usual, api = self._made_with[2], self._api
        if longer_s > 0:
            first, total = usual.first_output_s + longer_s, usual.total_s + longer_s
            patience = replace(usual, first_output_s=first, total_s=total)
        own = patience is not None
        if patience is not None:
            api = self._opened(patience)  # the connections are the same
        ended = False
        self._at_work[api] += 1
        try:
            async with aclosing(api.ask(call, body)) as outputs:
                async for output in outputs:
                    yield output
            ended = True
        except VoiceBridgeError as error:
            told = not_running(self._server, self._model, self.url, error.fault)
            if told is error.fault:
                raise
            raise VoiceBridgeError(told) from error
        finally:
            self._at_work[api] -= 1
            if not ended:
                self._open_another()
            if own or (api is not self._api and not self._at_work[api]):
                await self._close([api])

    async def _close(self, apis: Sequence[HttpApi]) -> None:
        self._old = [one for one in self._old if one not in apis]
        for api in apis:
            del self._at_work[api]
            await api.aclose()

    def _open_another(self) -> None:
        """What is broken off costs its connection. What is asked next, perhaps in a moment, finds an open one."""
        if not self._closed:
            opening = asyncio.create_task(self.get_ready(), name=f"{self._server.name}: connection")
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)

    async def warm(self) -> None:
        """Open a connection, and find out what can be known for nothing: that the server is there, and takes the key.

        Raises:
            VoiceBridgeError: it is not, or refuses the key.
        """
        try:
            await self._drain(_PROBE, _Ignored(), HttpTimeouts(first_output_s=_PROBE_S, total_s=_PROBE_S))
        except VoiceBridgeError as error:
            # A server need not have a list of models, nor let every key see it.
            code = error.fault.code
            away = error.category == "network" and not code.startswith("http_")
            if away or code in ("http_401", "no_such_host", "tls"):
                raise

    async def load(self, call: HttpCall, body: Body[Any]) -> None:
        """Make a server of the user's own load its model, by a request that it takes its time for.

        Raises:
            VoiceBridgeError: it does not run, or has not that model.
        """
        await self._drain(call, body, HttpTimeouts(first_output_s=_LOADING_S, total_s=_LOADING_S))

    async def _drain(self, call: HttpCall, body: Body[Any], patience: HttpTimeouts) -> None:
        assert self._made_with is not None, "configure comes first"
        patience = replace(patience, connect_s=self._made_with[2].connect_s)
        await self.get_ready()  # the connection is to outlive the request
        async with aclosing(self.ask(call, body, patience=patience)) as outputs:
            async for _ in outputs:
                pass

    async def aclose(self) -> None:
        """Let go of the connections."""
        self._closed = True
        opening = tuple(self._opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        await self._close([*self._old, *([self._api] if self._api else [])])
