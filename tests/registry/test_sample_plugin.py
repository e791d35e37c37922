"""The sample plugin joins by being installed, and what it brings can be used like anything bundled."""

from __future__ import annotations

import asyncio
import importlib.metadata
import tomllib
from pathlib import Path
from typing import Any

import pytest

from voicebridge import (
    BadOption,
    Command,
    CommandSettled,
    ConfigError,
    DiscardTurn,
    EndTurn,
    Event,
    Interrupt,
    MessageItem,
    OutputAudio,
    OutputText,
    Prompt,
    ReportPlayed,
    Respond,
    ResponseEnded,
    SendAudio,
    SendText,
    SessionClosed,
    SessionConfig,
    Unsupported,
    UserTurn,
    VoiceSession,
)
from voicebridge.registry.registry import Registry

SAMPLE = Path(__file__).parents[1] / "sample_plugin"
PCM = bytes(range(256)) * 40


def converse(*commands: Command, model: str | None = None) -> list[Event]:
    """The events of a session that takes these commands and is closed when it has nothing more to say."""

    async def run() -> list[Event]:
        events: list[Event] = []
        async with Registry().backend("parrot", model).connect(SessionConfig()) as session:
            assert isinstance(session, VoiceSession)
            for command in commands:
                await session.send(command)
            iterator = session.__aiter__()
            while True:
                try:
                    events.append(await asyncio.wait_for(anext(iterator), 0.02))
                except TimeoutError:
                    break
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)
        return events

    return asyncio.run(run())


def names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_it_is_listed(parrot: None) -> None:
    listing = Registry().rows()
    assert [(row.name, row.distribution) for row in listing.backends] == [("parrot", "voicebridge-parrot")]
    assert [(row.seat, row.name) for row in listing.stages] == [("llm", "parrot/repeat")]


def test_it_is_found_among_all_that_this_machine_has(parrot: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "distributions", importlib.metadata.Distribution.discover)
    [row] = Registry(allow=["parrot"]).rows().backends
    assert row.distribution == "voicebridge-parrot"


def test_it_is_what_its_project_file_says(parrot: None) -> None:
    project = tomllib.loads((SAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [plugin] = Registry().rows().plugins
    assert project["entry-points"]["voicebridge"] == {plugin.name: "voicebridge_parrot"}
    assert (project["name"], project["version"]) == (plugin.distribution, plugin.version)
    assert "dependencies" not in project


def test_what_is_spoken_comes_back(parrot: None) -> None:
    end = EndTurn()
    events = converse(SendAudio(pcm=PCM[:777]), SendAudio(pcm=PCM[777:]), end, ReportPlayed(response_id="x", ms=1))
    assert names(events)[:5] == ["SessionReady", "UserTurn", "UserTurn", "ResponseStarted", "CommandSettled"]
    assert names(events)[-1] == "ResponseEnded"
    audio = [event for event in events if isinstance(event, OutputAudio)]
    assert b"".join(event.pcm for event in audio) == PCM
    assert [event.offset_ms for event in audio] == [0, 100, 200]
    committed: Any = events[2]
    assert (committed.phase, committed.audio_ms) == ("committed", len(PCM) / 48)
    started: Any = events[3]
    assert started.answers == (committed.turn_id, end.id)


def test_what_is_written_comes_back(parrot: None) -> None:
    events = converse(SendText(text="Hello."), model="green")
    assert names(events) == ["SessionReady", "ResponseStarted", "CommandSettled", "OutputText", "ResponseEnded"]
    ready, text = events[0], events[3]
    assert getattr(ready, "model", None) == "parrot/green"
    assert isinstance(text, OutputText)
    assert text.delta == "Hello."


def test_an_interruption_takes_back_what_was_not_delivered(parrot: None) -> None:
    events = converse(SendAudio(pcm=PCM), EndTurn(), Interrupt())
    assert not any(isinstance(event, OutputAudio) for event in events)
    assert sum(isinstance(event, CommandSettled) for event in events) == 2
    assert sum(isinstance(event, ResponseEnded) for event in events) == 1


def test_a_turn_may_be_forgotten_and_one_without_a_word_is_told(parrot: None) -> None:
    events = converse(SendAudio(pcm=PCM + b"\1"), DiscardTurn(), EndTurn(), SendAudio(pcm=b"\2\3\4"), EndTurn())
    turns = [event.phase for event in events if isinstance(event, UserTurn)]
    assert turns == ["speech", "discarded", "speech", "committed"]
    faults = [event.fault for event in events if isinstance(event, CommandSettled)]
    assert [fault.code if fault else None for fault in faults] == [None, "empty_turn", None]
    # The odd byte found its other half.
    assert [event.pcm for event in events if isinstance(event, OutputAudio)] == [b"\1\2\3\4"]


def test_what_it_cant_do_it_refuses(parrot: None) -> None:
    registry = Registry()
    with pytest.raises(ConfigError, match="no parrot 'blue'"):
        registry.backend("parrot", "blue")
    with pytest.raises(ConfigError, match="'parrot/repeat' is a language model stage, not a backend"):
        registry.backend("parrot", "repeat")
    with pytest.raises(BadOption, match="voice"):
        registry.backend("parrot").connect(SessionConfig(voice="loud"))
    with pytest.raises(Unsupported):
        converse(Respond())
    with pytest.raises(Unsupported):
        converse(SendText(text="A note.", respond=False))


def test_after_the_end_nothing_is_taken(parrot: None) -> None:
    async def run() -> None:
        async with Registry().backend("parrot").connect(SessionConfig()) as session:
            await session.aclose()
            await session.aclose()
            with pytest.raises(SessionClosed):
                await session.send(SendText(text="Hello?"))

    asyncio.run(run())


def test_its_stage_answers_with_what_was_said(parrot: None) -> None:
    stage: Any = Registry().stage("llm", "parrot/repeat")

    async def answer() -> str:
        prompt = Prompt(items=(MessageItem(role="user", text="Say  it again, please."),))
        return "".join([piece async for piece in stage.respond(prompt)])

    assert asyncio.run(answer()) == "Say it again, please."
