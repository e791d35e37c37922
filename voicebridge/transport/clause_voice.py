"""A voice over a vendor's HTTP API: a request for each clause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.stages import Flush, Speech, TextToSpeechTraits, Usage

from .body import Body
from .http import HttpApi, HttpCall

__all__ = ["ClauseRequests", "ClauseVoice"]


class ClauseRequests(Protocol):
    """One vendor's requests, with one choice of settings. Pure but for `call`, which may have to fetch a token."""

    @property
    def api(self) -> HttpApi:
        """Where they go. Made with the object, closed by the stage."""

    async def call(self, clause: str) -> HttpCall:
        """The request that speaks a clause."""

    def body(self) -> Body[bytes]:
        """Reads the answer to it: whole samples in the format of the stage's traits."""

    def usage(self, clause: str) -> Usage:
        """What it costs."""


class ClauseVoice:
    """Is a `TextToSpeech` that takes clauses and knows no times of words.

    Args:
        make: makes the requests of a config. Raises `ConfigError` where a setting does not fit.
        traits: of the stage.
    """

    def __init__(self, make: Callable[[SessionConfig], ClauseRequests], traits: TextToSpeechTraits) -> None:
        self.traits = replace(traits, takes="clauses", alignment="none")
        self._make = make
        self._requests: ClauseRequests | None = None
        self._left: list[HttpApi] = []
        """Of earlier settings, which may still be at work."""

    def configure(self, config: SessionConfig) -> None:
        """See `Stage.configure`."""
        requests = self._make(config)
        if self._requests is not None:
            self._left.append(self._requests.api)
        self._requests = requests

    async def warm(self) -> None:
        """See `Stage.warm`."""
        await self._configured().api.get_ready()

    async def get_ready(self) -> None:
        """See `GetsReady`."""
        await self._leave()
        await self._configured().api.get_ready()

    async def speak(self, text: AsyncIterable[str | Flush]) -> AsyncGenerator[Speech | Usage]:
        """See `TextToSpeech.speak`.

        Raises:
            VoiceBridgeError: the vendor failed; what came before is what was spoken.
        """
        await self._configured().api.get_ready()
        async for clause in text:
            if isinstance(clause, Flush):
                continue
            if not any(char.isalnum() for char in clause):
                yield Speech(b"", clause)  # it can't be pronounced
                continue
            async with aclosing(self._clause(clause)) as outputs:
                async for output in outputs:
                    yield output

    async def _clause(self, clause: str) -> AsyncGenerator[Speech | Usage]:
        requests, covered = self._configured(), clause
        call = await requests.call(clause.strip())
        async with aclosing(requests.api.ask(call, requests.body())) as pieces:
            async for pcm in pieces:
                yield Speech(pcm, covered)
                covered = ""
        yield requests.usage(clause.strip())

    async def aclose(self) -> None:
        """See `Stage.aclose`."""
        if self._requests is not None:
            self._left.append(self._requests.api)
            self._requests = None
        await self._leave()

    def _configured(self) -> ClauseRequests:
        if self._requests is None:
            self.configure(SessionConfig())
            assert self._requests is not None
        return self._requests

    async def _leave(self) -> None:
        left, self._left = self._left, []
        await asyncio.gather(*(api.aclose() for api in left))
