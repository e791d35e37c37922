"""Speak v1: text in, audio out; and the same over HTTP."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.pacing import in_pieces, paced_audio, until
from voicebridge.testing.simulator.voice import voice_named
from voicebridge.testing.simulator.wire import HttpRequest, Link, Reply

from .client_socket import ClientSocket, identifier, read
from .options import WireOptions

__all__ = ["SpeakWire", "answer_speak"]

_MINUTE_S = 60.0


class SpeakWire:
    """Is a `Wire`."""

    def __init__(
        self,
        link: Link,
        request: HttpRequest,
        options: WireOptions,
        callers: Callers,
        caller: str,
        audio: AudioFormat,
        left: Callable[[], None],
    ) -> None:
        self._options, self._callers, self._caller, self._left = options, callers, caller, left
        self._format, self._model = audio, request.query.get("model", "aura-asteria-en")
        self._speed = _speed(request)
        self._socket = ClientSocket(link, None)
        self._voice = voice_named(options.voice, ms_per_char=options.ms_per_char)
        self._text = ""
        self._sequence = 0
        self._flushes: deque[float] = deque()

    async def opened(self) -> None:
        """See `Wire.opened`."""
        self._socket.work.begin()
        await self._socket.tell(
            "Metadata",
            request_id=self._socket.request_id,
            model_name=self._model,
            model_version="2026-01-01.0",
            model_uuid=identifier("model", self._model),
        )

    async def received(self, frame: str | bytes) -> None:
        """See `Wire.received`."""
        event = read(frame) if isinstance(frame, str) else None
        match (event or {}).get("type"):
            case "Speak" if isinstance((event or {}).get("text"), str):
                self._text += (event or {})["text"]
            case "Flush":
                await self._flush()
            case "Clear":
                self._text = ""
                self._socket.work.drop()
                await self._socket.tell("Cleared", sequence_id=self._next())
            case "Close":
                if self._text:
                    await self._flush()
                self._socket.work.then(self._socket.link.close(1000, ""))
            case _:
                await self._socket.link.close(1008, "DATA-0000: The message could not be read.")

    async def aclose(self) -> None:
        """See `Wire.aclose`."""
        await self._socket.work.aclose()
        await self._voice.aclose()
        self._left()

    async def _flush(self) -> None:
        now = time.monotonic()
        while self._flushes and self._flushes[0] <= now - _MINUTE_S:
            self._flushes.popleft()
        if len(self._flushes) >= self._options.most_flushes:
            said = "No more flush messages can be processed in this minute."
            await self._socket.tell("Warning", code="EXCESSIVE_FLUSH", description=said)
            return
        self._flushes.append(now)
        text, self._text = self._text, ""
        self._socket.work.then(self._speak(text, now))

    async def _speak(self, text: str, asked_at: float) -> None:
        number = self._socket.link.number
        if text.strip():
            with self._callers.turn(self._caller, cause="speak", connection=number, at=asked_at) as turn:
                due = turn.began + turn.ms("speech") / 1000
                spoken = self._voice.speak(text, self._format, self._speed)
                async for pcm in _paced(spoken, self._format, self._options, due):
                    turn.stamp("first_audio")
                    await self._socket.link.send("audio", pcm)
        await self._socket.tell("Flushed", sequence_id=self._next())

    def _next(self) -> int:
        number, self._sequence = self._sequence, self._sequence + 1
        return number


async def answer_speak(
    request: HttpRequest, reply: Reply, text: str, options: WireOptions, callers: Callers, caller: str
) -> None:
    """Answer `POST /v1/speak`: PCM without a container, as it is made."""
    audio = AudioFormat(rate=int(request.query.get("sample_rate", "24000")))
    voice = voice_named(options.voice, ms_per_char=options.ms_per_char)
    with callers.turn(caller, cause="speak", connection=reply.number, at=request.at) as turn:
        try:
            due = turn.began + turn.ms("speech") / 1000
            async for pcm in _paced(voice.speak(text, audio, _speed(request)), audio, options, due):
                if "first_audio" not in turn.record.stamps:
                    await reply.start(200, {"Content-Type": "audio/l16", "dg-char-count": str(len(text))})
                turn.stamp("first_audio")
                await reply.send("audio", pcm)
        finally:
            await voice.aclose()
    await reply.end()


async def _paced(
    spoken: AsyncGenerator[tuple[bytes, str], None], audio: AudioFormat, options: WireOptions, due: float
) -> AsyncIterator[bytes]:
    """The audio in frames, no faster than it is sent, the first one when it is due: until then it is made ready."""

    async def pcm() -> AsyncGenerator[bytes, None]:
        async with aclosing(spoken):
            async for piece, _ in spoken:
                yield piece

    async for frame in paced_audio(in_pieces(pcm(), audio.size(options.chunk_ms)), audio, options.pace, since=due):
        await until(due)
        yield frame


def _speed(request: HttpRequest) -> float:
    try:
        return float(request.query.get("speed", "1"))
    except ValueError:
        return 1.0
