"""A plain loop of somebody who knows better: it begins at 100 ms of silence, and speaks from the first clause on.

What it makes before the turn has ended is held back, and thrown away where the user goes on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from .arm import Call, Dial, Ears, Setup
from .level_gate import LevelGate
from .plain import OWN_SILENCE_MS, Vendors

__all__ = ["phone"]

_GUESS_MS = 100
_CLAUSE_ENDS = re.compile(r"[.,!?;:]\s")


class EarlyCall:
    """One session."""

    def __init__(self, vendors: Vendors, silence_ms: int, ears: Ears) -> None:
        self._vendors, self._silence_ms, self._ears = vendors, silence_ms, ears
        self._gate = LevelGate()
        self._ended = asyncio.Event()
        self._made = self._used = 0
        self.turn: asyncio.Task[None] | None = None

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        gate, before = self._gate, self._gate.silence_ms
        gate.push(pcm)
        if not gate.speaking:
            return
        if before >= _GUESS_MS and not gate.silence_ms and self.turn is not None:
            self.turn.cancel()  # the user goes on
        elif before < _GUESS_MS <= gate.silence_ms:
            self._ended = asyncio.Event()
            self._made += 1
            self.turn = asyncio.create_task(self._answer(gate.audio(), self._ended))
        if gate.silence_ms >= self._silence_ms:
            self._used += 1
            self._ended.set()
            gate.reset()

    async def _answer(self, pcm: bytes, ended: asyncio.Event) -> None:
        heard = await self._vendors.transcribe(pcm)
        clauses: asyncio.Queue[str] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._speak(clauses, ended))
            text = ""
            async for token in self._vendors.think(heard):
                text += token
                while found := _CLAUSE_ENDS.search(text):
                    clauses.put_nowait(text[: found.end()])
                    text = text[found.end() :]
            if text:
                clauses.put_nowait(text)
            clauses.put_nowait("")

    async def _speak(self, clauses: asyncio.Queue[str], ended: asyncio.Event) -> None:
        while clause := await clauses.get():
            async for piece in self._vendors.speak(clause):
                await ended.wait()
                self._ears.hear(piece)
        self._ears.ended()

    def guesses(self) -> Mapping[str, float]:
        """What it knows of them."""
        return {"guesses": self._made, "guesses_used": self._used}


@asynccontextmanager
async def phone(setup: Setup) -> AsyncIterator[Dial]:
    """Nothing is shared between calls."""

    @asynccontextmanager
    async def dial(ears: Ears, key: str) -> AsyncIterator[Call]:
        vendors = Vendors(setup, key)
        async with vendors.http:
            call = EarlyCall(vendors, setup.silence_ms or OWN_SILENCE_MS, ears)
            yield call
            if call.turn is not None:
                call.turn.cancel()

    yield dial
