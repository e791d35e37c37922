"""What a recogniser promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, ClassVar

from voicebridge.contract.stages import Mark, Transcript, TurnSignal, Usage

from .stage import LONGEST_S, StageContract
from .verdict import expect

__all__ = ["SpeechToTextContract"]


class SpeechToTextContract(StageContract):
    """What a recogniser promises."""

    seat = "stt"
    speech: ClassVar[bytes | None] = None
    """An utterance in its format. None: 600 ms of a tone."""
    hears: ClassVar[bool] = True
    """Whether it makes a text of `speech`."""

    def sound(self, stage: Any) -> list[bytes]:
        """The utterance in pieces of 20 ms."""
        size = stage.traits.format.size(20)
        speech = self.speech if self.speech is not None else b"\x00\x20\x00\xe0" * (size * 30 // 4)
        return [speech[at : at + size] for at in range(0, len(speech), size)]

    async def heard(self, stage: Any, pieces: Sequence[bytes | Mark]) -> list[Any]:
        """What comes of such audio, to the end."""

        async def audio() -> AsyncIterator[bytes | Mark]:
            for piece in pieces:
                await asyncio.sleep(0)
                yield piece

        async with aclosing(stage.listen(audio())) as outputs:
            found = [output async for output in outputs]
        for output in found:
            expect(isinstance(output, Transcript | TurnSignal | Usage), f"it gave a {type(output).__name__}")
        return found

    async def works(self, stage: Any) -> list[Any]:
        """Hear one utterance."""
        return await self.heard(stage, [*self.sound(stage), Mark(1, fresh=True)])

    def begun(self, stage: Any) -> Any:
        """Hear without end."""

        async def audio() -> AsyncIterator[bytes | Mark]:
            for piece in self.sound(stage):
                yield piece
            yield Mark(1)
            await asyncio.sleep(LONGEST_S)

        return stage.listen(audio())

    def test_marks_are_answered_in_order_and_each_once(self) -> None:
        """Each fresh mark behind sound gets one final text, another one may be passed over; nothing else gets any."""

        async def check(stage: Any) -> None:
            sound = self.sound(stage)
            pieces: list[bytes | Mark] = []
            for n in range(1, 6):
                pieces += [*sound, Mark(n, fresh=n != 2)]
            answers = _answers(await self.heard(stage, pieces))
            numbers = [n for n, _ in answers]
            expect(numbers == sorted(set(numbers)), f"marks were answered in the order {numbers}")
            expect(set(numbers) <= set(range(1, 6)), f"there was no such mark: {numbers}")
            lost = {1, 3, 4, 5} - set(numbers)  # 2 begins nothing new: what was said before it is in the text of 3
            expect(not lost, f"the utterances before the marks {sorted(lost)} were lost: {numbers}")
            if self.hears:
                expect(all(text for _, text in answers), f"a text is missing: {answers}")

        self.run(check)

    def test_a_mark_that_nobody_wants_is_not_answered(self) -> None:
        """It begins a new utterance all the same."""

        async def check(stage: Any) -> None:
            sound = self.sound(stage)
            pieces: list[bytes | Mark] = [
                *sound,
                Mark(1),
                Mark(2, fresh=True, wanted=False),
                *sound,
                Mark(3, fresh=True, wanted=False),
            ]
            answers = _answers(await self.heard(stage, [*pieces, *sound, Mark(4, fresh=True)]))
            expect({n for n, _ in answers} <= {1, 4}, f"unwanted marks were answered: {answers}")
            expect(answers[-1:] and answers[-1][0] == 4, f"the mark behind them was not answered: {answers}")

        self.run(check)

    def test_an_utterance_without_sound_does_no_harm(self) -> None:
        """Its text is empty, or its mark is passed over."""

        async def check(stage: Any) -> None:
            pieces: list[bytes | Mark] = [
                Mark(1, fresh=True),
                Mark(2, fresh=True),
                *self.sound(stage),
                Mark(3, fresh=True),
            ]
            answers = dict(_answers(await self.heard(stage, pieces)))
            expect(not answers.get(1) and not answers.get(2), f"it heard something in nothing: {answers}")
            expect(3 in answers, "it did not answer after that")

        self.run(check)

    def test_it_ends_with_its_audio(self) -> None:
        """Without a mark it need not give a text, but it ends."""
        self.run(lambda stage: self.heard(stage, self.sound(stage)))
        self.run(lambda stage: self.heard(stage, []))


def _answers(outputs: Sequence[Any]) -> list[tuple[int, str]]:
    """Marks that were answered, and with what."""
    texts = [output for output in outputs if isinstance(output, Transcript) and output.final]
    return [(text.mark, text.text.strip()) for text in texts if text.mark is not None]
