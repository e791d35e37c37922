"""Speech to text by a model that wants whole utterances, made to keep up with a user who speaks.

While the user speaks, what was said so far is transcribed now and then: for captions, and because most of the work for
the final text is then done. A mark stops such a run at once. If nothing but silence came since the last run, a mark is
answered from it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from voicebridge.contract.errors import ConfigError
from voicebridge.contract.stages import Mark, SpeechToTextTraits, Transcript, Usage

from .utterance import RATE, Span, Utterance
from .weights import Weights
from .worker import Stop, Worker

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["Decoded", "Hints", "Model", "Recogniser"]

_INTERIM_AFTER = RATE // 2
"""New samples after which what was said so far is transcribed."""
_INTERIM_SHARE = 5
"""An interim transcript may take one part in so many of the time it covers."""
_LONGEST = 20 * RATE
"""Samples that are transcribed at once. A longer utterance is cut in its quietest place."""
_MOST_HELD = 2 * _LONGEST
_MOST_JOBS = 8


@dataclass(frozen=True, slots=True)
class Hints:
    """What is known of the speech beforehand."""

    language: str | None = None
    """The first part of its BCP 47 tag."""
    keywords: tuple[str, ...] = ()
    """Words that are likely."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a model made of a piece of audio."""

    text: str
    tokens: tuple[int, ...] = ()
    """What it wrote: a draft for the next run."""
    complete: bool = True
    """False: it went on writing without an end, which means that it repeated itself."""


class Model(Protocol):
    """Transcribes a whole utterance. Runs in a thread."""

    def transcribe(self, samples: NDArray[np.float32], draft: tuple[int, ...], stop: Stop, hints: Hints) -> Decoded:
        """What is said in `samples`: -1 to 1, mono at 16 kHz.

        Args:
            draft: tokens that it is thought to begin with. They save time, where the model can use them.
            stop: when set, the result is of no use any more.
        """


class Recogniser:
    """A `SpeechToText` stage over a `Model`.

    Args:
        interim: transcribe while the user speaks.
        languages: those it knows, as the first part of BCP 47 tags; empty: any.
    """

    def __init__(
        self, weights: Weights[Any], worker: Worker, *, interim: bool, languages: frozenset[str] = frozenset()
    ) -> None:
        self._weights, self._worker, self._languages = weights, worker, languages
        self._traits = SpeechToTextTraits(interim=interim)
        self._hints = Hints()

    @property
    def traits(self) -> SpeechToTextTraits:
        """How it works."""
        return self._traits

    def configure(self, config: SessionConfig) -> None:
        """Take the language and the words to expect.

        Raises:
            ConfigError: it does not know the language.
        """
        language = (config.language or "").partition("-")[0].lower()
        keywords = config.transcription.keywords if config.transcription else ()
        self._hints = Hints(language or None, keywords)
        if language and self._languages and language not in self._languages:
            raise ConfigError(
                f"{self._weights.name} understands only {', '.join(sorted(self._languages))}, not {config.language!r}.",
                code="unknown_language",
            )

    async def warm(self) -> None:
        """Load the model.

        Raises:
            MissingExtra: its packages are not installed.
        """
        await self._weights.get()

    async def aclose(self) -> None:
        """Nothing to do: the model stays for other sessions."""

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncIterator[Transcript | Usage]:
        """Transcribe PCM16 at 16 kHz until it ends. See `SpeechToText.listen`."""
        model: Model = await self._weights.get()

        async def decode(samples: NDArray[np.float32], draft: tuple[int, ...], *, urgent: bool = True) -> Decoded:
            hints = self._hints
            return await self._worker.run(lambda stop: model.transcribe(samples, draft, stop, hints), urgent=urgent)

        listening = _Listening(decode, interim=self._traits.interim)
        running = asyncio.create_task(listening.run(audio), name="recogniser")
        running.add_done_callback(lambda _: listening.outputs.put_nowait(None))
        try:
            while (output := await listening.outputs.get()) is not None:
                yield output
            await running
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, Exception):  # raised above, or of no more interest
                await running


class _Decode(Protocol):
    """Runs the model in its thread."""

    async def __call__(
        self, samples: NDArray[np.float32], draft: tuple[int, ...], *, urgent: bool = True
    ) -> Decoded: ...


