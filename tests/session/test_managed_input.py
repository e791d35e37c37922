"""What is wrong with the input of a managed session is said in words, before anything is dialled or sent."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

import voicebridge
from voicebridge.contract.commands import (
    Configure,
    Interrupt,
    ReportPlayed,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.events import CommandSettled, OutputAudio, ResponseEnded
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge.testing.scripted_session import ScriptedBackend

WRONG_SETTINGS: list[dict[str, Any]] = [
    {"spec": ""},
    {"spec": 7},
    {"spec": None},
    {"instructions": 7},
    {"voice": ["marin"]},
    {"tools": "weather"},
    {"tools": [7]},
    {"tools": [{"description": "no name"}]},
    {"agents": "one"},
    {"api_key": 7},
    {"base_url": 7},
    {"input_format": "pcm"},
    {"output_format": 16_000},
    {"history": 7},
    {"history": [7]},
    {"history": "no://such-store"},
    {"conversation": 7},
    {"fallback": "local"},
    {"fallback": [7]},
    {"fallback": [{"voice": "marin"}]},
    {"fallback": [{"backend": "local", "instructions": "for all"}]},
    {"retry": 3},
    {"interruption": "never"},
    {"on_interrupt": "print"},
    {"policy": {}},
    {"tool_policy": 30},
    {"turns": 200},
    {"no_such_option": True},
]


@pytest.mark.parametrize("settings", WRONG_SETTINGS, ids=str)
def test_settings(settings: dict[str, Any]) -> None:
    async def main() -> None:
        given = {"spec": ScriptedBackend()} | settings
        async with no_leaked_tasks():
            with pytest.raises(VoiceBridgeError) as raised:
                async with voicebridge.connect(given.pop("spec"), **given):
                    pass
        assert isinstance(raised.value, ConfigError)
        assert raised.value.fault.message

    run_in_virtual_time(main())


WRONG_COMMANDS: list[Any] = [
    "hello",
    None,
    7,
    SendAudio,
    SendAudio(pcm="sound"),  # type: ignore[arg-type]  # the wrong type is the test
    SendAudio(pcm=None),  # type: ignore[arg-type]  # the wrong type is the test
    SendText(text=7),  # type: ignore[arg-type]  # the wrong type is the test
    SendText(text="x", role="robot"),  # type: ignore[arg-type]  # the wrong value is the test
    SendToolResult(call_id=7, output="x"),  # type: ignore[arg-type]  # the wrong type is the test
    SendToolResult(call_id="c", output={"a": 1}),  # type: ignore[arg-type]  # the wrong type is the test
    Respond(instructions=7),  # type: ignore[arg-type]  # the wrong type is the test
    Interrupt(heard={"r": "all"}),  # type: ignore[dict-item]  # the wrong type is the test
    Interrupt(heard=7),  # type: ignore[arg-type]  # the wrong type is the test
    Interrupt(response_id=7),  # type: ignore[arg-type]  # the wrong type is the test
    ReportPlayed(response_id=7, ms=1.0),  # type: ignore[arg-type]  # the wrong type is the test
    ReportPlayed(response_id="r", ms="all"),  # type: ignore[arg-type]  # the wrong type is the test
    ReportPlayed(response_id="r", ms=float("nan")),
    Configure(patch=7),  # type: ignore[arg-type]  # the wrong type is the test
    Configure(patch={"no_such_field": 1}),
    Configure(patch={"backend": 7}),
    Configure(patch={"backend": "no-such-vendor/model"}),
    Configure(patch={"turns": 7}),
]


@pytest.mark.parametrize("command", WRONG_COMMANDS, ids=lambda one: str(one)[:60])
def test_commands(command: Any) -> None:
    async def main() -> None:
        async with no_leaked_tasks():
            async with voicebridge.connect(ScriptedBackend()) as session:
                with pytest.raises(VoiceBridgeError) as raised:
                    await session.send(command)
                assert raised.value.fault.message
                question = SendText(text="Are you there?")
                await session.send(question)
                events = []
                async for event in session:
                    events.append(event)
                    if isinstance(event, ResponseEnded):
                        break
                assert any(isinstance(event, OutputAudio) for event in events)
                fates = [event.command_id for event in events if isinstance(event, CommandSettled)]
                assert fates == [question.id]
            assert session.account.balanced

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    "command",
    [
        SendAudio(pcm=b""),
        SendAudio(pcm=b"\0"),
        SendAudio(pcm=bytes(48_000 * 60)),
        SendText(text=""),
        SendText(text="word " * 400_000, respond=False),
        Interrupt(response_id="nobody"),
        Interrupt(heard={"nobody": 1e12, "": -5.0}),
        ReportPlayed(response_id="nobody", ms=1e12),
        ReportPlayed(response_id="nobody", ms=-1.0),
        Configure(patch={}),
    ],
    ids=lambda one: str(one)[:60],
)
def test_what_is_odd_and_not_wrong_does_no_harm(command: Any) -> None:
    async def main() -> None:
        async with no_leaked_tasks(), voicebridge.connect(ScriptedBackend()) as session:
            await asyncio.sleep(0.1)
            with contextlib.suppress(VoiceBridgeError):
                await session.send(command)
            await session.send(SendText(text="Are you there?"))
            async for event in session:
                if isinstance(event, ResponseEnded):
                    break
        assert session.account.balanced

    run_in_virtual_time(main())
