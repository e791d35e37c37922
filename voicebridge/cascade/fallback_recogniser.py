"""The recogniser's seat: one recogniser, or several of which each takes over from the one before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.stages import Mark, SpeechToText, SpeechToTextTraits, Transcript, TurnSignal, Usage
from voicebridge.core.stage_order import Work

from .kept_stream import KeptStream
from .lineup import Lineup, Watch, now
from .pipe import Pipe
from .stage_fault import closing, own_cancellation

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["FallbackRecogniser"]

_KEPT_MS = 30_000
"""The longest utterance that is heard a second time."""


class FallbackRecogniser:
    """The recognisers of a seat as one `SpeechToText`. Its traits are those of the first, but for those below.

    When one fails, the next one hears the utterance since the last fresh mark, with the marks that were not answered.
    One that is preferred and well again hears from the next utterance on.
    """

    def __init__(self, lineup: Lineup[SpeechToText]) -> None:
        self._lineup = lineup
        all_traits = [recogniser.traits for recogniser in lineup.stages]
        self.traits: SpeechToTextTraits = replace(
            all_traits[0],
            turns="own" if all(traits.turns == "own" for traits in all_traits) else "none",
            recheck="paid" if any(traits.recheck == "paid" for traits in all_traits) else "free",
        )

    def configure(self, config: SessionConfig) -> None:
        """Nothing: each recogniser has settings of its own."""

    async def warm(self) -> None:
        """See `Lineup.warm`."""
        await self._lineup.warm()

    async def get_ready(self) -> None:
        """See `Lineup.get_ready`."""
        await self._lineup.get_ready()

    async def aclose(self) -> None:
        """Close all recognisers."""
        await self._lineup.aclose()

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncIterator[Transcript | TurnSignal | Usage]:
        """Listen, with whom it takes.

        Raises:
            Exception: what the last of them raised.
        """
        lineup, work = self._lineup, self._lineup.begin()
        assert work is not None
        hearing = _Hearing(audio, self.traits.format)
        try:
            while True:
                try:
                    recogniser, watch = await lineup.at(work), lineup.watch(work)
                    hearing.begins(watch)
                    feed = hearing.rest(recogniser.traits.format, lineup, work)
                    offset_ms = hearing.offset_ms
                    async with closing(recogniser.listen(feed)) as outputs:
                        async for output in watch.each(outputs):
                            if isinstance(output, Transcript) and output.final and output.mark is not None:
                                hearing.answered(output.mark, watch)
                                work.renew(now())
                            elif isinstance(output, TurnSignal) and offset_ms:
                                output = replace(output, audio_ms=output.audio_ms + offset_ms)
                            yield lineup.usage(work, output) if isinstance(output, Usage) else output
                    if hearing.ended:
                        return
                    if not hearing.leaves:
                        raise RuntimeError("it stopped listening")
                    work = lineup.begin() or work
                except (Exception, asyncio.CancelledError) as error:
                    if own_cancellation(error):
                        raise
                    work.asked(hearing.asked_at or now())
                    await lineup.after(work, error, begun=False)
        finally:
            await hearing.aclose()


class _Hearing:
    """The audio, and what of it would have to be heard again."""

    def __init__(self, audio: AsyncIterable[bytes | Mark], format: AudioFormat) -> None:
        self._audio, self._format = KeptStream(audio), format
        self._kept: list[bytes | Mark] = []
        """Since the last fresh mark of which all is answered."""
        self._kept_bytes = self._dropped_bytes = 0
        self._limit = format.size(_KEPT_MS)
        self._asked: dict[int, float] = {}
        """Marks without an answer, and when they were put."""
        self._watch: Watch | None = None
        self._begins = False
        """All was answered up to a fresh mark: what is kept begins an utterance, and nothing of it is owed."""
        self._run = 0
        self._next: list[bytes | Mark] = []
        """Read, but left to the next recogniser."""
        self.leaves = False
        """The recogniser is left for a better one, without having failed."""
        if isinstance(audio, Pipe):
            audio.tell_asked(self._put)

    @property
    def ended(self) -> bool:
        """All audio has been heard."""
        return self._audio.ended and not self._next

    @property
    def offset_ms(self) -> float:
        """Milliseconds from the first sample of all to the first one that a recogniser hears which begins now."""
        return self._format.ms(self._dropped_bytes)

    @property
    def asked_at(self) -> float | None:
        """Since when an answer is awaited."""
        return min(self._asked.values(), default=None)

    def begins(self, watch: Watch) -> None:
        """A recogniser begins: its time runs if an answer is awaited, whether or not it reads."""
        self._watch = watch
        if self._asked:
            watch.start()

    def _put(self, mark: int) -> None:
        """An answer is awaited. The mark may not have been read yet."""
        self._asked.setdefault(mark, now())
        if self._watch is not None and not self._watch.running:
            self._watch.start()

    async def rest(self, format: AudioFormat, lineup: Lineup[SpeechToText], work: Work) -> AsyncIterator[bytes | Mark]:
        """What has to be heard again, and what follows; in that format."""
        convert = None if format == self._format else Converter(self._format, format)
        self.leaves = False
        self._run += 1
        run = self._run
        for piece in [piece for piece in self._kept if isinstance(piece, bytes) or self._counts(piece)]:
            yield convert.convert(piece) if convert and isinstance(piece, bytes) else piece
        while run == self._run:  # one that was left may still read on in a task of its own
            if self._next:
                piece = self._next.pop()
            else:
                try:
                    piece = await anext(self._audio)
                except StopAsyncIteration:
                    return
            begins, self._begins = self._begins or not self._kept, False
            if lineup.several and begins and lineup.better_than(work.stage):
                self._next.append(piece)
                self.leaves = True
                return
            self._keep(piece)
            yield convert.convert(piece) if convert and isinstance(piece, bytes) else piece

    def _counts(self, mark: Mark) -> bool:
        return mark.fresh or mark.n in self._asked

    def _keep(self, piece: bytes | Mark) -> None:
        self._kept.append(piece)
        if isinstance(piece, Mark):
            if piece.wanted:
                self._put(piece.n)
            self._forget()
            return
        self._kept_bytes += len(piece)
        while self._kept_bytes > self._limit:
            oldest = next(at for at, kept in enumerate(self._kept) if isinstance(kept, bytes))
            size = len(self._kept.pop(oldest))  # type: ignore[arg-type]  # it is bytes
            self._kept_bytes -= size
            self._dropped_bytes += size

    def answered(self, mark: int, watch: Watch) -> None:
        """The text of a mark came. Those before it are passed over."""
        self._asked = {n: at for n, at in self._asked.items() if n > mark}
        self._begins = self._forget() and not self._asked
        if self._asked:
            watch.start()
        else:
            watch.stop()

    def _forget(self) -> bool:
        """What lies before a fresh mark is not needed once all that was asked about it is answered. Whether any was."""
        first = min(self._asked, default=None)
        done = [
            at
            for at, piece in enumerate(self._kept)
            if isinstance(piece, Mark) and piece.fresh and (first is None or piece.n < first)
        ]
        if done:
            size = sum(len(piece) for piece in self._kept[: done[-1]] if isinstance(piece, bytes))
            del self._kept[: done[-1] + 1]
            self._kept_bytes -= size
            self._dropped_bytes += size
        return bool(done)

    async def aclose(self) -> None:
        """Read no more."""
        await self._audio.aclose()
