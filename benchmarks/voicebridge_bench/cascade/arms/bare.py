"""A bare client for each strategy: sockets, and nothing that this one conversation does not need. It is the floor.

What it is above the bound is the instrument's own: the simulators', the network's, the event loop's. It knows one
vendor's wire by heart, survives no failure, and keeps no history.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from urllib.parse import urlsplit

from voicebridge_bench.cascade.ideal import Strategy

from .arm import INSTRUCTIONS, Call, Dial, Ears, Setup
from .level_gate import LevelGate

__all__ = ["phone"]

_GUESS_MS = 60
_RATE = 24_000
_BOUNDARY = "the-edge-of-a-part"
_MARKS = ".,!?;:"


class _Line:
    """One connection to one endpoint, always open."""

    def __init__(self, url: str, path: str, key: str, mime: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 80
        self._head = (
            f"POST {address.path}{path} HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: {mime}\r\nContent-Length: "
        ).encode()
        self._opening = asyncio.create_task(self._open())

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port, limit=1 << 22)

    async def ask(self, body: bytes) -> AsyncGenerator[bytes]:
        """The pieces of the answer's body. Left early, the connection is closed and another one opened."""
        reader, writer = await self._opening
        whole = False
        try:
            writer.write(self._head + str(len(body)).encode() + b"\r\n\r\n" + body)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                raise RuntimeError(f"refused: {head.decode('latin-1')}")
            if b"content-length: " in head:
                yield await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            else:
                while size := int(await reader.readline(), 16):
                    yield (await reader.readexactly(size + 2))[:-2]
                await reader.readline()
            whole = True
        finally:
            if not whole:
                writer.close()
                self._opening = asyncio.create_task(self._open())

    async def aclose(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            (await self._opening)[1].close()


class BareCall:
    """One session."""

    def __init__(self, setup: Setup, key: str, strategy: Strategy, ears: Ears) -> None:
        self._silence_ms, self._ears, self._models = setup.silence_ms or 500, ears, setup.models
        self._guess_ms = self._silence_ms if strategy == "commit-driven" else _GUESS_MS
        self._speculative = strategy == "speculative"
        form = f"multipart/form-data; boundary={_BOUNDARY}"
        self._hear = _Line(setup.urls["stt"], "/audio/transcriptions", key, form)
        self._think = _Line(setup.urls["llm"], "/chat/completions", key, "application/json")
        self._speak = _Line(setup.urls["tts"], "/audio/speech", key, "application/json")
        self._gate, self._ended = LevelGate(), asyncio.Event()
        self._made = self._used = 0
        self._turn: asyncio.Task[None] | None = None

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        gate, before = self._gate, self._gate.silence_ms
        gate.push(pcm)
        if not gate.speaking:
            return
        if before >= self._guess_ms and not gate.silence_ms and self._turn is not None:
            self._turn.cancel()
        elif before < self._guess_ms <= gate.silence_ms:
            self._ended = asyncio.Event()
            self._made += 1
            self._turn = asyncio.create_task(self._answer(gate.audio(), self._ended))
        if gate.silence_ms >= self._silence_ms:
            self._used += 1
            self._ended.set()
            gate.reset()

    async def _answer(self, pcm: bytes, ended: asyncio.Event) -> None:
        text = json.loads(b"".join([piece async for piece in self._hear.ask(self._form(pcm))]))["text"]
        if not self._speculative:
            await ended.wait()
        clauses: asyncio.Queue[str] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._say(clauses, ended))
            clause = ""
            async for token in self._tokens(text):
                clause += token
                if token[-1:] in _MARKS and token:
                    clauses.put_nowait(clause)
                    clause = ""
            clauses.put_nowait("")

    async def _tokens(self, text: str) -> AsyncIterator[str]:
        messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": text}]
        asked = {"model": self._models["llm"], "stream": True, "messages": messages}
        async with aclosing(self._think.ask(json.dumps(asked).encode())) as pieces:
            async for piece in pieces:
                for line in piece.split(b"\n"):
                    if line.startswith(b"data: {") and (choices := json.loads(line[6:])["choices"]):
                        yield choices[0]["delta"].get("content") or ""

    async def _say(self, clauses: asyncio.Queue[str], ended: asyncio.Event) -> None:
        while clause := await clauses.get():
            asked = {"model": self._models["tts"], "voice": "alloy", "input": clause, "response_format": "pcm"}
            async with aclosing(self._speak.ask(json.dumps(asked).encode())) as pieces:
                async for piece in pieces:
                    await ended.wait()
                    self._ears.hear(piece)

    def _form(self, pcm: bytes) -> bytes:
        part = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
        head = f'{part}"model"\r\n\r\n{self._models["stt"]}\r\n{part}"file"; filename="a.wav"\r\n\r\n'
        size = len(pcm)
        wav = struct.pack(
            "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, _RATE, _RATE * 2, 2, 16, b"data", size
        )
        return head.encode() + wav + pcm + f"\r\n--{_BOUNDARY}--\r\n".encode()

    def guesses(self) -> Mapping[str, float]:
        """What it knows of them."""
        return {"guesses": self._made, "guesses_used": self._used} if self._guess_ms < self._silence_ms else {}

    async def aclose(self) -> None:
        """Hang up."""
        if self._turn is not None:
            self._turn.cancel()
        for line in (self._hear, self._think, self._speak):
            await line.aclose()


@asynccontextmanager
async def phone(setup: Setup, *, strategy: Strategy) -> AsyncIterator[Dial]:
    """Nothing is shared between calls."""

    @asynccontextmanager
    async def dial(ears: Ears, key: str) -> AsyncIterator[Call]:
        call = BareCall(setup, key, strategy, ears)
        try:
            yield call
        finally:
            await call.aclose()

    yield dial
