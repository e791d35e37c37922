"""Listening without turns: audio in, pieces of text out when `finalize` asks for them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.client_work import ClientWork
from voicebridge.testing.simulator.ears import Ears
from voicebridge.testing.simulator.hearing import Hearing, spread
from voicebridge.testing.simulator.wire import Link

from .formats import error, identifier
from .options import WireOptions

__all__ = ["InkWire"]

_EARS_SILENCE_MS = 10_000
"""They only tell whether anything was said."""


class InkWire:
    """Is a `Wire`."""

    def __init__(
        self,
        link: Link,
        query: Mapping[str, str],
        options: WireOptions,
        callers: Callers,
        caller: str,
        audio: AudioFormat,
    ) -> None:
        self._link, self._options, self._callers, self._caller = link, options, callers, caller
        self._language, self._format = query.get("language", "en"), audio
        self._request_id = identifier("request", link.number)
        self._work = ClientWork(link, idle_s=options.idle_s)
        self._hearing = Hearing(options.transcripts, options.recogniser)
        self._ears = Ears(options.detector, audio)
        self._ears.configure(_EARS_SILENCE_MS, 0.5)
        self._audio = bytearray()
        self._end_ms = self._interim_ms = 0.0
        self._said = self._voiced = False

    async def opened(self) -> None:
        """See `Wire.opened`."""
        self._work.begin()

    async def received(self, frame: str | bytes) -> None:
        """See `Wire.received`."""
        self._work.alive()
        if isinstance(frame, bytes):
            await self._heard(frame)
        elif frame == "finalize":
            self._finish()
        elif frame in ("close", "done"):
            if self._audio:
                self._finish(acknowledge=False)
            self._work.then(self._goodbye())
        else:
            said = error(400, "Invalid command", "The commands are finalize and close.", "invalid_command")
            await self._link.send("error", orjson.dumps(said).decode())

    async def aclose(self) -> None:
        """See `Wire.aclose`."""
        await self._work.aclose()
        await self._hearing.aclose()
        await self._ears.aclose()

    async def _heard(self, pcm: bytes) -> None:
        self._audio += pcm
        self._end_ms += self._format.ms(len(pcm))
        for signal in await self._ears.push(pcm):
            self._voiced = signal.phase in ("speech", "resumed")
        self._said = self._said or self._voiced
        if not self._said or self._end_ms - self._interim_ms < self._options.interim_ms:
            return
        self._interim_ms = self._end_ms
        if text := self._hearing.so_far(self._format.ms(len(self._audio))):
            self._work.then(self._text(text, is_final=False))

    def _finish(self, *, acknowledge: bool = True) -> None:
        audio, self._said = bytes(self._audio) if self._said else b"", self._voiced
        start_ms = self._end_ms - self._format.ms(len(self._audio))
        self._audio.clear()
        self._interim_ms = self._end_ms
        self._work.then(self._write_down(audio, start_ms, self._end_ms, time.monotonic()))
        if acknowledge:
            self._work.then(self._tell("flush_done"))

    async def _write_down(self, audio: bytes, start_ms: float, end_ms: float, asked_at: float) -> None:
        with self._callers.turn(self._caller, cause="listen", connection=self._link.number, at=asked_at) as turn:
            turn.record.audio_ms |= {"started": start_ms, "stopped": end_ms}
            text = await self._hearing.text(audio, self._format) if audio else ""
            if audio:
                self._hearing.turn_over()
            await turn.wait("transcription")
            turn.stamp("first_text")
            if text:
                words = spread(text, start_ms / 1000, end_ms / 1000)
                half = text.find(" ") + 1  # in two pieces, as long texts come
                for piece, of_it in ((text[:half], words[:1]), (text[half:], words[1:] if half else words)):
                    if piece:
                        await self._text(piece, is_final=True, words=_stamps(of_it))

    async def _text(self, text: str, *, is_final: bool, **more: Any) -> None:
        await self._tell("transcript", text=text, is_final=is_final, language=self._language, **more)

    async def _tell(self, kind: str, **fields: Any) -> None:
        await self._link.send(kind, orjson.dumps({"type": kind, "request_id": self._request_id, **fields}).decode())

    async def _goodbye(self) -> None:
        await self._tell("done")
        await self._link.close(1000, "")


def _stamps(words: list[tuple[str, float, float]]) -> list[dict[str, Any]]:
    """As the SDK's types have them: three lists. Cartesia's pages show an object for each word."""
    return [
        {
            "words": [word for word, _, _ in words],
            "start": [start for _, start, _ in words],
            "end": [end for _, _, end in words],
        }
    ]
