"""The simulator as a server, and a plain HTTP client before it."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.testing.simulator.bare_client import tone
from voicebridge.testing.simulator.engine import SimulatedServer
from voicebridge.testing.simulator.turn_log import TurnRecord
from voicebridge_openai.http_simulator import simulator


class Api:
    """Asks the server, and reads what it answers."""

    def __init__(self, server: SimulatedServer, http: httpx.AsyncClient) -> None:
        self.server = server
        self.http = http

    async def chat(self, said: str = "Hi there", *, status: int = 200, **body: Any) -> Any:
        """The body of a chat, read; a list of its events where it streams."""
        messages = [{"role": "user", "content": said}]
        return await self.post("/chat/completions", status, {"model": "gpt-4o", "messages": messages} | body)

    async def responses(self, said: Any = "Hi there", *, status: int = 200, **body: Any) -> Any:
        """The same of a response."""
        return await self.post("/responses", status, {"model": "gpt-4o", "input": said} | body)

    async def post(self, path: str, status: int, body: Any) -> Any:
        """Send JSON."""
        return read(await self.http.post(path, json=body), status)

    async def upload(
        self, content: bytes | None = None, *, name: str = "speech.wav", status: int = 200, **fields: Any
    ) -> Any:
        """Upload a file, a second of a tone unless it is given; text is given as it is."""
        files = {"file": (name, wav(tone(1000, rate=16_000)) if content is None else content, "audio/wav")}
        form = {"model": "gpt-4o-transcribe"} | fields
        return read(await self.http.post("/audio/transcriptions", data=form, files=files), status)

    async def speech(self, said: str = "Hello there.", *, status: int = 200, **body: Any) -> httpx.Response:
        """Speech, in `content`."""
        asked = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": said, "response_format": "pcm"} | body
        response = await self.http.post("/audio/speech", json=asked)
        assert response.status_code == status, response.text
        return response

    def turn(self) -> TurnRecord:
        """The record of the last request."""
        assert self.server.turns is not None
        return self.server.turns.turns[-1]


def read(response: httpx.Response, status: int = 200) -> Any:
    """A body by its media type: JSON, the events of a stream, or text."""
    assert response.status_code == status, response.text
    kind = response.headers["content-type"]
    if kind.startswith("text/event-stream"):
        return [event_of(block) for block in response.text.split("\n\n") if block]
    return response.json() if kind == "application/json" else response.text


def event_of(block: str) -> Any:
    """The data of an event; its `event:` line, if any, must name its type."""
    lines = dict(line.split(": ", 1) for line in block.split("\n"))
    data = lines["data"]
    event = data if data == "[DONE]" else json.loads(data)
    assert "event" not in lines or lines["event"] == event["type"]
    return event


def wav(pcm: bytes, *, rate: int = 16_000, channels: int = 1, length: int | None = None) -> bytes:
    """A WAV file; its header may lie about the length."""
    size = len(pcm) if length is None else length
    layout = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * 2 * channels, 2 * channels, 16)
    return b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + layout + b"data" + struct.pack("<I", size) + pcm


Serve = Callable[..., AbstractAsyncContextManager[Api]]


@pytest.fixture
def serve() -> Serve:
    """`async with serve(replies=["Hi."]) as api`."""

    @asynccontextmanager
    async def served(
        *,
        faults: tuple[str, ...] = (),
        profile: str = "instant",
        key: str | None = "sk-test",
        headers: Mapping[str, str] = {},  # only read
        **options: Any,
    ) -> AsyncIterator[Api]:
        server = simulator(SimulatorSettings(faults=faults, profile=profile, options=options))
        shown = {"Authorization": f"Bearer {key}"} if key else {}
        async with server.serve() as url, httpx.AsyncClient(base_url=url, headers=shown | dict(headers)) as http:
            yield Api(server, http)

    return served


@pytest.fixture
def make_wav() -> Callable[..., bytes]:
    """A WAV file around PCM."""
    return wav
