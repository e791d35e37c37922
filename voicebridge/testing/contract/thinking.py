"""What a language model promises."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any, ClassVar

from voicebridge.contract.items import MessageItem
from voicebridge.contract.stages import Progress, Prompt, ToolRequest, Usage

from .stage import StageContract
from .verdict import expect

__all__ = ["LanguageModelContract"]


class LanguageModelContract(StageContract):
    """What a model promises."""

    seat = "llm"
    question: ClassVar[str] = "Say something."

    async def answered(self, stage: Any, *texts: str, **more: Any) -> list[Any]:
        """What it answers to such words of the user, to the end."""
        items = tuple(MessageItem(role="user", text=text) for text in texts)
        async with aclosing(self._asked(stage, items, **more)) as outputs:
            found = [output async for output in outputs]
        for output in found:
            expect(isinstance(output, str | ToolRequest | Usage | Progress), f"it gave a {type(output).__name__}")
        return found

    def _asked(self, stage: Any, items: tuple[MessageItem, ...], **more: Any) -> Any:
        return stage.respond(Prompt(items=items, instructions="Be brief.", **more))

    async def works(self, stage: Any) -> list[Any]:
        """Answer a question."""
        return await self.answered(stage, self.question)

    def begun(self, stage: Any) -> Any:
        """Answer a question, and be left alone with it."""
        return self._asked(stage, (MessageItem(role="user", text=self.question),))

    def test_it_answers_in_words(self) -> None:
        """The pieces are text, and joined they say something."""

        async def check(stage: Any) -> None:
            said = "".join(output for output in await self.works(stage) if isinstance(output, str))
            expect(said.strip(), f"it said {said!r}")

        self.run(check)

    def test_it_takes_whatever_is_said(self) -> None:
        """Other scripts, emoji, white space, and a conversation in which nobody has said anything."""

        async def check(stage: Any) -> None:
            for text in ("你好 👋🏽 ßçø", " \n\t ", "a" * 5_000, '"}]\n\ndata: [DONE]'):
                await self.answered(stage, text)
            await self.answered(stage)
            if stage.traits.speculative == "safe":
                await self.answered(stage, self.question, speculative=True)

        self.run(check)

    def test_it_takes_a_conversation(self) -> None:
        """That may end with the agent's own words or a note."""

        async def check(stage: Any) -> None:
            items = (
                MessageItem(role="user", text=self.question),
                MessageItem(role="assistant", text="Something."),
                MessageItem(role="system", text="The user is in a hurry."),
            )
            for count in (2, 3):
                async with aclosing(self._asked(stage, items[:count])) as outputs:
                    async for _ in outputs:
                        pass

        self.run(check)
