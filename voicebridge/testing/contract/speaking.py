"""What a voice promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, ClassVar

from voicebridge.contract.config import checked
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.stages import Flush, Speech, Usage

from .stage import LONGEST_S, StageContract
from .verdict import expect

__all__ = ["TextToSpeechContract"]


class TextToSpeechContract(StageContract):
    """What a voice promises."""

    seat = "tts"
    wrong_voice: ClassVar[str] = ""
    """A voice that it has not, and knows so. Empty: any name may be one, unless the traits list them."""

    async def said(self, stage: Any, *pieces: str | Flush) -> list[Any]:
        """What comes of such text, to the end."""

        async def text() -> AsyncIterator[str | Flush]:
            for piece in pieces:
                await asyncio.sleep(0)
                yield piece

        async with aclosing(stage.speak(text())) as outputs:
            found = [output async for output in outputs]
        frame = stage.traits.format.frame_bytes
        for output in found:
            expect(isinstance(output, Speech | Usage), f"it gave a {type(output).__name__}")
            if isinstance(output, Speech):
                expect(not len(output.pcm) % frame, f"a piece of {len(output.pcm)} bytes holds half a sample")
        return found

    def cut(self, stage: Any) -> list[str | Flush]:
        """Two sentences as it takes them."""
        if stage.traits.takes == "clauses":
            return ["Hello there.", " How are you today?"]
        return ["Hel", "lo there.", Flush(), " How are", " you", " today?", Flush()]

    async def works(self, stage: Any) -> list[Any]:
        """Speak two sentences."""
        return await self.said(stage, *self.cut(stage))

    def begun(self, stage: Any) -> Any:
        """Speak, and wait for more."""

        async def text() -> AsyncIterator[str | Flush]:
            for piece in self.cut(stage):
                yield piece
            await asyncio.sleep(LONGEST_S)

        return stage.speak(text())

    def test_its_pieces_cover_the_text(self) -> None:
        """The texts of its speech, joined, are the text that it was given; white space may differ."""

        async def check(stage: Any) -> None:
            spoken = [output for output in await self.works(stage) if isinstance(output, Speech)]
            given = "".join(piece for piece in self.cut(stage) if isinstance(piece, str))
            covered = "".join(speech.text for speech in spoken)
            expect(covered.split() == given.split(), f"of {given!r} it says to have spoken {covered!r}")
            expect(sum(len(speech.pcm) for speech in spoken), "there is no sound")

        self.run(check)

    def test_its_words_have_times_as_it_declares(self) -> None:
        """Words are in order, and there are some where the traits promise an alignment."""

        async def check(stage: Any) -> None:
            words, offset_ms, latest_ms = 0, 0.0, 0.0
            for speech in await self.works(stage):
                if isinstance(speech, Speech):
                    for word in speech.words:
                        expect(word.start_ms <= word.end_ms, f"{word} ends before it begins")
                        expect(offset_ms + word.start_ms >= latest_ms - 1.0, f"{word} begins before the one before it")
                        words, latest_ms = words + 1, offset_ms + word.start_ms
                    offset_ms += stage.traits.format.ms(len(speech.pcm))
            declared = stage.traits.alignment
            expect(bool(words) == (declared != "none"), f"alignment is {declared!r}, and {words} words had times")

        self.run(check)

    def test_text_without_words_does_no_harm(self) -> None:
        """None at all, white space, marks and emoji: it ends, and speaks afterwards as before."""

        async def check(stage: Any) -> None:
            await self.said(stage)
            for text in ("", " ", "\n\n", "…", "👋🏽", "?!", "<&>"):
                await self.said(stage, *([text] if stage.traits.takes == "clauses" else [text, Flush()]))
                expect(await self.works(stage), f"it gave nothing after {text!r}")

        self.run(check)

    def test_it_speaks_nothing_before_there_is_text(self) -> None:
        """`speak` is called before the first word is there."""

        async def check(stage: Any) -> None:
            async def text() -> AsyncIterator[str | Flush]:
                await asyncio.sleep(0.3)
                given.append(True)
                for piece in self.cut(stage):
                    yield piece

            given: list[bool] = []
            async with aclosing(stage.speak(text())) as outputs:
                async for output in outputs:
                    expect(given or not isinstance(output, Speech), "it spoke before it had text")

        self.run(check)

    def test_it_refuses_a_voice_that_it_has_not(self) -> None:
        """Told when the session is opened, not in the middle of a call."""

        async def check(stage: Any) -> None:
            import pytest

            wrong = self.wrong_voice or ("no such voice" if stage.traits.voices else "")
            if not wrong:
                pytest.skip("any name may be a voice")
            with pytest.raises(ConfigError):
                stage.configure(checked({**self.config, "voice": wrong}))

        self.run(check, warm=False)
