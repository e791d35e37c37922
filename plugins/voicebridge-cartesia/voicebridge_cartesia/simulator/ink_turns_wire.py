"""Listening with turns: audio in, events of turns out. Ends of turns are found in the time of the audio."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any

import orjson

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.stages import TurnSignal
from voicebridge.testing.simulator.callers import Callers, CallerTurn
from voicebridge.testing.simulator.client_work import ClientWork
from voicebridge.testing.simulator.ears import Ears
from voicebridge.testing.simulator.hearing import Hearing
from voicebridge.testing.simulator.wire import Link

from .formats import error, identifier
from .options import WireOptions

__all__ = ["InkTurnsWire"]

_EARS_SILENCE_MS = 10_000
"""They only tell voice from silence: what a silence means is decided here."""
_SOONEST_EAGER_MS = 80.0


class InkTurnsWire:
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
        self._format = audio
        self._timeout_ms = float(query.get("turn_end_timeout_ms") or 5_600)
        self._request_id = identifier("request", link.number)
        self._work = ClientWork(link, idle_s=options.idle_s)
        self._hearing = Hearing(options.transcripts, options.recogniser)
        self._ears = Ears(options.detector, audio)
        self._ears.configure(_EARS_SILENCE_MS, 0.5)
        self._audio = bytearray()
        """Of the turn, and a little before it."""
        self._turn: CallerTurn | None = None
        self._stack = ExitStack()
        self._end_ms = self._began_ms = self._silent_ms = self._updated_ms = 0.0
        self._silent = self._eager = False
        self._text = ""

    async def opened(self) -> None:
        """See `Wire.opened`."""
        self._work.begin()
        await self._tell("connected")

    async def received(self, frame: str | bytes) -> None:
        """See `Wire.received`."""
        self._work.alive()
        if isinstance(frame, bytes):
            await self._heard(frame)
            return
        event: Any = None
        with suppress(orjson.JSONDecodeError):
            event = orjson.loads(frame)
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "close":
            if self._turn is not None:
                await self._over()
            await self._link.close(1000, "")
        elif kind != "config":
            said = error(400, "Invalid command", "The commands are config and close.", "invalid_command")
            await self._link.send("error", orjson.dumps(said).decode())

    async def aclose(self) -> None:
        """See `Wire.aclose`."""
        if self._turn is not None:
            self._turn.record.status = "cancelled"
        self._stack.close()
        await self._work.aclose()
        await self._hearing.aclose()
        await self._ears.aclose()

    async def _heard(self, pcm: bytes) -> None:
        self._end_ms += self._format.ms(len(pcm))
        self._audio += pcm
        for signal in await self._ears.push(pcm):
            await self._noticed(signal)
        if self._turn is None:
            del self._audio[: max(0, len(self._audio) - self._format.size(500))]
            return
        silence = self._end_ms - self._silent_ms if self._silent else 0.0
        eager_ms, end_ms = self._silences(self._turn)
        if self._silent and silence >= min(end_ms, self._timeout_ms):
            await self._over()
        elif self._silent and not self._eager and silence >= eager_ms:
            await self._maybe_over()
        elif self._end_ms - self._updated_ms >= self._options.interim_ms:
            self._updated_ms = self._end_ms
            if text := self._hearing.so_far(self._end_ms - self._began_ms):
                await self._tell("turn.update", transcript=text)

    async def _noticed(self, signal: TurnSignal) -> None:
        if signal.phase in ("eager_end", "end"):
            self._silent, self._silent_ms = True, signal.audio_ms
            return
        self._silent = False
        if self._turn is None:
            self._turn = self._stack.enter_context(
                self._callers.turn(self._caller, cause="turns", connection=self._link.number)
            )
            self._turn.record.audio_ms["started"] = self._began_ms = self._updated_ms = signal.audio_ms
            self._turn.stamp("speech_started")
            await self._tell("turn.start")
        elif self._eager:
            self._eager = False
            await self._tell("turn.resume")

    async def _maybe_over(self) -> None:
        assert self._turn is not None
        self._text = await self._hearing.text(bytes(self._audio), self._format)
        if self._text:
            self._eager = True
            self._turn.stamp("eager_end")
            await self._tell("turn.eager_end", transcript=self._text)

    async def _over(self) -> None:
        turn, self._turn = self._turn, None
        assert turn is not None
        if not self._eager:
            self._text = await self._hearing.text(bytes(self._audio), self._format)
        turn.record.audio_ms |= {"last_speech": self._silent_ms, "stopped": self._end_ms}
        turn.stamp("end_of_turn")
        await self._tell("turn.end", transcript=self._text)
        self._hearing.turn_over()
        self._stack.close()
        self._eager, self._silent, self._text = False, False, ""
        self._audio.clear()

    def _silences(self, turn: CallerTurn) -> tuple[float, float]:
        """Milliseconds of silence until the eager end, and the end."""
        end_ms = turn.ms("end_of_turn")
        if not end_ms:
            return self._options.eager_silence_ms, self._options.end_silence_ms
        return min(max(_SOONEST_EAGER_MS, end_ms - turn.ms("eager_gain")), end_ms), end_ms

    async def _tell(self, kind: str, **fields: Any) -> None:
        await self._link.send(kind, orjson.dumps({"type": kind, "request_id": self._request_id, **fields}).decode())
