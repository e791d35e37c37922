"""LiveKit Agents: an `AgentSession` with an input and an output of its own, so without a LiveKit server and a room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.utils import http_context
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins import openai

from .arm import INSTRUCTIONS, Call, Dial, Ears, Setup

__all__ = ["phone"]

_RATE = 24_000


class _Microphone(AudioInput):  # type: ignore[misc, unused-ignore]  # the package may be missing where types are checked
    def __init__(self) -> None:
        super().__init__(label="bench")
        self.frames: asyncio.Queue[Any] = asyncio.Queue()

    async def __anext__(self) -> Any:
        return await self.frames.get()


class _Speaker(AudioOutput):  # type: ignore[misc, unused-ignore]  # as above
    """Plays in real time: says when it has finished, as the library asks of a speaker."""

    def __init__(self, ears: Ears) -> None:
        super().__init__(label="bench", capabilities=AudioOutputCapabilities(pause=False), sample_rate=_RATE)
        self._ears = ears
        self._clock = asyncio.get_running_loop().time
        self._began = self._seconds = 0.0
        self._ending: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: Any) -> None:
        """A piece of the agent's voice."""
        await super().capture_frame(frame)
        if not self._seconds:
            self._began = self._clock()
            self.on_playback_started(created_at=self._began)
        self._seconds += frame.duration
        self._ears.hear(bytes(frame.data))

    def flush(self) -> None:
        """All of an answer is there."""
        super().flush()
        if self._seconds and self._ending is None:
            left = max(0.0, self._began + self._seconds - self._clock())
            self._ending = asyncio.get_running_loop().call_later(left, self._finish, False)

    def clear_buffer(self) -> None:
        """The user speaks."""
        if self._ending is not None:
            self._ending.cancel()
        if self._seconds:
            self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        played = min(self._seconds, self._clock() - self._began) if interrupted else self._seconds
        self._seconds, self._ending = 0.0, None
        self.on_playback_finished(playback_position=played, interrupted=interrupted)
        self._ears.ended()


class LiveKitCall:
    """One session."""

    def __init__(self, microphone: _Microphone) -> None:
        self._microphone = microphone

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        self._microphone.frames.put_nowait(rtc.AudioFrame(pcm, _RATE, 1, len(pcm) // 2))

    def guesses(self) -> Mapping[str, float]:
        """Not told."""
        return {}


@asynccontextmanager
async def phone(setup: Setup) -> AsyncIterator[Dial]:
    """Nothing is shared between calls but what the library shares by itself."""
    options: dict[str, Any] = {}
    if setup.silence_ms is not None:
        endpointing = {"min_delay": setup.silence_ms / 1000}
        options["turn_handling"] = {"turn_detection": "vad", "endpointing": endpointing}

    @asynccontextmanager
    async def dial(ears: Ears, key: str) -> AsyncIterator[Call]:
        models, urls = setup.models, setup.urls
        session: Any = AgentSession(
            stt=openai.STT(model=models["stt"], api_key=key, base_url=urls["stt"]),
            llm=openai.LLM(model=models["llm"], api_key=key, base_url=urls["llm"]),
            tts=openai.TTS(model=models["tts"], api_key=key, base_url=urls["tts"], response_format="pcm"),
            **options,
        )
        microphone = _Microphone()
        session.input.audio, session.output.audio = microphone, _Speaker(ears)
        await session.start(Agent(instructions=INSTRUCTIONS))
        try:
            yield LiveKitCall(microphone)
        finally:
            await session.aclose()

    async with http_context.open():
        yield dial
