"""What a recorder writes: whole after any end, without secrets, no larger in memory for a longer call."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from voicebridge import (
    DOOR_FORMAT,
    AudioFormat,
    BadRecording,
    Capabilities,
    Command,
    CommandSettled,
    Configure,
    Event,
    MessageItem,
    OutputAudio,
    OutputText,
    ProviderCommand,
    ProviderEvent,
    SendAudio,
    SendText,
    SessionConfig,
    SessionReady,
    ToolCall,
)
from voicebridge.observe import recording_writer
from voicebridge.observe.recorder import RecordedBackend, Recorder, new_folder
from voicebridge.observe.recording import Recording
from voicebridge.observe.scrubber import REMOVED, Scrubber, secrets_of_environment
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.transport.delivery import Delivery

from .conftest import cascade

ROOT = Path(__file__).parents[2]
CAPABILITIES = Capabilities(formats_in=(DOOR_FORMAT,), formats_out=(DOOR_FORMAT,), outputs=frozenset({"audio"}))


class Echo:
    """Gives back each piece of audio, and settles the rest."""

    capabilities = CAPABILITIES

    def __init__(self) -> None:
        self.delivery = Delivery(DOOR_FORMAT, asyncio.get_running_loop().time)
        ready = SessionReady(
            session_id="s", model="echo", capabilities=CAPABILITIES, input_format=DOOR_FORMAT, output_format=DOOR_FORMAT
        )
        self.delivery.put(ready)

    async def send(self, command: Command) -> None:
        if isinstance(command, SendAudio):
            await self.delivery.room()
            self.delivery.put(OutputAudio(response_id="r", pcm=command.pcm, offset_ms=0.0))
        else:
            self.delivery.put(CommandSettled(command_id=command.id))

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self.delivery)

    async def aclose(self) -> None:
        self.delivery.end()


def messages(folder: Path) -> list[Any]:
    recording = Recording(folder)
    return [recording.whole(line) for line in recording.lines() if line.message is not None]


async def test_both_sides_are_written_while_the_call_runs(tmp_path: Path) -> None:
    session = Recorder(Echo(), tmp_path / "call")
    reader = aiter(session)
    assert isinstance(await anext(reader), SessionReady)
    buffer = bytearray(b"\x01\x00" * 480)
    await session.send(SendAudio(pcm=buffer))  # type: ignore[arg-type]  # what microphones give
    buffer[:] = bytes(960)  # the owner fills it again
    await anext(reader)
    await session.send(SendText(id="t1", text="hi \ud83d half"))
    for _ in range(200):
        if len(Recording(tmp_path / "call").script) == 1:
            break
        await asyncio.sleep(0.02)
    running = Recording(tmp_path / "call")
    assert [one.id for one in running.script] == ["t1"]
    assert not running.complete
    await session.aclose()
    assert (Recording(tmp_path / "call").complete, session.fault) == (True, None)
    user, rate = soundfile.read(tmp_path / "call" / "user.wav", dtype="int16")
    agent, _ = soundfile.read(tmp_path / "call" / "agent.wav", dtype="int16")
    assert rate == 24_000
    assert user.tolist() == [1] * 480
    assert len(agent) == 480
    assert "recording" not in {thread.name for thread in threading.enumerate()}
    if os.name == "posix":
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "call").iterdir()}
        assert modes == {0o600}
        assert stat.S_IMODE((tmp_path / "call").stat().st_mode) == 0o700


async def test_events_that_nobody_read_before_the_close_are_in_it_and_still_come(tmp_path: Path) -> None:
    session = Recorder(Echo(), tmp_path / "call")
    await session.send(SendText(id="t1", text="hi"))
    await session.aclose()
    await session.aclose()
    events = [event async for event in session]
    assert [type(event) for event in events] == [SessionReady, CommandSettled]
    assert [type(one) for one in messages(tmp_path / "call")] == [SendText, SessionReady, CommandSettled]


async def test_another_format_goes_to_another_file(tmp_path: Path) -> None:
    echo = Echo()
    session = Recorder(echo, tmp_path / "call")
    await session.send(SendAudio(pcm=bytes(960)))
    low = AudioFormat(encoding="ulaw", rate=8_000)
    ready = SessionReady(session_id="s", model="m", capabilities=CAPABILITIES, input_format=low, output_format=low)
    echo.delivery.put(ready)
    reader = aiter(session)
    for _ in range(3):
        await anext(reader)
    await session.send(SendAudio(pcm=b"\xff" * 160))
    await anext(reader)
    await session.aclose()
    names = sorted(path.name for path in (tmp_path / "call").iterdir())
    assert names == ["agent-2.wav", "agent.wav", "call.jsonl", "user-2.wav", "user.wav"]
    assert soundfile.info(tmp_path / "call" / "user-2.wav").subtype == "ULAW"
    sent = [one.pcm for one in messages(tmp_path / "call") if isinstance(one, SendAudio)]
    assert sent == [bytes(960), b"\xff" * 160]


# Names


async def test_a_recording_is_never_written_over(tmp_path: Path) -> None:
    await Recorder(Echo(), tmp_path / "call").aclose()
    before = (tmp_path / "call" / "call.jsonl").read_bytes()
    with pytest.raises(BadRecording, match="holds a recording already: name a new folder"):
        Recorder(Echo(), tmp_path / "call")
    with pytest.raises(BadRecording, match="its name is empty"):
        Recorder(Echo(), "")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadRecording, match="is no folder"):
        Recorder(Echo(), tmp_path / "file")
    assert (tmp_path / "call" / "call.jsonl").read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
async def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "call").mkdir()
    (tmp_path / "call" / "call.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadRecording):
        Recorder(Echo(), tmp_path / "call")
    assert not (tmp_path / "elsewhere").exists()


def test_generated_names_are_unguessable_and_plain() -> None:
    names = {new_folder("calls").name for _ in range(50)}
    assert len(names) == 50
    for name in names:
        assert name.replace("-", "").isalnum()
        assert len(name.rpartition("-")[2]) == 32


# Ends


PROGRAM = """
import asyncio, sys
sys.path.insert(0, {root!r})
from tests.observe.test_recorder import Echo
from voicebridge import SendAudio, SendText
from voicebridge.observe.recorder import Recorder

