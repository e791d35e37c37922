"""A recogniser over a vendor's HTTP API: each utterance is sent whole, at its mark."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from typing import Protocol

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.stages import PCM_16K, Mark, SpeechToTextTraits, Transcript, Usage

from .body import Body
from .http import HttpApi, HttpCall

__all__ = ["UploadRecogniser", "Uploads"]

_SHORTEST_MS = 100
"""What is shorter holds no word, and some vendors refuse it."""


class Uploads(Protocol):
    """One vendor's requests, with one choice of settings. Pure but for `call`, which may have to fetch a token."""

    @property
    def api(self) -> HttpApi:
        """Where they go. Made with the object, closed by the stage."""

    async def call(self, pcm: bytes) -> HttpCall:
        """The request that sends an utterance."""

    def body(self, pcm: bytes, mark: int) -> Body[Transcript | Usage]:
        """Reads the answer to it: one final transcript for the mark, and what was used."""


class UploadRecogniser:
    """Is a `SpeechToText`: PCM16 at 16 kHz is collected, and every mark costs a request.

    Args:
        make: makes the requests of a config. Raises `ConfigError` where a setting does not fit.
        traits: of the stage.
    """

    def __init__(self, make: Callable[[SessionConfig], Uploads], traits: SpeechToTextTraits) -> None:
        self.traits = traits
        self._make = make
        self._uploads: Uploads | None = None
        self._left: list[HttpApi] = []
        """Of earlier settings, which may still be at work."""

    def configure(self, config: SessionConfig) -> None:
        """See `Stage.configure`."""
        uploads = self._make(config)
        if self._uploads is not None:
            self._left.append(self._uploads.api)
        self._uploads = uploads

    async def warm(self) -> None:
        """See `Stage.warm`."""
        await self._configured().api.get_ready()

    async def get_ready(self) -> None:
        """See `GetsReady`."""
        await self._leave()
        await self._configured().api.get_ready()

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncGenerator[Transcript | Usage]:
        """See `SpeechToText.listen`.

        Raises:
            VoiceBridgeError: the vendor failed.
        """
        utterance = bytearray()
        async for piece in audio:
            if isinstance(piece, bytes):
                utterance += piece
                continue
            if piece.wanted and len(utterance) < PCM_16K.size(_SHORTEST_MS):
                yield Transcript("", final=True, mark=piece.n)
            elif piece.wanted:
                async with aclosing(self._upload(bytes(utterance), piece.n)) as outputs:
                    async for output in outputs:
                        yield output
            if piece.fresh:
                utterance.clear()

    async def _upload(self, pcm: bytes, mark: int) -> AsyncGenerator[Transcript | Usage]:
        uploads = self._configured()
        async with aclosing(uploads.api.ask(await uploads.call(pcm), uploads.body(pcm, mark))) as outputs:
            async for output in outputs:
                yield output

    async def aclose(self) -> None:
        """See `Stage.aclose`."""
        if self._uploads is not None:
            self._left.append(self._uploads.api)
            self._uploads = None
        await self._leave()

    def _configured(self) -> Uploads:
        if self._uploads is None:
            self.configure(SessionConfig())
            assert self._uploads is not None
        return self._uploads

    async def _leave(self) -> None:
        left, self._left = self._left, []
        await asyncio.gather(*(api.aclose() for api in left))
