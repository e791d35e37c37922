"""Text agents in the model's seat: any callable, generator or runnable, LangChain's own included."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, convert_to_messages
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda

import voicebridge
from voicebridge.cascade.lifted_model import LiftedModel, messages
from voicebridge.cascade.lifted_voice import LiftedRecogniser
from voicebridge.contract.events import OutputAudio, OutputText, ResponseEnded, ToolCall, UsageReported
from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem
from voicebridge.contract.stages import Mark, Prompt, ToolRequest, Usage
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedRecogniser
from voicebridge.testing.user import scripted_conversation


async def answers(model: Any, *said: str, instructions: str = "") -> list[Any]:
    """What the model gives when the last of `said` was said to it; before it, user and agent took turns."""
    roles = ("user", "assistant")
    items: tuple[Item, ...] = tuple(
        MessageItem(role=roles[n % 2], text=text)  # type: ignore[arg-type]  # one of the two
        for n, text in enumerate(said or ("hi",))
    )
    lifted = model if isinstance(model, LiftedModel) else LiftedModel(model)
    return [output async for output in lifted.respond(Prompt(items, instructions))]


def plain(words: str) -> str:
    return f"You said {words}."


async def coroutine(words: str) -> str:
    return f"You said {words}."


def generator(words: str) -> Iterator[str]:
    yield "You said "
    yield f"{words}."


async def async_generator(words: str) -> AsyncIterator[str]:
    yield "You said "
    yield f"{words}."


async def returns_a_generator(words: str) -> AsyncIterator[str]:
    return async_generator(words)


class Agent:
    async def __call__(self, words: str) -> str:
        return f"You said {words}."

    def method(self, words: str) -> str:
        return f"You said {words}."


def takes_the_prompt(prompt: Prompt) -> str:
    last = prompt.items[-1]
    assert isinstance(last, MessageItem)
    return f"You said {last.text}."


CALLABLES = [
    plain,
    coroutine,
    generator,
    async_generator,
    returns_a_generator,
    Agent(),
    Agent().method,
    takes_the_prompt,
    lambda words: f"You said {words}.",
]


@pytest.mark.parametrize("model", CALLABLES)
async def test_callables(model: Callable[..., Any]) -> None:
    assert "".join(await answers(model, "one", "two", "three")) == "You said three."


async def test_what_is_not_async_runs_in_a_thread() -> None:
    async def threads(model: Any) -> list[str]:
        return await answers(model)

    def name(words: str) -> str:
        return threading.current_thread().name

    def names(words: str) -> Iterator[str]:
        yield threading.current_thread().name

    main = threading.current_thread().name
    assert await threads(name) != [main]
    assert await threads(names) != [main]


def test_one_that_hangs_keeps_the_program_from_nothing() -> None:
    never = threading.Event()

    def hangs(words: str) -> str:
        never.wait()
        return "late"

    def hangs_between(words: str) -> Iterator[str]:
        yield "soon"
        yield hangs(words)

    async def hear(text: str) -> list[Any]:
        async def audio() -> AsyncIterator[bytes | Mark]:
            yield Mark(1)

        return [output async for output in LiftedRecogniser(lambda pcm: hangs(text)).listen(audio())]

    async def main() -> None:
        tasks = [asyncio.ensure_future(coroutine) for coroutine in (answers(hangs), answers(hangs_between), hear(""))]
        await asyncio.wait(tasks, timeout=0.05)
        assert not any(task.done() for task in tasks)

    asyncio.run(main())  # comes back, though the threads wait for ever
    waiting = [thread for thread in threading.enumerate() if thread.name == "voicebridge stage"]
    assert len(waiting) == 3
    never.set()
    for thread in waiting:
        thread.join()


async def test_tool_requests_and_usage_pass_through() -> None:
    call, usage = ToolRequest("k", "f", "{}"), Usage({"tokens": 1})

    async def model(words: str) -> AsyncIterator[Any]:
        yield call
        yield usage
        yield ""

    assert await answers(model) == [call, usage]


async def test_what_can_not_be_spoken_is_refused_in_words() -> None:
    with pytest.raises(voicebridge.ConfigError, match="gave a dict, which can't be spoken"):
        await answers(lambda words: {"output": "x"})
    with pytest.raises(voicebridge.ConfigError, match="str can't be a language model"):
        LiftedModel("gpt")


def chat_model(*replies: str) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter([AIMessage(content=reply) for reply in replies]))


async def test_langchain_chat_model_streams_and_gets_the_conversation() -> None:
    seen: list[Any] = []

    def remember(messages: list[BaseMessage]) -> list[BaseMessage]:
        seen.extend(messages)
        return messages

    model = RunnableLambda(remember) | chat_model("It is a fine day.")
    pieces = await answers(model, "hello", "hi", "how is it", instructions="Be brief.")
    assert "".join(pieces) == "It is a fine day."
    assert len(pieces) > 1
    assert [(m["role"], m["content"]) for m in seen] == [
        ("system", "Be brief."),
        ("user", "hello"),
        ("assistant", "hi"),
        ("user", "how is it"),
    ]


async def test_tool_calls_and_results_reach_a_chat_model() -> None:
    """In the form that chat models take: LangChain makes its own messages of them."""
    items: tuple[Item, ...] = (
        MessageItem(role="user", text="the weather?"),
        ToolCallItem(call_id="k1", name="weather", arguments='{"city": "Oslo"}'),
        ToolResultItem(call_id="k1", output="rain"),
        ToolCallItem(call_id="k2", name="weather", arguments=""),
        ToolCallItem(call_id="k3", name="weather", arguments='{"city": '),
        ToolResultItem(call_id="k2", output="sun"),
        ToolResultItem(call_id="k3", output="Invalid JSON", is_error=True),
        MessageItem(role="assistant", text="Rain."),
    )
    human, one, rain, two, sun, bad, said = convert_to_messages(messages(Prompt(items)))
    assert (human.type, said.type, said.content) == ("human", "ai", "Rain.")
    assert isinstance(one, AIMessage)
    assert isinstance(two, AIMessage)
    assert [(call["id"], call["name"], call["args"]) for call in one.tool_calls] == [
        ("k1", "weather", {"city": "Oslo"})
    ]
    assert [(call["id"], call["args"]) for call in two.tool_calls] == [("k2", {}), ("k3", {"invalid": '{"city": '})]
    for result, call_id, output in ((rain, "k1", "rain"), (sun, "k2", "sun"), (bad, "k3", "Invalid JSON")):
        assert isinstance(result, ToolMessage)
        assert (result.tool_call_id, result.content) == (call_id, output)


async def test_streams_are_iterators_closed_where_they_can_be() -> None:
    closed: list[str] = []

    class Plain:
        """Neither a generator nor closable."""

        def __init__(self) -> None:
            self.left = ["a", "b"]

        def __aiter__(self) -> Plain:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    class Iterable:
        """Its iterator is a generator: that one has to be closed."""

        async def __aiter__(self) -> AsyncIterator[str]:
            try:
                yield "a"
                yield "b"
            finally:
                closed.append("iterable")

    assert await answers(lambda words: Plain()) == ["a", "b"]
    stream: Any = LiftedModel(lambda words: Iterable()).respond(Prompt((MessageItem(role="user", text="x"),)))
    assert await anext(stream) == "a"
    await stream.aclose()
    assert closed == ["iterable"]


async def test_langchain_chat_model_alone() -> None:
    assert "".join(await answers(chat_model("Good."), "hello")) == "Good."


async def test_langchain_chain_with_a_prompt_template_gets_its_variables() -> None:
    template = ChatPromptTemplate.from_messages(
        [("system", "You are a pirate."), MessagesPlaceholder("chat_history"), ("human", "{question}")]
    )
    formatted: list[Any] = []

    def remember(value: Any) -> Any:
        formatted.extend((message.type, message.content) for message in value.to_messages())
        return value

    chain = template | RunnableLambda(remember) | chat_model("Arr, matey.") | StrOutputParser()
    assert "".join(await answers(chain, "one", "two", "three")) == "Arr, matey."
    assert formatted[0] == ("system", "You are a pirate.")
    assert formatted[-1] == ("human", "three")
    assert ("ai", "two") in formatted


async def test_ainvoke_alone_is_enough() -> None:
    class OnlyInvoke:
        async def ainvoke(self, given: Any) -> AIMessage:
            return AIMessage(content=[{"type": "text", "text": given[-1]["content"].upper()}])

    assert await answers(OnlyInvoke(), "hi") == ["HI"]


async def test_input_may_be_made_by_hand() -> None:
    lifted = LiftedModel(plain, input=lambda prompt: str(len(prompt.items)))
    assert await answers(lifted, "a", "b", "c") == ["You said 3."]


def test_a_text_agent_gets_a_voice() -> None:
    """The whole way: heard words in, spoken words out, and never asked on a guess."""
    asked: list[str] = []

    async def agent(words: str) -> AsyncIterator[Any]:
        asked.append(words)
        yield "Well, "
        yield f"{words} indeed."
        yield ToolRequest("k1", "note", "{}")
        yield Usage({"output_tokens": 3})

    async def main() -> None:
        stt = ScriptedRecogniser(["a fine day"])
        async with scripted_conversation(stt=stt, llm=agent) as user:
            await user.speak(400)
            await user.pause(100)
            await user.speak(400)
            await user.until(ResponseEnded)
            assert asked == ["a fine day"]
            assert "".join(e.delta for e in user.all(OutputText)) == "Well, a fine day indeed."
            assert user.all(OutputAudio)
            assert user.all(ToolCall)[0].name == "note"
            assert user.all(UsageReported)[0].units == {"output_tokens": 3}

    run_in_virtual_time(main())


def test_interrupting_closes_the_agents_generator() -> None:
    closed: list[str] = []

    async def agent(words: str) -> AsyncIterator[str]:
        try:
            yield "Well, this takes a while. "
            await asyncio.sleep(100)
        finally:
            closed.append(words)

    async def main() -> None:
        async with scripted_conversation(llm=agent) as user:
            await user.speak(400)
            await user.until(OutputAudio)
            await user.speak(400)
            await user.pause(40)
            assert closed == ["hello there"]

    run_in_virtual_time(main())
