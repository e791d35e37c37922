"""A voice over a vendor's HTTP API: a request for each clause."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Flush, Speech, TextToSpeechTraits, Usage

from .body import Body
from .current_requests import CurrentRequests
from .http import HttpApi, HttpCall

__all__ = ["ClauseRequests", "ClauseVoice", "no_sound"]


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
        self._requests = CurrentRequests(make)

    def configure(self, config: SessionConfig) -> None:
        """See `Stage.configure`. What changes holds from the next clause on."""
        self._requests.configure(config)

    async def warm(self) -> None:
        """See `Stage.warm`. A key that is refused shows here, where the requests can check it."""
        await self._requests.warm()

    async def get_ready(self) -> None:
        """See `GetsReady`."""
        await self._requests.get_ready()

    async def speak(self, text: AsyncIterable[str | Flush]) -> AsyncGenerator[Speech | Usage]:
        """See `TextToSpeech.speak`.

        Raises:
            VoiceBridgeError: the vendor failed; what came before is what was spoken.
        """
        await self._requests.get_ready()
        async for clause in text:
            if isinstance(clause, Flush):
                continue
            if not any(char.isalnum() for char in clause):
                yield Speech(b"", clause)  # it can't be pronounced
                continue
            async with aclosing(self._clause(clause)) as outputs:
                async for output in outputs:
                    yield output

    async def aclose(self) -> None:
        """See `Stage.aclose`."""
        await self._requests.aclose()

    async def _clause(self, clause: str) -> AsyncGenerator[Speech | Usage]:
        covered, sounded = clause, False
        with self._requests.used() as requests:
            call = await requests.call(clause.strip())
            async with aclosing(requests.api.ask(call, requests.body())) as pieces:
                async for pcm in pieces:
                    if pcm:
                        yield Speech(pcm, covered)
                        covered, sounded = "", True
            yield requests.usage(clause.strip())
        if not sounded:
            raise VoiceBridgeError(no_sound(clause))


def no_sound(clause: str) -> Fault:
    """The vendor answered a clause that can be pronounced, and sent no audio."""
    shown = clause.strip()[:60]
    return Fault(
        category="protocol",
        code="no_audio",
        message=f"The voice made no sound of {shown!r}. Check that it speaks this language.",
    )