async def main():
    session = Recorder(Echo(), {folder!r})
    reader = aiter(session)
    await anext(reader)
    for frame in range(100_000):
        await session.send(SendAudio(pcm=bytes([frame % 251, 0]) * 480))
        await anext(reader)
        await session.send(SendText(text=f"frame {{frame}}"))
        await anext(reader)
        print(frame, flush=True)
        await asyncio.sleep(0.005)

asyncio.run(main())
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_killed_in_the_middle_it_is_readable_to_the_last_second(tmp_path: Path) -> None:
    folder = tmp_path / "call"
    program = PROGRAM.format(root=str(ROOT), folder=str(folder))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        began, last, seen = time.monotonic(), 0, {}
        for line in process.stdout:
            last = int(line)
            seen[last] = time.monotonic()
            if last >= 150 and time.monotonic() - began > 1.5:
                break
        killed_at = time.monotonic()
    finally:
        process.kill()
        process.communicate()
    recording = Recording(folder)
    assert not recording.complete
    assert "the program that recorded it was stopped" in recording.problem
    kept = [one for one in messages(folder) if isinstance(one, SendText)]
    frames = [one.pcm for one in messages(folder) if isinstance(one, OutputAudio)]
    assert [one.text for one in kept] == [f"frame {frame}" for frame in range(len(kept))]
    assert frames == [bytes([frame % 251, 0]) * 480 for frame in range(len(frames))]
    assert killed_at - seen[min(len(kept), last)] < 1.0
    assert soundfile.info(folder / "agent.wav").frames > 0


class Full:
    """A disk that takes no more."""

    def __init__(self, real: Any) -> None:
        self.real, self.full = real, False

    def __call__(self, file: int, data: Any) -> int:
        if self.full:
            self.real(file, bytes(data)[:3])
            raise OSError(28, "No space left on device")
        written: int = self.real(file, data)
        return written


