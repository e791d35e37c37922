"""The voice's seat: one voice, or several of which each takes over from the one before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from voicebridge.audio.converter import Converter
from voicebridge.contract.stages import Flush, Speech, TextToSpeech, TextToSpeechTraits, Usage
from voicebridge.core.clauses import ClauseSplitter
from voicebridge.core.speech_cover import SpeechCover, from_letter, letters, uncovered

from .kept_stream import KeptStream
from .lineup import Lineup, Watch
from .stage_fault import closing, own_cancellation

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["FallbackVoice"]

_SHOWN_CHARACTERS = 40


class FallbackVoice:
    """The voices of a seat as one `TextToSpeech`. Its traits, such as its format, are those of the first.

    When one breaks off, the next goes on with the first word that was not spoken yet. Which one that is, the times of
    the words say; without them it is estimated, rather too far than too near: a word may be missing, none is repeated.
    """

    def __init__(self, lineup: Lineup[TextToSpeech]) -> None:
        self._lineup = lineup

    @property
    def traits(self) -> TextToSpeechTraits:
        """Those of the first voice."""
        return self._lineup.first.traits

    def configure(self, config: SessionConfig) -> None:
        """Nothing: each voice has settings of its own."""

    async def warm(self) -> None:
        """See `Lineup.warm`."""
        await self._lineup.warm()

    async def get_ready(self) -> None:
        """See `Lineup.get_ready`."""
        await self._lineup.get_ready()

    async def aclose(self) -> None:
        """Close all voices."""
        await self._lineup.aclose()

    async def speak(self, text: AsyncIterable[str | Flush]) -> AsyncIterator[Speech | Usage]:
        """Speak, with whom it takes.

        Raises:
            Exception: what the last of them raised.
        """
        lineup, work = self._lineup, self._lineup.begin()
        assert work is not None
        script, telling = _Script(text, counts=lineup.several), _Telling(counts=lineup.several)
        try:
            while True:
                try:
                    voice, watch = await lineup.at(work), lineup.watch(work)
                    feed = script.rest(telling.cover, watch, takes=(self.traits.takes, voice.traits.takes))
                    convert = Converter(voice.traits.format, self.traits.format)
                    async with closing(voice.speak(feed)) as outputs:
                        async for output in watch.each(outputs):
                            if isinstance(output, Speech):
                                yield telling.of(output, convert, voice.traits.format.ms(len(output.pcm)))
                                script.spoken(telling.cover, watch, sound=bool(output.pcm))
                            else:
                                yield lineup.usage(work, output) if isinstance(output, Usage) else output
                    if lineup.several and not script.ended:
                        raise RuntimeError("it stopped speaking")
                    if lineup.several and script.lacks(telling.cover):
                        raise RuntimeError("it left words out")
                    if tail := convert.flush():
                        yield Speech(tail)
                    work.done()
                    return
                except (Exception, asyncio.CancelledError) as error:
                    if own_cancellation(error):
                        raise
                    await lineup.after(work, error, begun=telling.begun, what=telling.broke_off(script.given))
        finally:
            await script.aclose()


class _Telling:
    """What is passed on of the voices: each word of the text is told once, whoever speaks it.

    Args:
        counts: somebody may have to go on. Else nothing is counted.
    """

    def __init__(self, *, counts: bool) -> None:
        self._counts = counts
        self.cover = SpeechCover()
        self.begun = False
        self._told = 0
        """Letters that were told already, and that the next voice speaks."""

    def of(self, speech: Speech, convert: Converter, ms: float) -> Speech:
        """A piece of speech, as it is passed on."""
        self.begun = self.begun or bool(speech.pcm)
        if not self._counts:
            return speech
        self.cover.add(speech.text, ms, speech.words)
        text = speech.text
        if self._told and text:
            has = letters(text)
            text = from_letter(text, self._told) if has > self._told else ""
            self._told = max(0, self._told - has)
        if text is speech.text and convert.passes(speech.pcm):
            return speech
        return replace(speech, pcm=convert.convert(speech.pcm), text=text)

    def broke_off(self, given: str) -> str:
        """A voice has broken off. Says, for people, with which words of it another one goes on.

        Args:
            given: the text that it was given.
        """
        rest = self.cover.broke_off(given)
        self._told += letters(rest)
        return f"It goes on with {rest.strip()[:_SHOWN_CHARACTERS]!r}." if self.begun and rest.strip() else ""


class _Script:
    """The text that is to be spoken. It is kept, for voices that have to go on with it.

    Args:
        counts: somebody may have to go on in the middle of it.
    """

    def __init__(self, text: AsyncIterable[str | Flush], *, counts: bool) -> None:
        self._text, self._counts = KeptStream(text), counts
        self._pieces: list[str | Flush] = []
        self._letters = 0
        """In all pieces so far."""
        self._due = 0
        """Letters that the voice can't but speak now: to the end of a clause."""
        self._asks = self._sounded = False
        """The voice asks for its next piece; it gave sound since it got the last one."""
        self.given = ""
        """What the voice that speaks now was given."""

    @property
    def ended(self) -> bool:
        """Whether all of it has been read."""
        return self._text.ended

    async def rest(
        self,
        cover: SpeechCover,
        watch: Watch,
        *,
        takes: tuple[Literal["tokens", "clauses"], Literal["tokens", "clauses"]],
    ) -> AsyncIterator[str | Flush]:
        """What was not spoken yet, and what follows.

        Args:
            takes: in what form the text comes, and in what form it is wanted.
        """
        cut = _Cut(*takes)
        self._due, self._sounded, self.given = cover.covered, False, ""
        for piece in uncovered(self._pieces, cover.covered):
            for given in cut.feed(piece):
                self._given(given, cover, watch, clause=takes[1] == "clauses")
                yield given
        self._waits(cover, watch)
        async for piece in self._text:
            self._pieces.append(piece)
            if self._counts and isinstance(piece, str):
                self._letters += letters(piece)
            for given in cut.feed(piece):
                self._given(given, cover, watch, clause=takes[1] == "clauses")
                yield given
            self._waits(cover, watch)
        for given in cut.end():
            self._given(given, cover, watch, clause=True)
            yield given
        self._asks = False
        watch.start()

    def _given(self, piece: str | Flush, cover: SpeechCover, watch: Watch, *, clause: bool) -> None:
        """The voice's time runs while it owes the words of a clause, and at the end of the text."""
        self._asks = False
        if isinstance(piece, str) and self._counts:
            self._sounded = False
            self.given += piece
        if isinstance(piece, Flush) or clause:
            self._due = self._letters
            if self._due > cover.covered and not watch.running:
                watch.start()

    def spoken(self, cover: SpeechCover, watch: Watch, *, sound: bool) -> None:
        """The voice has given something."""
        self._sounded = self._sounded or sound
        if sound and (self.ended or not self._asks or self._owes(cover)):
            watch.start()
        elif sound:
            watch.stop()

    def lacks(self, cover: SpeechCover) -> bool:
        """Whether a voice that has ended well left words out."""
        if cover.tells:
            return cover.covered < self._letters
        return letters(self.given) > 0 and not cover.sounds

    def _waits(self, cover: SpeechCover, watch: Watch) -> None:
        """The voice asks for its next piece: until then it had something to do."""
        self._asks = True
        if not self._owes(cover):
            watch.stop()

    def _owes(self, cover: SpeechCover) -> bool:
        """Whether it lacks words of a clause. Of a voice that doesn't tell its text, it is known by the sound."""
        return self._due > cover.covered and (cover.tells or not self._sounded)

    async def aclose(self) -> None:
        """Read no more."""
        await self._text.aclose()


class _Cut:
    """Text in the form that one voice takes, for a voice that takes another."""

    def __init__(self, comes: Literal["tokens", "clauses"], wanted: Literal["tokens", "clauses"]) -> None:
        self._splitter = ClauseSplitter() if (comes, wanted) == ("tokens", "clauses") else None
        self._flushes = (comes, wanted) == ("clauses", "tokens")

    def feed(self, piece: str | Flush) -> list[str | Flush]:
        if self._splitter is not None:
            return [] if isinstance(piece, Flush) else list(self._splitter.feed(piece))
        return [piece, Flush()] if self._flushes else [piece]

    def end(self) -> list[str | Flush]:
        rest = self._splitter.flush() if self._splitter is not None else ""
        return [rest] if rest.strip() else []
