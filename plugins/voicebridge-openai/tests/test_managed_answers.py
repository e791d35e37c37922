"""Answers that fail on the wire, under a managed session: asked for once more, or given by another backend."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

import voicebridge
from voicebridge.contract.commands import SendText
from voicebridge.contract.events import Event, OutputAudio, OutputText, ResponseEnded, SessionRestarted
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.session.managed import ManagedSession
from voicebridge_openai.simulator import simulator

MODEL = "openai/gpt-realtime-2"
FAIL = {"fail": "server_error"}


async def answer(session: ManagedSession) -> list[Event]:
    """Ask, and hear what is told until something is said to its end; or nothing is told any more."""
    told: list[Event] = []
    await session.send(SendText(text="Hello?"))
    try:
        async with asyncio.timeout(5):
            async for event in session:
                told.append(event)
                if isinstance(event, ResponseEnded) and event.status == "completed":
                    break
                if isinstance(event, ResponseEnded) and len(of(told, ResponseEnded)) == 2:
                    break
    except TimeoutError:
        pass
    return told


def of(told: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in told if isinstance(event, kind)]


def words(told: list[Event]) -> str:
    return "".join(event.delta for event in of(told, OutputText))


async def ask(first: Any, *fallback: Any) -> list[Event]:
    """The answers of servers that give these replies, one server each."""
    async with AsyncExitStack() as stack:
        urls = []
        for replies in (first, *fallback):
            options = {"voice": "tone", "pace": 40, "replies": replies}
            server = simulator(SimulatorSettings(options=options))
            urls.append(await stack.enter_async_context(server.serve()))
        others = [{"backend": MODEL, "base_url": url, "api_key": "sk-simulated"} for url in urls[1:]]
        connecting = voicebridge.connect(MODEL, base_url=urls[0], api_key="sk-simulated", fallback=others)
        async with connecting as session:
            told = await answer(session)
        assert session.account.balanced, str(session.account)
        return told


async def test_alone_it_is_asked_once_more() -> None:
    told = await ask((FAIL, "Here I am."))
    assert [one.status for one in of(told, ResponseEnded)] == ["failed", "completed"]
    assert words(told) == "Here I am."


async def test_alone_it_is_not_asked_for_ever() -> None:
    told = await ask((FAIL, FAIL, "Too late."))
    assert [one.status for one in of(told, ResponseEnded)] == ["failed", "failed"]


@pytest.mark.parametrize("code", ["server_error", "insufficient_quota", "rate_limit_exceeded"])
async def test_another_one_gives_the_answer(code: str) -> None:
    told = await ask(({"fail": code},), ("Here I am.",))
    assert [one.status for one in of(told, ResponseEnded)] == ["lost", "completed"]
    assert [one.reason for one in of(told, SessionRestarted)] == ["failover"]
    assert words(told) == "Here I am."


async def test_another_one_goes_on_with_an_answer_that_broke_off() -> None:
    told = await ask((["The first sentence.", FAIL],), ("And the rest.",))
    lost, whole = of(told, ResponseEnded)
    assert (lost.status, whole.status) == ("lost", "completed")
    assert words(told) == "The first sentence.And the rest."
    assert {one.response_id for one in of(told, OutputAudio)} >= {whole.response_id}
