"""A recogniser over a vendor's HTTP API: each utterance is sent whole, at its mark."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.stages import PCM_16K, Mark, SpeechToTextTraits, Transcript, Usage, Word

from .body import Body
from .current_requests import CurrentRequests
from .http import HttpApi, HttpCall
from .upload_cuts import first_part, goes_on

__all__ = ["HeardUpTo", "UploadRecogniser", "Uploads"]

_SHORTEST_MS = 100
"""What is shorter holds no word, and some vendors refuse it."""


@dataclass(frozen=True, slots=True)
class HeardUpTo:
    """The vendor stopped there, at a pause, though there was more. Comes before the transcript."""

    ms: float
    """From the first sample that was sent."""


class Uploads(Protocol):
    """One vendor's requests, with one choice of settings. Pure but for `call`, which may have to fetch a token."""

    @property
    def api(self) -> HttpApi:
        """Where they go. Made with the object, closed by the stage."""

    async def call(self, pcm: bytes) -> HttpCall:
        """The request that sends an utterance."""

    def body(self, pcm: bytes, mark: int) -> Body[Transcript | Usage | HeardUpTo]:
        """Reads the answer to it: one final transcript for the mark, and what was used."""


@dataclass(slots=True)
class _Utterance:
    """Audio since the last fresh mark. Of a long one, the beginning is settled and not sent again."""

    pcm: bytearray = field(default_factory=bytearray)
    """What is not settled."""
    settled: list[Transcript] = field(default_factory=list)
    settled_bytes: int = 0

    def settle(self, size: int, said: Transcript | None) -> None:
        if said is not None:
            self.settled.append(_later(said, PCM_16K.ms(self.settled_bytes)))
        del self.pcm[:size]
        self.settled_bytes += size

    def whole(self, last: Transcript | None, mark: int) -> Transcript:
        parts = [*self.settled, *([_later(last, PCM_16K.ms(self.settled_bytes))] if last else [])]
        return Transcript(
            " ".join(part.text for part in parts if part.text),
            final=True,
            mark=mark,
            words=tuple(word for part in parts for word in part.words),
            language=next((part.language for part in reversed(parts) if part.language), None),
        )


class UploadRecogniser:
    """Is a `SpeechToText`: PCM16 at 16 kHz is collected, and every mark costs a request.

    Args:
        make: makes the requests of a config. Raises `ConfigError` where a setting does not fit.
        traits: of the stage.
        longest_ms: the most that the vendor takes at once; what is longer goes in several requests, cut at pauses.
    """

    def __init__(
        self, make: Callable[[SessionConfig], Uploads], traits: SpeechToTextTraits, *, longest_ms: float = math.inf
    ) -> None:
        self.traits = traits
        self._requests = CurrentRequests(make)
        self._longest_ms = longest_ms

    def configure(self, config: SessionConfig) -> None:
        """See `Stage.configure`."""
        self._requests.configure(config)

    async def warm(self) -> None:
        """See `Stage.warm`. A key that is refused shows here, where the requests can check it."""
        await self._requests.warm()

    async def get_ready(self) -> None:
        """See `GetsReady`."""
        await self._requests.get_ready()

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncGenerator[Transcript | Usage]:
        """See `SpeechToText.listen`.

        Raises:
            VoiceBridgeError: the vendor failed.
        """
        utterance = _Utterance()
        async for piece in audio:
            if isinstance(piece, bytes):
                utterance.pcm += piece
                continue
            if piece.wanted:
                async with aclosing(self._answer(utterance, piece.n)) as outputs:
                    async for output in outputs:
                        yield output
            if piece.fresh:
                utterance = _Utterance()

    async def aclose(self) -> None:
        """See `Stage.aclose`."""
        await self._requests.aclose()

    async def _answer(self, utterance: _Utterance, mark: int) -> AsyncGenerator[Transcript | Usage]:
        """One final transcript, after as many requests as it takes."""
        said: Transcript | None = None
        while len(utterance.pcm) >= PCM_16K.size(_SHORTEST_MS):
            part = bytes(utterance.pcm)
            if math.isfinite(self._longest_ms):
                part = part[: first_part(part, self._longest_ms)]
            heard, said = len(part), None
            async with aclosing(self._upload(part, mark)) as outputs:
                async for output in outputs:
                    if isinstance(output, Usage):
                        yield output
                    elif isinstance(output, HeardUpTo):
                        heard = _worth_sending(part, output.ms)
                    else:
                        said = output
            if heard == len(utterance.pcm):
                break
            utterance.settle(heard, said)
            said = None
        yield utterance.whole(said, mark)

    async def _upload(self, pcm: bytes, mark: int) -> AsyncGenerator[Transcript | Usage | HeardUpTo]:
        with self._requests.used() as uploads:
            async with aclosing(uploads.api.ask(await uploads.call(pcm), uploads.body(pcm, mark))) as outputs:
                async for output in outputs:
                    yield output


def _worth_sending(part: bytes, heard_ms: float) -> int:
    """How many bytes of it are settled: all, unless somebody speaks in the rest."""
    if not 0 < heard_ms < PCM_16K.ms(len(part)):
        return len(part)  # all, or nonsense: without progress it would go round and round
    heard = PCM_16K.size(heard_ms)
    return heard if heard and goes_on(part[heard:], part[:heard]) else len(part)


def _later(said: Transcript, ms: float) -> Transcript:
    words = tuple(Word(word.text, word.start_ms + ms, word.end_ms + ms) for word in said.words)
    return Transcript(said.text, final=True, mark=said.mark, words=words, language=said.language)