async def test_a_full_disk_ends_the_recording_and_not_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Full(os.write)
    monkeypatch.setattr(recording_writer.os, "write", disk)
    session = Recorder(Echo(), tmp_path / "call", in_thread=False)
    reader = aiter(session)
    await anext(reader)
    for number in range(1000):
        await session.send(SendText(text=f"{number}"))
        assert isinstance(await anext(reader), CommandSettled)
        disk.full = number >= 500
    await session.aclose()
    assert session.fault is not None
    assert session.fault.code == "recording_failed"
    assert "No space left on device" in session.fault.message
    assert [record.levelname for record in caplog.records if "not complete" in record.message] == ["WARNING"]
    recording = Recording(tmp_path / "call")
    assert not recording.complete
    assert 400 < len(recording.script) <= 500
    assert len(list(recording.lines())) >= 800


async def drained(session: Recorder) -> None:
    for _ in range(2000):
        if not session._writer._queue:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it was never written")


async def test_a_slow_disk_leaves_out_lines_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    real = os.write

    def slow(file: int, data: Any) -> int:
        gate.wait(20)
        return real(file, data)

    session = Recorder(Echo(), tmp_path / "call", limit_bytes=20_000)
    monkeypatch.setattr(recording_writer.os, "write", slow)
    reader = aiter(session)
    await anext(reader)
    for number in range(1000):
        await session.send(SendText(text=f"{number}"))
        await anext(reader)
        if number == 800:
            gate.set()
            await drained(session)
    await session.aclose()
    assert session.fault is not None
    assert session.fault.code == "recording_behind"
    recording = Recording(tmp_path / "call")
    assert not recording.complete
    gaps = [line.data["lines"] for line in recording.lines() if line.kind == "gap"]
    there = sum(1 for line in recording.lines() if line.message is not None)
    assert gaps
    assert there + sum(gaps) == 2001
    assert recording.script[-1].id == [one for one in messages(tmp_path / "call") if isinstance(one, SendText)][-1].id


# Memory


def test_an_hour_takes_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    async def talk(session: Any, seconds: int) -> None:
        reader = aiter(session)
        for _ in range(seconds * 2):
            await session.send(SendAudio(pcm=bytes(DOOR_FORMAT.size(500))))
            await anext(reader)
            await asyncio.sleep(0.5)

    async def main() -> tuple[int, int]:
        session = Recorder(Echo(), tmp_path / "call", in_thread=False)
        await talk(session, 60)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        await talk(session, 3540)
        after, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await session.aclose()
        return after - before, peak - before

    grown, peak = run_in_virtual_time(main())
    assert grown < 2_500_000  # what waits: 64 lines with their audio
    assert peak < 10_000_000
    recording = Recording(tmp_path / "call")
    assert recording.complete
    assert recording.duration_s == pytest.approx(3600)
    assert (tmp_path / "call" / "agent.wav").stat().st_size > 3599 * 48_000


# Secrets


CANARY = "sk-CANARY0123456789abcdefABCDEF"
PLAIN = 'a plain canary, with "quotes" and ünïcode'


