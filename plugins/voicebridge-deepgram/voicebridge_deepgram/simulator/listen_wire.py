"""Listen v1: audio in, `Results` out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.stages import TurnSignal
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.ears import Ears
from voicebridge.testing.simulator.hearing import Hearing, spread
from voicebridge.testing.simulator.wire import HttpRequest, Link

from .client_socket import ClientSocket, identifier, read
from .options import WireOptions

__all__ = ["ListenWire"]

_LONGEST_SILENCE_MS = 10_000


class ListenWire:
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
        self._query, self._format = request.query, audio
        self._socket = ClientSocket(link, options.idle_s)
        self._hearing = Hearing(options.transcripts, options.recogniser)
        self._ears = Ears(options.detector, audio)
        self._endpointing = _endpointing(request.query.get("endpointing", "10"))
        self._ears.configure(self._endpointing or _LONGEST_SILENCE_MS, 0.5)
        self._buffer = bytearray()
        """What is not final yet."""
        self._utterance = bytearray()
        self._end_ms = 0.0
        """All audio that came."""
        self._interim_ms = 0.0
        self._spoke_ms: float | None = None
        """Where speech began that is not final yet."""
        self._told_words = 0
        """Of the utterance, in final pieces."""
        self._voiced = False
        """The user speaks, as the ears have it."""

    async def opened(self) -> None:
        """See `Wire.opened`."""
        self._socket.work.begin()

    async def received(self, frame: str | bytes) -> None:
        """See `Wire.received`."""
        if isinstance(frame, bytes) and frame:
            self._socket.work.alive()
            await self._audio(frame)
            return
        event = read(frame) if frame else {"type": "CloseStream"}
        kind = (event or {}).get("type")
        if kind == "KeepAlive":
            self._socket.work.alive()
        elif kind == "Finalize":
            if self._buffer or self._told_words:  # with nothing left to write, Deepgram need not answer
                self._finish(from_finalize=True)
        elif kind == "CloseStream":
            if self._buffer:
                self._finish()
            self._socket.work.then(self._goodbye())
        elif kind == "Configure":
            await self._socket.tell("ConfigureSuccess", request_id=self._socket.request_id)
        else:
            shown = frame if isinstance(frame, str) else ""
            said = "Could not deserialize the text message."
            await self._socket.tell("Error", variant="SchemaError", description=said, message=shown)

    async def aclose(self) -> None:
        """See `Wire.aclose`."""
        await self._socket.work.aclose()
        await self._hearing.aclose()
        await self._ears.aclose()
        self._left()

    async def _audio(self, pcm: bytes) -> None:
        self._buffer += pcm
        self._utterance += pcm
        self._end_ms += self._format.ms(len(pcm))
        for signal in await self._ears.push(pcm):
            await self._noticed(signal)
        if self._spoke_ms is None or self._end_ms - self._interim_ms < self._options.interim_ms:
            return
        self._interim_ms = self._end_ms
        text = self._so_far()
        if self._options.final_ms and self._format.ms(len(self._buffer)) >= self._options.final_ms:
            self._told_words += len(text.split())
            self._socket.work.then(self._results(text, *self._window(), is_final=True))
            self._buffer.clear()
            self._spoke_ms = self._end_ms
        elif text and self._query.get("interim_results") == "true":
            self._socket.work.then(self._results(text, *self._window()))

    async def _noticed(self, signal: TurnSignal) -> None:
        self._voiced = signal.phase in ("speech", "resumed")
        if self._voiced:
            if self._spoke_ms is None:
                self._spoke_ms = signal.audio_ms
            if signal.phase == "speech" and self._query.get("vad_events") == "true":
                await self._socket.tell("SpeechStarted", channel=[0], timestamp=round(signal.audio_ms / 1000, 3))
        elif signal.phase == "end" and self._endpointing:
            self._finish(speech_final=True)
            if "utterance_end_ms" in self._query:
                ended = round(signal.audio_ms / 1000, 3)
                self._socket.work.then(self._socket.tell("UtteranceEnd", channel=[0, 1], last_word_end=ended))

    def _so_far(self) -> str:
        """As many words of the script as fit into the time, those in final pieces left out."""
        words = self._hearing.so_far(self._format.ms(len(self._utterance))).split()
        return " ".join(words[self._told_words :])

    def _window(self) -> tuple[float, float]:
        return self._end_ms - self._format.ms(len(self._buffer)), self._end_ms

    def _finish(self, *, from_finalize: bool = False, speech_final: bool = False) -> None:
        """All that has come is to be final: what comes now belongs to the next piece."""
        job = self._write_down(
            bytes(self._utterance) if self._spoke_ms is not None or self._told_words else b"",
            *self._window(),
            told_words=self._told_words,
            asked_at=time.monotonic(),
            from_finalize=from_finalize,
            speech_final=speech_final,
        )
        self._buffer.clear()
        self._utterance.clear()
        self._spoke_ms, self._told_words = self._end_ms if self._voiced else None, 0
        self._interim_ms = self._end_ms
        self._socket.work.then(job)

    async def _write_down(
        self,
        audio: bytes,
        start_ms: float,
        end_ms: float,
        *,
        told_words: int,
        asked_at: float,
        from_finalize: bool,
        speech_final: bool,
    ) -> None:
        number = self._socket.link.number
        with self._callers.turn(self._caller, cause="listen", connection=number, at=asked_at) as turn:
            turn.record.audio_ms |= {"started": start_ms, "stopped": end_ms}
            text = ""
            if audio:
                words = (await self._hearing.text(audio, self._format)).split()
                text = " ".join(words[told_words:])
                self._hearing.turn_over()
            await turn.wait("transcription")
            turn.stamp("first_text")
            await self._results(
                text, start_ms, end_ms, is_final=True, speech_final=speech_final, from_finalize=from_finalize
            )

    async def _results(
        self,
        text: str,
        start_ms: float,
        end_ms: float,
        *,
        is_final: bool = False,
        speech_final: bool = False,
        from_finalize: bool = False,
    ) -> None:
        start_s, end_s = round(start_ms / 1000, 3), round(end_ms / 1000, 3)
        words = [
            {"word": word, "punctuated_word": word, "start": start, "end": end, "confidence": 0.99}
            for word, start, end in spread(text, start_s, end_s)
        ]
        await self._socket.tell(
            "Results",
            channel_index=[0, 1],
            duration=round(end_s - start_s, 3),
            start=start_s,
            is_final=is_final,
            speech_final=speech_final,
            from_finalize=from_finalize,
            channel={"alternatives": [{"transcript": text, "confidence": 0.99 if text else 0.0, "words": words}]},
            metadata=self._metadata(),
        )

    def _metadata(self) -> dict[str, Any]:
        model = self._query.get("model", "base")
        return {
            "request_id": self._socket.request_id,
            "model_info": {"name": model, "version": "2026-01-01.0", "arch": "nova-3"},
            "model_uuid": identifier("model", model),
        }

    async def _goodbye(self) -> None:
        await self._socket.tell(
            "Metadata",
            transaction_key="deprecated",
            request_id=self._socket.request_id,
            sha256="0" * 64,
            created="2026-01-01T00:00:00.000Z",
            duration=round(self._end_ms / 1000, 3),
            channels=1,
        )
        await self._socket.link.close(1000, "")


def _endpointing(asked: str) -> int:
    """Milliseconds of silence; 0: off."""
    return int(asked) if asked.isdecimal() and int(asked) <= _LONGEST_SILENCE_MS else 0
