"""The server's side of the websocket that takes text and gives speech."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.callers import Callers, CallerTurn
from voicebridge.testing.simulator.voice import Voice, voice_named
from voicebridge.testing.simulator.wire import HttpRequest, Link

from .account import Account, Refusal, check_voice
from .options import WireOptions
from .profiles import speech_stage
from .rendering import Rendered, encoded, format_named, paced_pieces, render, wire_alignment
from .speech_request import check_voice_settings

__all__ = ["StreamInputWire"]

_SCHEDULE = (120, 160, 250, 290)
"""Characters before speech is made, one number after the other: the vendor's default."""
_TRIGGERED_CHARS = 20
"""The fewest characters that `try_trigger_generation` makes speech of. The vendor does not say how many they are."""


class StreamInputWire:
    """Is a `Wire`. It serves one answer."""

    def __init__(
        self, link: Link, request: HttpRequest, options: WireOptions, account: Account, callers: Callers
    ) -> None:
        self._link, self._query, self._options = link, request.query, options
        self._account, self._callers = account, callers
        self._key = request.headers.get("xi-api-key", "")
        self._voice_id = request.path.rsplit("/", 2)[-2]
        self._model = self._query.get("model_id", "eleven_multilingual_v2")
        self._voice: Voice = voice_named(options.voice, ms_per_char=options.ms_per_char)
        self._format = AudioFormat()
        self._speed = 1.0
        self._begun = self._ended = False
        self._schedule = list(_SCHEDULE)
        self._buffer = ""
        self._segments: asyncio.Queue[tuple[str, float] | None] = asyncio.Queue()
        """Text, and when it had come."""
        self._heard = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def opened(self) -> None:
        """See `Wire.opened`."""
        self._tasks.append(asyncio.create_task(self._watch(), name="simulated voice: watch"))

    async def received(self, frame: str | bytes) -> None:
        """See `Wire.received`."""
        self._heard.set()
        if self._ended:
            return
        try:
            self._take(_message(frame))
        except Refusal as refusal:
            await self._refuse(refusal)

    async def aclose(self) -> None:
        """See `Wire.aclose`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._voice.aclose()

    # Text in

    def _take(self, message: Mapping[str, Any]) -> None:
        if not self._begun:
            self._begin(message)
            return
        text = message["text"]
        self._buffer += text
        if text == "":
            self._ended = True
        if self._ended or message.get("flush") or self._is_enough(bool(message.get("try_trigger_generation"))):
            if any(char.isalnum() for char in self._buffer):
                self._segments.put_nowait((self._buffer, asyncio.get_running_loop().time()))
                self._schedule = self._schedule[1:] or self._schedule
            self._buffer = ""
        if self._ended:
            self._segments.put_nowait(None)

    def _begin(self, message: Mapping[str, Any]) -> None:
        if message["text"].strip():
            raise Refusal(1008, "invalid_input_message", "The first message holds a blank and nothing else.")
        self._key = self._key or str(message.get("xi_api_key") or message.get("xi-api-key") or "")
        self._account.check(self._key)
        check_voice(self._voice_id)
        self._format = format_named(self._query.get("output_format", "mp3_44100_128"))
        self._speed = check_voice_settings(message.get("voice_settings"))
        config = message.get("generation_config")
        schedule = config.get("chunk_length_schedule") if isinstance(config, Mapping) else None
        if schedule is not None:
            if not isinstance(schedule, list) or not all(
                isinstance(one, int | float) and 50 <= one <= 500 for one in schedule
            ):
                raise Refusal(1008, "invalid_input_message", "chunk_length_schedule holds numbers from 50 to 500.")
            self._schedule = list(schedule) or self._schedule
        self._begun = True
        self._tasks.append(asyncio.create_task(self._answer(), name="simulated voice: answer"))

    def _is_enough(self, triggered: bool) -> bool:
        if self._query.get("auto_mode") == "true":
            return True
        return len(self._buffer) >= (_TRIGGERED_CHARS if triggered else self._schedule[0])

    # Speech out

    async def _answer(self) -> None:
        segment = await self._segments.get()
        if segment is not None:
            cause = "text-to-speech/stream-input"
            try:
                with (
                    self._account.answer(self._key),
                    self._callers.turn(self._key, cause=cause, connection=self._link.number, at=segment[1]) as turn,
                ):
                    while segment is not None:
                        await self._speak(segment[0], segment[1], turn)
                        segment = await self._segments.get()
            except Refusal as refusal:
                await self._refuse(refusal)
                return
        await self._send("final", {"audio": None, "isFinal": True, "normalizedAlignment": None, "alignment": None})
        await self._link.close(1000, "")

    async def _speak(self, text: str, came: float, turn: CallerTurn) -> None:
        rendered = await render(self._voice, text, self._format, self._speed)
        await turn.wait(speech_stage(self._model, self._callers.profile), since=came)
        async for piece, begin_ms, chars in paced_pieces(rendered, self._format, self._options):
            told = self._alignment(rendered, begin_ms, chars)
            turn.stamp("first_audio")
            frame = {"audio": encoded(piece), "isFinal": None, "normalizedAlignment": told, "alignment": told}
            await self._send("audio", frame)

    def _alignment(self, rendered: Rendered, begin_ms: float, chars: Any) -> dict[str, list[object]] | None:
        if self._query.get("sync_alignment") != "true" or self._options.alignment == "none":
            return None
        if self._options.alignment == "message":
            return wire_alignment(chars, begin_ms) if chars else None
        return None if begin_ms else wire_alignment(rendered.chars)

    # The end

    async def _watch(self) -> None:
        given = self._query.get("inactivity_timeout", "20")
        seconds = min(float(given), 180.0) if given.replace(".", "", 1).isdigit() else 20.0
        while True:
            self._heard.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), seconds)
                continue
            if not self._ended:
                break
        await self._refuse(Refusal(1008, "input_timeout_exceeded", f"No text input within {seconds:g} seconds."))

    async def _refuse(self, refusal: Refusal) -> None:
        self._ended = True
        await self._send("error", refusal.frame)
        await self._link.close(1008, refusal.message)

    async def _send(self, kind: str, frame: Mapping[str, Any]) -> None:
        await self._link.send(kind, orjson.dumps(frame).decode())


def _message(frame: str | bytes) -> Mapping[str, Any]:
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict) or not isinstance(message.get("text"), str):
        raise Refusal(1008, "invalid_input_message", "A message is a JSON object with a text.")
    return message
