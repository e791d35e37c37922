"""Speaking over a websocket: contexts with text in, chunks of audio out."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import orjson

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.client_work import ClientWork
from voicebridge.testing.simulator.voice import voice_named
from voicebridge.testing.simulator.wire import Link

from .formats import error, output_format
from .options import WireOptions
from .speech import Clock, spoken

__all__ = ["SpeakWire", "speed_of"]


class _Context:
    """An answer: texts in order, spoken by one task."""

    def __init__(self, request: dict[str, Any], audio: AudioFormat) -> None:
        self.id = str(request["context_id"])
        self.audio, self.speed = audio, speed_of(request)
        self.stamps = bool(request.get("add_timestamps"))
        self.clock = Clock()
        self.flush_id = 1
        self.texts: asyncio.Queue[tuple[str, float] | int | None] = asyncio.Queue()
        """Text with the time when it came; the number of a flush; None: there is no more."""
        self.task: asyncio.Task[None] | None = None
        self.over = False


class SpeakWire:
    """Is a `Wire`."""

    def __init__(self, link: Link, options: WireOptions, callers: Callers, caller: str) -> None:
        self._link, self._options, self._callers, self._caller = link, options, callers, caller
        self._work = ClientWork(link)
        self._voice = voice_named(options.voice, ms_per_char=options.ms_per_char)
        self._contexts: dict[str, _Context] = {}

    async def opened(self) -> None:
        """See `Wire.opened`."""
        self._work.begin()

    async def received(self, frame: str | bytes) -> None:
        """See `Wire.received`."""
        request: Any = None
        with suppress(orjson.JSONDecodeError):
            request = orjson.loads(frame)
        if not isinstance(request, dict) or not isinstance(request.get("context_id"), str):
            await self._refuse(400, "Invalid request", "A message is an object with a context_id.", "invalid_request")
            return
        context = self._contexts.get(request["context_id"])
        if request.get("cancel") is True:
            if context is not None and context.task is not None:
                context.task.cancel()
            return
        if context is None:
            context = await self._begin(request)
        if context is None:
            return
        if context.over:
            said = "The context has ended, and takes no more input."
            await self._refuse(400, "Context has ended", said, "context_ended", context.id)
            return
        self._give(context, request)

    async def aclose(self) -> None:
        """See `Wire.aclose`."""
        await self._work.aclose()
        await self._voice.aclose()

    async def _begin(self, request: dict[str, Any]) -> _Context | None:
        audio, id = output_format(request.get("output_format")), request["context_id"]
        voice = request.get("voice")
        if audio is None:
            await self._refuse(400, "Invalid output format", "No such output_format.", "invalid_output_format", id)
        elif not isinstance(request.get("model_id"), str) or not request["model_id"].startswith("sonic"):
            await self._refuse(404, "Model not found", "The model was not found.", "model_not_found", id)
        elif not (isinstance(voice, str) or (isinstance(voice, dict) and isinstance(voice.get("id"), str))):
            await self._refuse(400, "Invalid voice", "The voice is an id.", "invalid_voice", id)
        elif 0 < self._options.max_contexts <= sum(not one.over for one in self._contexts.values()):
            said = "Too many concurrent requests for your plan."
            await self._refuse(429, "Concurrency limit exceeded", said, "concurrency_limited", id)
        else:
            context = self._contexts[id] = _Context(request, audio)
            context.task = self._work.beside(self._speak(context))
            return context
        return None

    def _give(self, context: _Context, request: dict[str, Any]) -> None:
        text = request.get("transcript")
        if isinstance(text, str) and text.strip():
            context.texts.put_nowait((text, time.monotonic()))
        if request.get("flush"):
            context.texts.put_nowait(context.flush_id)
            context.flush_id += 1
        if not request.get("continue"):
            context.texts.put_nowait(None)

    async def _speak(self, context: _Context) -> None:
        try:
            begun = False
            while True:
                try:
                    async with asyncio.timeout(self._options.context_s if begun else None):
                        given = await context.texts.get()
                except TimeoutError:
                    break
                if given is None:
                    break
                if isinstance(given, int):
                    await self._tell(context, "flush_done", done=False, flush_done=True, flush_id=given)
                    continue
                await self._say(context, *given, first=not begun)
                begun = True
            context.over = True
            await self._tell(context, "done", done=True)
        finally:
            context.over = True

    async def _say(self, context: _Context, text: str, asked_at: float, *, first: bool) -> None:
        with self._callers.turn(self._caller, cause="speak", connection=self._link.number, at=asked_at) as turn:
            due = turn.began + (turn.ms("speech") / 1000 if first else 0.0)
            sounds = spoken(
                self._voice, text, context.audio, self._options, speed=context.speed, due=due, clock=context.clock
            )
            async for kind, value in sounds:
                if kind == "chunk":
                    turn.stamp("first_audio")
                    await self._tell(context, "chunk", data=value, done=False, step_time=1.0, flush_id=context.flush_id)
                elif context.stamps:
                    await self._tell(context, "timestamps", word_timestamps=value, done=False)

    async def _tell(self, context: _Context, kind: str, **fields: Any) -> None:
        event = {"type": kind, "context_id": context.id, "status_code": 206 if kind != "done" else 200, **fields}
        await self._link.send(kind, orjson.dumps(event).decode())

    async def _refuse(self, status: int, title: str, message: str, code: str, context_id: str = "") -> None:
        event = {**error(status, title, message, code), "done": True}
        if context_id:
            event["context_id"] = context_id
        await self._link.send("error", orjson.dumps(event).decode())


def speed_of(request: dict[str, Any]) -> float:
    """How fast the voice is to speak."""
    manner = request.get("generation_config")
    speed = manner.get("speed") if isinstance(manner, dict) else None
    return float(speed) if isinstance(speed, int | float) and 0.5 <= speed <= 2 else 1.0
