"""A model that gains from it reads the conversation, and the turn as far as it was heard, while the user speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import pytest

from voicebridge.cascade.response_controller import ResponseController
from voicebridge.contract.events import ResponseEnded
from voicebridge.contract.items import MessageItem
from voicebridge.contract.stages import Mark, Prompt, Transcript
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser
from voicebridge.testing.user import User, scripted_conversation


class Reader(ScriptedModel):
    """Notes what it was given to read, and whether it was left in peace to."""

    def __init__(self) -> None:
        super().__init__(["Yes."])
        self.read: list[list[str]] = []
        self.finished = 0

    async def read_ahead(self, prompt: Prompt) -> None:
        assert prompt.speculative
        self.read.append([item.text for item in prompt.items if isinstance(item, MessageItem)])
        await asyncio.sleep(0.15)
        self.finished += 1


class Live(ScriptedRecogniser):
    """Writes along: a word for each 200 ms."""

    async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncIterator[Transcript]:
        words = ["where", "where do", "where do they"]
        frames = 0
        async for piece in audio:
            if isinstance(piece, Mark):
                yield Transcript("where do they go", final=True, mark=piece.n)
                continue
            frames += 1
            if frames % 10 == 0 and frames // 10 <= len(words):
                yield Transcript(words[frames // 10 - 1])


async def _one_turn(model: Reader, **options: object) -> User:
    async with scripted_conversation(stt=Live(["x"]), llm=model, **options) as user:
        await user.speak(800)
        await user.until(ResponseEnded)
    return user


def test_it_reads_the_turn_as_far_as_it_was_heard() -> None:
    model = Reader()
    run_in_virtual_time(_one_turn(model, history=[MessageItem(role="user", text="Birds.")]))
    assert model.read[0] == ["Birds."]
    assert model.read[1:] == [["Birds.", "where"], ["Birds.", "where do"], ["Birds.", "where do they"]]
    assert model.finished >= 2


def test_it_reads_nothing_where_nobody_will_ask_it() -> None:
    async def main() -> None:
        async with scripted_conversation(
            stt=Live(["x"]), llm=model, turns={"silence_ms": 200, "auto_respond": False}
        ) as user:
            await user.speak(800)
            await user.pause(1000)

    model = Reader()
    run_in_virtual_time(main())
    assert model.read == []


def test_it_is_left_in_peace_once_an_answer_is_being_made() -> None:
    class LateWords(Live):
        """Goes on writing interim texts after the final one."""

        async def listen(self, audio: AsyncIterable[bytes | Mark]) -> AsyncIterator[Transcript]:
            async for heard in super().listen(audio):
                yield heard
                if heard.final:
                    yield Transcript("where do they go now")

    async def main() -> None:
        async with scripted_conversation(stt=LateWords(["x"]), llm=model) as user:
            await user.speak(800)
            await user.until(ResponseEnded)

    model = Reader()
    run_in_virtual_time(main())
    assert ["where do they go now"] not in model.read


def test_no_prompt_is_made_for_a_model_that_does_not_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []
    prompt = ResponseController.prompt

    def counted(self: ResponseController, *args: Any, speculative: bool = False, **more: Any) -> Prompt:
        made.append(speculative)
        return prompt(self, *args, speculative=speculative, **more)

    monkeypatch.setattr(ResponseController, "prompt", counted)

    async def main() -> None:
        async with scripted_conversation(stt=Live(["x"]), llm=ScriptedModel(["Yes."]), speculate="none") as user:
            await user.speak(800)
            await user.until(ResponseEnded)

    run_in_virtual_time(main())
    assert made == [False]
