"""Gemma answers plainly, and lets go when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import re
import urllib.error
import urllib.request

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.items import Item, MessageItem
from voicebridge.contract.stages import LanguageModel, Prompt, ReadsAhead, Usage
from voicebridge_local import gemma
from voicebridge_local.dialogue import OPENERS
from voicebridge_local.gemma import Gemma, GemmaModel
from voicebridge_local.worker import Stop

INSTRUCTIONS = "You are a helpful assistant."
SAID = (
    "It was the best of times, it was the worst of times.",
    "We had everything before us, we had nothing before us.",
    "Ten of clubs.",
    "Go forward ten meters.",
    "What is the capital of France?",
    "Can you tell me a joke?",
    "My name is Anna and I live in Berlin.",
    "What is my name?",
    "Write a Python function that adds two numbers.",
    "Stop.",
    "Give me a list of three fruits in markdown.",
    "äöü 你好 Привет",
    "",
    "Person: Assistant: Person:\n\n\nAssistant:",
)


def prompt(*items: Item) -> Prompt:
    return Prompt(items=items, instructions=INSTRUCTIONS)


def user(text: str) -> MessageItem:
    return MessageItem(role="user", text=text)


async def answer(model: GemmaModel, asked: Prompt) -> tuple[str, dict[str, float]]:
    text, used = "", {}
    async for output in model.respond(asked):
        if isinstance(output, Usage):
            used = dict(output.units)
        else:
            assert isinstance(output, str)
            text += output
    return text, used


def test_answers_are_one_plain_sentence() -> None:
    async def main() -> list[str]:
        model = gemma.model()
        model.configure(SessionConfig(instructions=INSTRUCTIONS))
        await model.warm()
        items: list[Item] = []
        answers = []
        for said in SAID:
            items.append(user(said))
            text, used = await answer(model, prompt(*items))
            assert used["output_tokens"] >= 1
            assert used["input_tokens"] > 100
            items.append(MessageItem(role="assistant", text=text))
            answers.append(text)
        await model.aclose()
        return answers

    answers = asyncio.run(main())
    for text in answers:
        opener, _, rest = text.partition(", ")
        assert opener in OPENERS
        assert re.fullmatch(r"[a-zA-Z0-9 ,':-]+[.!?]?", rest), text
        assert len(text) < 250
    assert any("Paris" in text for text in answers)
    assert len(set(answers)) > len(SAID) // 2


def test_the_same_prompt_has_the_same_answer() -> None:
    async def main() -> set[str]:
        model = gemma.model()
        await model.warm()
        answers = set()
        for _ in range(3):
            await model.read_ahead(prompt())
            answers.add((await answer(model, prompt(user("Where do birds sleep?"))))[0])
        return answers

    assert len(asyncio.run(main())) == 1


def test_what_was_read_ahead_need_not_come_true() -> None:
    async def main() -> tuple[float, str]:
        model = gemma.model()
        await model.warm()
        await model.read_ahead(prompt(user("Where do the birds in")))
        text, used = await answer(model, prompt(user("What is the capital of France?")))
        return used["input_tokens"], text

    tokens, text = asyncio.run(main())
    assert tokens > 100
    assert text


def test_it_keeps_to_the_contract() -> None:
    model = gemma.model()
    seat: LanguageModel = model
    assert isinstance(model, ReadsAhead)
    assert seat.traits.speculative == "safe"
    assert not seat.traits.tools


def test_a_limit_of_tokens() -> None:
    async def main() -> float:
        model = gemma.model()
        model.configure(SessionConfig(max_output_tokens=3))
        return (await answer(model, prompt(user("Tell me a long story."))))[1]["output_tokens"]

    assert asyncio.run(main()) <= 3


def test_a_prompt_that_is_too_long_loses_its_oldest_turns() -> None:
    """Signs of other scripts take a token each, or more."""
    strange = "".join(chr(0x13000 + number) for number in range(550))

    async def main() -> str:
        history = [user(strange), MessageItem(role="assistant", text=strange)] * 3
        return (await answer(gemma.model(), prompt(*history, user("What is the capital of France?"))))[0]

    assert asyncio.run(main())


def test_what_never_fits_is_an_error() -> None:
    strange = "".join(chr(0x13000 + number) for number in range(790))

    async def main() -> None:
        await answer(gemma.model(), Prompt(items=(user("Hello."),), instructions=strange))

    with pytest.raises(VoiceBridgeError, match="too long"):
        asyncio.run(main())


def test_cancelled_it_stops_and_the_next_answer_is_right() -> None:
    async def main() -> tuple[str, str, int]:
        model = gemma.model()
        await model.warm()
        expected, _ = await answer(model, prompt(user("What is the capital of France?")))
        for wait in (0.0, 0.01, 0.05, 0.1):
            task = asyncio.create_task(answer(model, prompt(user("Tell me a long story about the sea."))))
            await asyncio.sleep(wait)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        ahead = asyncio.create_task(model.read_ahead(prompt(user("A guess that nobody"))))
        await asyncio.sleep(0.005)
        ahead.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ahead
        got, _ = await answer(model, prompt(user("What is the capital of France?")))
        return expected, got, len(asyncio.all_tasks())

    expected, got, tasks = asyncio.run(main())
    assert got == expected
    assert tasks == 1


def test_more_conversations_than_places() -> None:
    async def main() -> list[str]:
        async def one(number: int) -> str:
            model = gemma.model()
            await model.warm()
            return (await answer(model, prompt(user(f"My number is {number}."))))[0]

        return await asyncio.gather(*(one(number) for number in range(6)))

    assert all(asyncio.run(main()))


def test_what_the_runtime_refuses_is_an_error() -> None:
    model = asyncio.run(gemma._weights.get())
    with pytest.raises(VoiceBridgeError, match="Gemma failed"):
        model.complete("", -5, {}, Stop(), lambda delta: None)  # type: ignore[arg-type]  # a place that is none


def test_strangers_on_this_machine_are_not_answered() -> None:
    model: Gemma = asyncio.run(gemma._weights.get())
    address = str(model._server.listening_address)
    assert "127.0.0.1" in address
    for path in ("/completion", "/v1/models", "/slots"):
        with pytest.raises(urllib.error.HTTPError, match=r"401|501|404"):
            urllib.request.urlopen(f"{address}{path}", data=b'{"prompt": "a"}', timeout=10)


def test_places_go_to_who_is_there() -> None:
    """A long conversation keeps its place to itself while short ones come and go."""
    gemma = object.__new__(Gemma)
    gemma._taken = [0] * 4
    long = gemma.take_slot()
    for _ in range(20):
        short = gemma.take_slot()
        assert short != long
        gemma.give_slot(short)
    others = [gemma.take_slot() for _ in range(3)]
    assert sorted([long, *others]) == [0, 1, 2, 3]
