"""Conversations to record, and the user who has one again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from voicebridge import CommandSettled, Event, ResponseStarted, VoiceBridgeError, VoiceSession, connect_raw
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.stages import PCM_16K
from voicebridge.observe.recorder import RecordedBackend
from voicebridge.observe.recording import Recording
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import EAGER_MS, FRAME_MS, User


def cascade(**seats: Any) -> CascadeBackend:
    return CascadeBackend(
        stt=seats.get("stt") or (lambda: ScriptedRecogniser(["hello there", "go on", "and on"], final_s=0.05)),
        llm=seats.get("llm") or (lambda: ScriptedModel(["Hi,", " nice to meet you."], first_s=0.2, piece_s=0.1)),
        tts=seats.get("tts") or (lambda: ScriptedVoice(first_s=0.1)),
        detector=lambda: EnergyDetector(frame_ms=FRAME_MS, eager_ms=EAGER_MS),
    )


@asynccontextmanager
async def recorded_user(folder: Path, *, seats: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[User]:
    """A user whose session is recorded, below the door."""
    backend = RecordedBackend(cascade(**(seats or {})), folder, in_thread=False)
    options = {"turns": {"silence_ms": 200}, "input_format": PCM_16K} | options
    async with connect_raw(backend, **options) as session:
        user = User(session)
        try:
            yield user
        finally:
            await user.done()
    assert backend.recorder is not None
    assert backend.recorder.fault is None


def record(folder: Path, conversation: Callable[[User], Coroutine[Any, Any, None]], **options: Any) -> Recording:
    """What a user does, recorded in virtual time."""

    async def main() -> None:
        async with recorded_user(folder, **options) as user:
            await conversation(user)
        user.check()

    run_in_virtual_time(main())
    return Recording(folder)


async def again(session: VoiceSession, recording: Recording) -> list[Event]:
    """Send what was sent, each command once the events before it have come; the events that come now."""
    reader, events = aiter(session), []
    for line in recording.lines():
        if line.kind == "event":
            async with asyncio.timeout(3600):
                events.append(await anext(reader))
        elif line.kind == "close":
            await session.aclose()
        elif line.kind == "command" and line.message is not None:
            command: Any = recording.whole(line)
            refused = command.id in recording.refused
            with pytest.raises(VoiceBridgeError) if refused else nullcontext():
                await session.send(replace(command, id=f"again-{command.id}"))
    return events


def expected(recording: Recording) -> list[Event]:
    """The events of a recording, as `again` should get them."""
    events: list[Event] = []
    for line in recording.lines():
        if line.kind != "event":
            continue
        event: Any = recording.whole(line)
        if isinstance(event, CommandSettled):
            event = replace(event, command_id=f"again-{event.command_id}")
        elif isinstance(event, ResponseStarted):
            ids = {one.id for one in recording.script}
            event = replace(event, answers=tuple(f"again-{one}" if one in ids else one for one in event.answers))
        events.append(event)
    return timeless(events)


def timeless(events: list[Any]) -> list[Any]:
    return [replace(event, at=0.0) for event in events]