async def test_no_secret_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_VENDOR_API_KEY", "canary-of-the-environment")
    echo = Echo()
    config = SessionConfig(
        api_key=PLAIN,  # type: ignore[arg-type]  # pydantic makes it a secret
        instructions=f"Use {PLAIN} or {CANARY}.",
        base_url="https://user:canarypassword@host/v1?key=canaryquery",
        options={"headers": {"Authorization": "Token canaryheader"}, "client_secret": {"value": "canaryvalue"}},
    )
    said = [MessageItem(role="user", text=f"My key is {CANARY}")]
    session = Recorder(echo, tmp_path / "call", config=config, history=said)
    text = f"{PLAIN} {CANARY} canary-of-the-environment Bearer canarybearer"
    await session.send(SendText(text=text))
    await session.send(Configure(patch={"api_key": "canarykey"}))
    await session.send(ProviderCommand(payload={"x-api-key": ["canaryinlist"], CANARY: {"cookie": "canarycookie"}}))
    echo.delivery.put(ProviderEvent(kind="auth", payload={"url": "wss://h/v1?token=canarytoken&x=1", "deep": [[text]]}))
    echo.delivery.put(ToolCall(response_id="r", call_id="c", name="n", arguments=json.dumps({"say": text})))
    echo.delivery.put(OutputText(response_id="r", delta=text))
    await session.aclose()
    everything = b"".join(path.read_bytes() for path in (tmp_path / "call").iterdir()).decode()
    for part in ("canary", "CANARY", "quotes"):
        assert part not in everything, everything
    assert REMOVED in everything
    [call] = [one for one in messages(tmp_path / "call") if isinstance(one, ToolCall)]
    assert "say" in json.loads(call.arguments)


def test_what_is_no_secret_stays() -> None:
    scrubber = Scrubber(["short", "localhost-key"])
    for text in ("short", "a task-force of desk-top risk-takers", "sk-8", "token", "data:image/png;base64,AAAA"):
        assert scrubber.text(text) == text
    line = '{"event": {"type": "usage_reported", "units": {"input_audio_tokens": 5}}, "t": 1.0}'
    assert scrubber.line(line) is line
    assert scrubber.value({"max_token": 5, "token": 7, "api_key": None}) == {
        "max_token": 5,
        "token": 7,
        "api_key": None,
    }


def test_only_secret_variables_of_the_environment_count() -> None:
    given = {"A_KEY": "k" * 20, "B_TOKEN": "t" * 20, "MONKEY_BUSINESS": "m" * 20, "C_SECRET": "short"}
    assert secrets_of_environment(given) == ("k" * 20, "t" * 20)


# Other folders


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "has no call.jsonl: it is no recorded session"),
        ("", "its first line is no header"),
        ("[1]\n", "its first line is no header"),
        ('{"recording": 2}\n', "format 2, and this voicebridge reads 1. Upgrade"),
        ('{"recording": 1}\n{"what": 1, "t": 0}\n{"close": true, "t": 1}\n', "Line 2 of"),
        ('{"recording": 1}\n{"command": {"type": "fly"}, "t": 0}\n', "Line 2 of"),
        ('{"recording": 1}\n', "does not say what the session could do"),
    ],
)
def test_what_is_no_recording_is_said(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "call.jsonl").write_text(text)
    with pytest.raises(BadRecording) as caught:
        _ = Recording(tmp_path).capabilities
    assert said in str(caught.value)


async def test_audio_outside_of_the_folder_is_not_read(tmp_path: Path) -> None:
    session = Recorder(Echo(), tmp_path / "call")
    await session.send(SendAudio(pcm=bytes(960)))
    await session.aclose()
    log = tmp_path / "call" / "call.jsonl"
    text = log.read_text()
    for name in ("../user.wav", "/etc/passwd", "call.jsonl"):
        log.write_text(text.replace('"file": "user.wav"', f'"file": "{name}"'))
        with pytest.raises(BadRecording, match="outside of the recording"):
            messages(tmp_path / "call")
    log.write_text(text)
    (tmp_path / "call" / "user.wav").write_bytes(b"RIFF")
    with pytest.raises(BadRecording, match="is shorter than"):
        messages(tmp_path / "call")
    (tmp_path / "call" / "user.wav").unlink()
    with pytest.raises(BadRecording, match="can't be read"):
        messages(tmp_path / "call")


# As a backend


async def test_every_session_of_a_server_has_a_folder_of_its_own(tmp_path: Path) -> None:
    backend = RecordedBackend(cascade(), lambda: new_folder(tmp_path))
    assert backend.capabilities.formats_in
    for _ in range(2):
        async with backend.connect(SessionConfig()) as session:
            assert isinstance(await anext(aiter(session)), SessionReady)
    folders = os.listdir(tmp_path)
    assert [Recording(tmp_path / folder).complete for folder in folders] == [True, True]
