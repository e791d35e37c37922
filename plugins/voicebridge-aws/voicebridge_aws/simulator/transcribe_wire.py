"""The server's side of a stream that is transcribed."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from typing import Any
from uuid import uuid4

import orjson

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.hearing import spread
from voicebridge.testing.simulator.wire import HttpRequest, Link

from ..event_stream import decoded, encoded
from .account import Account
from .hearing import Hearing
from .options import WireOptions
from .refusal import Refusal

__all__ = ["TranscribeWire", "check_stream"]

_PARTIAL_EVERY_S = 0.5
_STABILITIES = (None, "low", "medium", "high")


def check_stream(request: HttpRequest) -> None:
    """See that a stream can be begun with these parameters.

    Raises:
        Refusal: it can't.
    """
    query = request.query
    if query.get("media-encoding") != "pcm":
        raise Refusal(400, "BadRequestException", "Only media-encoding=pcm is simulated.")
    if not query.get("sample-rate", "").isdecimal() or not 8_000 <= int(query["sample-rate"]) <= 48_000:
        raise Refusal(400, "BadRequestException", "sample-rate lies between 8000 and 48000.")
    identify = query.get("identify-language") == "true"
    if identify == ("language-code" in query):
        raise Refusal(400, "BadRequestException", "Either language-code or identify-language is given.")
    if identify and "," not in query.get("language-options", ""):
        raise Refusal(400, "BadRequestException", "language-options names two languages at least.")
    if query.get("partial-results-stability") not in _STABILITIES:
        raise Refusal(400, "BadRequestException", "partial-results-stability is low, medium or high.")


class TranscribeWire:
    """Is a `Wire`. It has one stream, which ends with an empty AudioEvent."""

    def __init__(
        self,
        link: Link,
        request: HttpRequest,
        key: str,
        options: WireOptions,
        account: Account,
        callers: Callers,
        hearing: Hearing,
    ) -> None:
        self._link, self._query, self._key, self._options = link, request.query, key, options
        self._account, self._callers, self._hearing = account, callers, hearing
        self._format = AudioFormat(rate=int(request.query["sample-rate"]))
        self._audio = bytearray()
        self._partials = 0
        self._result = uuid4().hex
        self._heard = asyncio.Event()
        self._ended = False
        self._place = ExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def opened(self) -> None:
        """See `Wire.opened`."""
        try:
            self._place.enter_context(self._account.work(self._key))
        except Refusal:
            await self._fail(Refusal(429, "LimitExceededException", "Too many streams are open."))
            return
        self._start(self._end_when_idle())

    async def received(self, frame: str | bytes) -> None:
        """See `Wire.received`."""
        self._heard.set()
        if self._ended:
            return
        try:
            message = decoded(frame.encode() if isinstance(frame, str) else frame)
        except VoiceBridgeError:
            await self._fail(Refusal(400, "BadRequestException", "The frame is no event."))
            return
        if message.headers.get(":event-type") != "AudioEvent" or message.headers.get(":message-type") != "event":
            await self._fail(Refusal(400, "BadRequestException", "The only event is AudioEvent."))
        elif message.payload:
            self._audio += message.payload
            await self._tell_partial()
        else:
            self._ended = True
            self._start(self._finish(asyncio.get_running_loop().time()))

    async def aclose(self) -> None:
        """See `Wire.aclose`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._place.close()

    def _start(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work, name="simulated transcribe"))

    async def _tell_partial(self) -> None:
        seconds = self._format.ms(len(self._audio)) / 1000
        due = int(seconds / _PARTIAL_EVERY_S)
        if due <= self._partials:
            return
        self._partials = due
        if text := self._hearing.so_far(self._key, bytes(self._audio), self._format):
            await self._tell("partial", text, seconds)

    async def _finish(self, came: float) -> None:
        pcm, seconds = bytes(self._audio), self._format.ms(len(self._audio)) / 1000
        with self._callers.turn(self._key, cause="transcribe", connection=self._link.number, at=came) as turn:
            text = await self._hearing.understand(self._key, pcm, self._format)
            await turn.wait("transcription")
            turn.stamp("first_text")
            if text:
                await self._tell("transcript", text, seconds)
        if self._options.closes:
            await self._link.close(1000, "")

    async def _tell(self, kind: str, text: str, seconds: float) -> None:
        items = [
            {"Content": word, "Type": "pronunciation", "StartTime": start, "EndTime": end}
            for word, start, end in spread(text, 0.0, seconds)
        ]
        result: dict[str, Any] = {
            "ResultId": self._result,
            "IsPartial": kind == "partial",
            "StartTime": 0.0,
            "EndTime": seconds,
            "ChannelId": "ch_0",
            "Alternatives": [{"Transcript": text, "Items": items}],
        }
        if self._query.get("identify-language") == "true":
            result["LanguageCode"] = self._query["language-options"].split(",")[0]
        headers = {
            ":content-type": "application/json",
            ":event-type": "TranscriptEvent",
            ":message-type": "event",
        }
        await self._link.send(kind, encoded(headers, orjson.dumps({"Transcript": {"Results": [result]}})))

    async def _end_when_idle(self) -> None:
        with suppress(TimeoutError):
            while not self._ended:
                self._heard.clear()
                await asyncio.wait_for(self._heard.wait(), self._options.idle_s)
        if not self._ended:
            message = "Your request timed out because no new audio was received for 15 seconds."
            await self._fail(Refusal(400, "BadRequestException", message))

    async def _fail(self, refusal: Refusal) -> None:
        self._ended = True
        await self._link.send("exception", refusal.event)
        await self._link.close(1000, "")
