"""The server's side of realtime transcription."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

import orjson
import pybase64

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.caller_hearing import CallerHearing
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.wire import HttpRequest, Link

from .account import Account, Refusal
from .options import WireOptions
from .rendering import format_named

__all__ = ["ScribeWire", "timed_words"]

_LEAST_S = 0.3
"""Of audio before it can be committed: as the live service says when it refuses."""
_LARGEST_CHUNK_S = 30.0
_PARTIAL_EVERY_S = 0.5
_WORDS_PER_S = 2.5


class ScribeWire:
    """Is a `Wire`. Utterances end when the client commits them."""

    def __init__(
        self,
        link: Link,
        request: HttpRequest,
        options: WireOptions,
        account: Account,
        callers: Callers,
        hearing: CallerHearing,
    ) -> None:
        self._link, self._query, self._options = link, request.query, options
        self._account, self._callers, self._hearing = account, callers, hearing
        self._key = request.headers.get("xi-api-key", "") or request.query.get("token", "")
        self._format = AudioFormat(rate=16_000)
        self._audio = bytearray()
        self._partials = 0
        self._commits: asyncio.Queue[tuple[bytes, float]] = asyncio.Queue()
        self._heard = asyncio.Event()
        self._first = True
        self._tasks: list[asyncio.Task[None]] = []

    async def opened(self) -> None:
        """See `Wire.opened`."""
        try:
            self._account.check(self._key)
        except Refusal as refusal:
            kind = "quota_exceeded" if refusal.name == "quota_exceeded" else "auth_error"
            await self._end(kind, refusal.message)
            return
        try:
            self._format = format_named(self._query.get("audio_format", "pcm_16000"))
            if self._query.get("commit_strategy", "manual") != "manual":
                raise Refusal(400, "invalid_request", "Only commit_strategy=manual is simulated.")
        except Refusal as refusal:
            await self._end("invalid_request", refusal.message)
            return
        await self._send("session_started", session_id=uuid4().hex, config=self._config())
        works = [self._transcribe(), self._end_when_idle()]
        if self._options.session_s is not None:
            works.append(self._end_in_time(self._options.session_s))
        self._tasks += [asyncio.create_task(work, name="simulated scribe") for work in works]

    async def received(self, frame: str | bytes) -> None:
        """See `Wire.received`."""
        self._heard.set()
        try:
            audio, commit = self._chunk(frame)
        except Refusal as refusal:
            await self._send(refusal.name, error=refusal.message)
            return
        self._audio += audio
        await self._tell_partial()
        if commit:
            await self._commit()

    async def aclose(self) -> None:
        """See `Wire.aclose`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Audio in

    def _chunk(self, frame: str | bytes) -> tuple[bytes, bool]:
        try:
            message = orjson.loads(frame)
            audio = pybase64.b64decode(message["audio_base_64"], validate=True)
            commit = message.get("commit", False)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError, binascii.Error):
            raise Refusal(400, "input_error", "A message is an object with audio_base_64 and commit.") from None
        if message.get("message_type") != "input_audio_chunk" or not isinstance(commit, bool):
            raise Refusal(400, "input_error", "The only message is input_audio_chunk.")
        if message.get("previous_text") and not self._first:
            raise Refusal(400, "input_error", "previous_text comes with the first audio only.")
        if self._format.ms(len(audio)) > _LARGEST_CHUNK_S * 1000:
            raise Refusal(400, "chunk_size_exceeded", f"A piece of audio has at most {_LARGEST_CHUNK_S:g} s.")
        self._first = False
        return audio, commit

    async def _tell_partial(self) -> None:
        seconds, text = self._format.ms(len(self._audio)) / 1000, self._hearing.upcoming(self._key)
        due = int(seconds / _PARTIAL_EVERY_S)
        if text and due > self._partials:
            self._partials = due
            words = text.split()[: max(1, int(seconds * _WORDS_PER_S))]
            await self._send("partial_transcript", text=" ".join(words))

    async def _commit(self) -> None:
        seconds = self._format.ms(len(self._audio)) / 1000
        if seconds < _LEAST_S:
            message = f"Not committed: there are {seconds:.2f} s of audio, and it takes {_LEAST_S} s."
            await self._send("commit_throttled", error=message)
            return
        pcm = self._pcm()
        self._audio, self._partials = bytearray(), 0
        await self._commits.put((pcm, asyncio.get_running_loop().time()))

    def _pcm(self) -> bytes:
        target = AudioFormat(rate=self._format.rate)
        whole = bytes(self._audio[: len(self._audio) // self._format.frame_bytes * self._format.frame_bytes])
        if self._format == target:
            return whole
        converter = Converter(self._format, target)
        return converter.convert(whole) + converter.flush()

    # Text out

    async def _transcribe(self) -> None:
        source = AudioFormat(rate=self._format.rate)
        while True:
            pcm, came = await self._commits.get()
            cause = "speech-to-text/realtime"
            with self._callers.turn(self._key, cause=cause, connection=self._link.number, at=came) as turn:
                text = await self._hearing.understand(self._key, pcm, source)
                await turn.wait("transcription")
                turn.stamp("first_text")
                await self._send("committed_transcript", text=text)
                if self._query.get("include_timestamps") == "true":
                    words = timed_words(text, source.ms(len(pcm)) / 1000)
                    kind = "committed_transcript_with_timestamps"
                    await self._send(kind, text=text, language_code="en", words=words)

    def _config(self) -> dict[str, Any]:
        return {
            "sample_rate": self._format.rate,
            "audio_format": self._query.get("audio_format", "pcm_16000"),
            "language_code": self._query.get("language_code"),
            "commit_strategy": "manual",
            "model_id": self._query.get("model_id", "scribe_v2_realtime"),
            "include_timestamps": self._query.get("include_timestamps") == "true",
        }

    async def _end_when_idle(self) -> None:
        with suppress(TimeoutError):
            while True:
                self._heard.clear()
                await asyncio.wait_for(self._heard.wait(), self._options.scribe_idle_s)
        await self._end("insufficient_audio_activity", "No audio came for too long.")

    async def _end_in_time(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._end("session_time_limit_exceeded", f"A session lasts {seconds:g} s.")

    async def _end(self, kind: str, message: str) -> None:
        await self._send(kind, error=message)
        await self._link.close(1008, message)

    async def _send(self, kind: str, **fields: Any) -> None:
        frame: Mapping[str, Any] = {"message_type": kind, **fields}
        await self._link.send(kind, orjson.dumps(frame).decode())


def timed_words(text: str, seconds: float) -> list[dict[str, Any]]:
    """The words with times: each as long as its share of the letters, for nobody knows better here."""
    letters, at, words = max(len(text), 1), 0, []
    for index, word in enumerate(text.split()):
        if index:
            at += 1
        start, at = at, at + len(word)
        words.append(
            {
                "text": word,
                "start": round(seconds * start / letters, 3),
                "end": round(seconds * at / letters, 3),
                "type": "word",
                "speaker_id": None,
                "logprob": 0.0,
            }
        )
    return words
