"""The scripted session keeps every promise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, MessageItem, ToolResultItem
from voicebridge.testing.contract import BackendContract, Subject
from voicebridge.testing.script import Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend


def answer(items: tuple[Item, ...]) -> Reply | str:
    last = items[-1] if items else None
    if isinstance(last, ToolResultItem):
        return f"The result is {last.output}."
    text = last.text if isinstance(last, MessageItem) else ""
    if text == "What is my name?":
        return next(f"You told me: {item.text}" for item in items if isinstance(item, MessageItem))
    if count := {"call": 1, "call twice": 2}.get(text, 0):
        return Reply(calls=(Call("look_up_weather"),) * count)
    if text == "flood":
        return "This sentence takes three seconds in the end. " * 60
    if "Count" in text:
        return Reply("one two three four five six seven eight nine ten " * 6, wait_s=0.2, word_s=0.1)
    return Reply("Hello there, nice to meet you.", wait_s=0.2, word_s=0.05)


class TestScriptedSession(BackendContract):
    virtual_time = True

    def subject(self) -> Subject:
        @asynccontextmanager
        async def dropping() -> AsyncIterator[Subject]:
            gone = Fault(category="network", message="The server went away.", retryable=True)
            backend = ScriptedBackend(Reply("one two three", word_s=1), moments=[(2.5, gone)])
            yield replace(subject, backend=backend)

        subject = Subject(
            backend=ScriptedBackend(answer, ready_s=0.5),
            virtual_time=True,
            tool_prompt="call",
            parallel_prompt="call twice",
            flood_prompt="flood",
            recall=("My name is Ada.", "What is my name?", "Ada"),
            dropping=dropping,
        )
        return subject
