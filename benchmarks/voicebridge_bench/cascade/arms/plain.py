"""A plain loop, as in the first tutorial that one finds: wait for the end, transcribe, think, speak, one by one."""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx

from .arm import INSTRUCTIONS, Call, Dial, Ears, Setup
from .level_gate import LevelGate

__all__ = ["OWN_SILENCE_MS", "Vendors", "phone"]

OWN_SILENCE_MS = 500
_RATE = 24_000


class Vendors:
    """The three requests of a turn, over connections that stay open."""

    def __init__(self, setup: Setup, key: str) -> None:
        self._urls, self._models = setup.urls, setup.models
        limits = httpx.Limits(keepalive_expiry=60.0)  # by default a connection is closed after five seconds
        self.http = httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=20.0, limits=limits)

    async def transcribe(self, pcm: bytes) -> str:
        """The text of an utterance."""
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(_RATE)
            out.writeframes(pcm)
        url = f"{self._urls['stt']}/audio/transcriptions"
        files = {"file": ("audio.wav", file.getvalue(), "audio/wav")}
        answer = await self.http.post(url, data={"model": self._models["stt"]}, files=files)
        answer.raise_for_status()
        text: str = answer.json()["text"]
        return text

    async def think(self, text: str) -> AsyncIterator[str]:
        """The answer, token by token."""
        messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": text}]
        asked = {"model": self._models["llm"], "stream": True, "messages": messages}
        async with self.http.stream("POST", f"{self._urls['llm']}/chat/completions", json=asked) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line.startswith("data: {") and (choices := json.loads(line[6:]).get("choices")):
                    yield choices[0]["delta"].get("content") or ""

    async def speak(self, text: str) -> AsyncIterator[bytes]:
        """The audio of a text, as it comes."""
        asked = {"model": self._models["tts"], "voice": "alloy", "input": text, "response_format": "pcm"}
        async with self.http.stream("POST", f"{self._urls['tts']}/audio/speech", json=asked) as answer:
            answer.raise_for_status()
            async for pcm in answer.aiter_bytes():
                yield pcm


class PlainCall:
    """One session."""

    def __init__(self, vendors: Vendors, silence_ms: int, ears: Ears) -> None:
        self._vendors, self._silence_ms, self._ears = vendors, silence_ms, ears
        self._gate = LevelGate()
        self.turn: asyncio.Task[None] | None = None

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        self._gate.push(pcm)
        if self._gate.speaking and self._gate.silence_ms >= self._silence_ms:
            self.turn = asyncio.create_task(self._answer(self._gate.audio()))
            self._gate.reset()

    async def _answer(self, pcm: bytes) -> None:
        heard = await self._vendors.transcribe(pcm)
        reply = "".join([token async for token in self._vendors.think(heard)])
        async for piece in self._vendors.speak(reply):
            self._ears.hear(piece)
        self._ears.ended()

    def guesses(self) -> Mapping[str, float]:
        """It makes none."""
        return {}


@asynccontextmanager
async def phone(setup: Setup) -> AsyncIterator[Dial]:
    """Nothing is shared between calls."""

    @asynccontextmanager
    async def dial(ears: Ears, key: str) -> AsyncIterator[Call]:
        vendors = Vendors(setup, key)
        async with vendors.http:
            call = PlainCall(vendors, setup.silence_ms or OWN_SILENCE_MS, ears)
            yield call
            if call.turn is not None:
                call.turn.cancel()

    yield dial
