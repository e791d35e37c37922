"""What can't be written is a gap in the recording, and nothing that goes wrong there is silent or reaches the call."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from voicebridge import Command, Event, OutputAudio, OutputText, ProviderEvent, SendAudio
from voicebridge.observe.recorder import Recorder
from voicebridge.observe.recording import Recording
from voicebridge.testing.script import SCRIPTED_CAPABILITIES

SOUND = bytes(960)
HELLO = OutputText(response_id="r", delta="hello", kind="speech")


class Foreign:
    """Gives whatever it is told to, as no backend should, and takes anything."""

    capabilities = SCRIPTED_CAPABILITIES

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.taken: list[Command] = []

    async def send(self, command: Command) -> None:
        self.taken.append(command)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if not self.events:
            raise StopAsyncIteration
        return self.events.pop(0)

    async def aclose(self) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class LoudAudio(SendAudio):
    loudness: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoudText(OutputText):
    loudness: Any = None


def nested(depth: int) -> Any:
    return {"a": nested(depth - 1)} if depth else "token=abcdefgh1234"


def audio(**fields: Any) -> OutputAudio:
    return OutputAudio(**({"response_id": "r", "pcm": SOUND, "offset_ms": 0.0} | fields))


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize(
    "event",
    [
        audio(response_id=object()),
        audio(response_id=5),
        audio(pcm=None),
        audio(pcm="text"),
        LoudText(response_id="r", delta="x", kind="speech", loudness=object()),
        ProviderEvent(kind="x", payload=nested(900)),
    ],
    ids=["object", "number", "no-audio", "text", "subclass", "deep"],
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # a field of a wrong type is the point
async def test_an_event_that_cannot_be_written_is_a_gap_and_the_rest_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, event: Event, in_thread: bool
) -> None:
    session = Recorder(Foreign([audio(), event, HELLO]), tmp_path / "call", in_thread=in_thread)
    events = [one async for one in session]
    assert [type(one) for one in events] == [OutputAudio, type(event), OutputText]
    assert session.fault is not None
    assert (session.fault.code, type(event).__name__ in session.fault.message) == ("recording_gap", True)
    assert len([one for one in caplog.records if "not complete" in one.message]) == 1
    recording = Recording(tmp_path / "call")
    lines = list(recording.lines())
    assert [line.kind for line in lines] == ["event", "gap", "event", "end"]
    assert lines[1].data == {"lines": 1, "what": type(event).__name__}
    assert (recording.whole(lines[0]), lines[2].message) == (audio(at=events[0].at), HELLO)
    assert not recording.complete
    assert "is missing" in recording.problem


async def test_audio_of_another_class_reaches_the_session_and_is_a_gap(tmp_path: Path) -> None:
    inner = Foreign([HELLO])
    session = Recorder(inner, tmp_path / "call")
    command = LoudAudio(pcm=SOUND, loudness=object())
    await session.send(command)
    await session.aclose()
    assert inner.taken == [command]
    assert [line.kind for line in Recording(tmp_path / "call").lines()] == ["gap", "close", "event", "end"]
    assert session.fault is not None


@pytest.mark.parametrize("in_thread", [True, False])
async def test_what_nobody_thought_of_is_told_once_and_the_log_has_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, in_thread: bool
) -> None:
    died: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    session = Recorder(Foreign([HELLO, audio(), HELLO]), tmp_path / "call", in_thread=in_thread)

    def fail(*_: Any) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(session._writer._tracks["agent"], "add", fail)
    assert len([one async for one in session]) == 3
    await session.aclose()
    assert session.fault is not None
    assert session.fault.code == "recording_failed"
    assert "nobody thought of this" in session.fault.message
    assert len([one for one in caplog.records if "not complete" in one.message]) == 1
    assert not died
    recording = Recording(tmp_path / "call")
    assert "nobody thought of this" in recording.problem
    assert [line.kind for line in recording.lines()][-1] == "end"