@dataclass(slots=True)
class _Piece:
    """An utterance, and what is known of it."""

    audio: Utterance
    done: list[str]
    """The text of what was cut off its beginning already."""
    tried: int = 0
    """The sample up to which the last interim run looked."""
    span: Span | None = None
    decoded: Decoded | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A mark, and what it asks about."""

    piece: _Piece
    mark: Mark
    end: int
    """The sample of the piece up to which it asks."""
    used: int
    """Samples heard, to be reported with the answer."""


class _Listening:
    """One stream of audio being transcribed."""

    def __init__(self, decode: _Decode, *, interim: bool) -> None:
        self._run_model, self._interim_wanted = decode, interim
        self.outputs: asyncio.Queue[Transcript | Usage | None] = asyncio.Queue()
        self._piece = _Piece(Utterance(), [])
        self._marks: deque[_Asked] = deque()
        self._interim: asyncio.Task[None] | None = None
        self._wait_samples = _INTERIM_AFTER
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._unreported = 0

    async def run(self, audio: AsyncIterable[bytes | Mark]) -> None:
        """Take the audio to its end, and answer the marks."""
        writer = asyncio.create_task(self._write(), name="recogniser: text")
        reader = asyncio.create_task(self._take(audio), name="recogniser: audio")
        try:
            await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not reader.exception():
                await self._all_answered(writer)
            for task in (writer, reader):
                if task.done():
                    await task  # raises what it raised
        finally:
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)

    async def _all_answered(self, writer: asyncio.Task[None]) -> None:
        while self._marks and not writer.done():
            self._room.clear()
            freed = asyncio.create_task(self._room.wait())
            await asyncio.wait({writer, freed}, return_when=asyncio.FIRST_COMPLETED)
            freed.cancel()

    async def _take(self, audio: AsyncIterable[bytes | Mark]) -> None:
        async for piece in audio:
            if isinstance(piece, Mark):
                self._take_mark(piece)
            else:
                self._piece.audio.add(piece)
            self._news.set()
            while self._held > _MOST_HELD or len(self._marks) > _MOST_JOBS:
                self._room.clear()
                await self._room.wait()

    @property
    def _held(self) -> int:
        return self._piece.audio.end - self._piece.audio.begin

    def _take_mark(self, mark: Mark) -> None:
        end = self._piece.audio.end
        if mark.fresh:
            self._unreported += end
        if mark.wanted:
            used, self._unreported = (self._unreported, 0) if mark.fresh else (0, self._unreported)
            self._marks.append(_Asked(self._piece, mark, end, used))
        if mark.fresh:
            self._piece = _Piece(Utterance(), [])
        if self._interim is not None:
            self._interim.cancel()

    async def _write(self) -> None:
        while True:
            if self._marks:
                await self._answer(self._marks[0])
                self._marks.popleft()
            elif self._held > _LONGEST:
                await self._shorten(self._piece, self._piece.audio.end)
            elif (span := self._due()) is not None:
                await self._try(span)
            else:
                self._news.clear()
                await self._news.wait()
            self._room.set()

    async def _answer(self, asked: _Asked) -> None:
        """Tell the final text of an utterance up to a mark."""
        piece = asked.piece
        await self._shorten(piece, asked.end)
        span = piece.audio.speech(asked.end)
        if span is None:
            text = ""
        elif piece.span is not None and piece.decoded and piece.span.says_all_of(span):
            text = piece.decoded.text
        else:
            text = (await self._decode(piece, span, urgent=True)).text
        if asked.used:
            self.outputs.put_nowait(Usage({"audio_s": asked.used / RATE}))
        said = " ".join(filter(None, (*piece.done, text)))
        self.outputs.put_nowait(Transcript(said, final=True, mark=asked.mark.n))

    async def _shorten(self, piece: _Piece, end: int) -> None:
        """Cut off and transcribe the beginning of an utterance until the rest, up to a sample, is short enough."""
        audio = piece.audio
        while end - audio.begin > _LONGEST:
            cut = audio.quietest(audio.begin + _LONGEST // 2, audio.begin + _LONGEST)
            span = audio.speech(cut)
            if span is not None and (text := (await self._decode(piece, span, urgent=True)).text):
                piece.done.append(text)
            audio.forget(cut)
            piece.span = piece.decoded = None

    def _due(self) -> Span | None:
        """The speech that an interim run should look at, if it is time for one."""
        audio = self._piece.audio
        if not self._interim_wanted or audio.end - self._piece.tried < self._wait_samples:
            return None
        span = audio.speech()
        self._piece.tried = audio.end
        if span is None or (self._piece.span is not None and self._piece.span.says_all_of(span)):
            return None
        return span

    async def _try(self, span: Span) -> None:
        piece = self._piece
        self._interim = asyncio.create_task(self._tell_interim(piece, span), name="recogniser: interim")
        try:
            await asyncio.wait({self._interim})
            if not self._interim.cancelled():
                self._interim.result()
        finally:
            self._interim.cancel()
            self._interim = None

    async def _tell_interim(self, piece: _Piece, span: Span) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        decoded = await self._decode(piece, span, urgent=False)
        self._wait_samples = max(_INTERIM_AFTER, int((clock() - began) * RATE * _INTERIM_SHARE))
        said = " ".join(filter(None, (*piece.done, decoded.text)))
        if said and piece is self._piece:
            self.outputs.put_nowait(Transcript(said))

    async def _decode(self, piece: _Piece, span: Span, *, urgent: bool) -> Decoded:
        samples = piece.audio.samples(span.start, span.end)
        draft = piece.decoded.tokens if piece.decoded else ()
        decoded = await self._run_model(samples, draft, urgent=urgent)
        if not decoded.complete and urgent:
            # It began to repeat itself. Beginning 80 ms later is mostly enough to bring it out of that.
            decoded = await self._run_model(samples[RATE * 80 // 1000 :], ())
        piece.span, piece.decoded = span, decoded if decoded.complete else None
        return decoded
