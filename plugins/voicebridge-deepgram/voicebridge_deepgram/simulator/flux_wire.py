"""Listen v2 (Flux): audio in, `TurnInfo` out. Ends of turns are found in the time of the audio."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.stages import TurnSignal
from voicebridge.testing.simulator.callers import Callers, CallerTurn
from voicebridge.testing.simulator.ears import Ears
from voicebridge.testing.simulator.hearing import Hearing, spread
from voicebridge.testing.simulator.wire import HttpRequest, Link

from .client_socket import ClientSocket, read
from .options import WireOptions

__all__ = ["FluxWire"]

_UPDATE_MS = 250.0
_EARS_SILENCE_MS = 10_000
"""They only tell voice from silence: what a silence means is decided here."""
_SOONEST_EAGER_MS = 80.0
_EAGER_CONFIDENCE, _CONFIDENCE = 0.55, 0.85


class FluxWire:
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
        self._format = audio
        self._socket = ClientSocket(link, options.idle_s)
        self._hearing = Hearing(options.transcripts, options.recogniser)
        self._ears = Ears(options.detector, audio)
        self._ears.configure(_EARS_SILENCE_MS, 0.5)
        self._thresholds: dict[str, Any] = {
            name: float(request.query[name])
            for name in ("eager_eot_threshold", "eot_threshold", "eot_timeout_ms")
            if name in request.query
        }
        self._sequence = 0
        self._turn_index = 0
        self._end_ms = self._updated_ms = 0.0
        self._audio = bytearray()
        """Of the turn."""
        self._turn: CallerTurn | None = None
        self._stack = ExitStack()
        self._began_ms = self._silent_ms = 0.0
        """Where the turn began, and where its last speech ended."""
        self._silent = self._eager = False
        self._voiced = False
        """The user speaks, as the ears have it."""
        self._text = ""

    async def opened(self) -> None:
        """See `Wire.opened`."""
        self._socket.work.begin()
        await self._tell("Connected")

    async def received(self, frame: str | bytes) -> None:
        """See `Wire.received`."""
        if isinstance(frame, bytes):
            self._socket.work.alive()
            await self._heard(frame)
            return
        event = read(frame)
        kind = (event or {}).get("type")
        if kind == "ForceEndTurn":
            if self._turn is not None:
                await self._over("manual")
        elif kind == "Configure":
            asked = (event or {}).get("thresholds")
            self._thresholds |= asked if isinstance(asked, dict) else {}
            await self._tell("ConfigureSuccess", thresholds=self._thresholds, keyterms=[])
        elif kind == "CloseStream":
            if self._turn is not None:
                await self._over("model")
            await self._socket.link.close(1000, "")
        else:
            said = "The message is none that this endpoint knows."
            await self._tell("Error", code="UNPARSABLE_CLIENT_MESSAGE", description=said)
            await self._socket.link.close(1008, said)

    async def aclose(self) -> None:
        """See `Wire.aclose`."""
        if self._turn is not None:
            self._turn.record.status = "cancelled"
        self._stack.close()
        await self._socket.work.aclose()
        await self._hearing.aclose()
        await self._ears.aclose()
        self._left()

    async def _heard(self, pcm: bytes) -> None:
        self._end_ms += self._format.ms(len(pcm))
        self._audio += pcm
        for signal in await self._ears.push(pcm):
            await self._noticed(signal)
        if self._turn is None and self._voiced:  # the turn before was ended by hand, in the middle of it
            await self._begin(self._end_ms - self._format.ms(len(pcm)))
        if self._turn is None:
            kept = self._format.size(500)
            del self._audio[: max(0, len(self._audio) - kept)]
            return
        silence = self._end_ms - self._silent_ms if self._silent else 0.0
        eager_ms, end_ms, timeout_ms = self._silences(self._turn)
        if self._silent and silence >= min(end_ms, timeout_ms):
            await self._over("model" if end_ms <= timeout_ms else "timeout")
        elif self._silent and not self._eager and silence >= eager_ms and "eager_eot_threshold" in self._thresholds:
            await self._maybe_over()
        elif self._end_ms - self._updated_ms >= _UPDATE_MS:
            self._updated_ms = self._end_ms
            await self._info("Update", self._so_far(), 0.1)

    async def _noticed(self, signal: TurnSignal) -> None:
        self._voiced = signal.phase in ("speech", "resumed")
        if not self._voiced:
            self._silent, self._silent_ms = True, signal.audio_ms
            return
        self._silent = False
        if self._turn is None:
            await self._begin(signal.audio_ms)
        elif self._eager:
            self._eager = False
            await self._info("TurnResumed", self._text, 0.2)

    async def _begin(self, at_ms: float) -> None:
        number = self._socket.link.number
        self._turn = self._stack.enter_context(self._callers.turn(self._caller, cause="flux", connection=number))
        self._turn.record.audio_ms["started"] = at_ms
        self._began_ms = self._updated_ms = at_ms
        before = self._format.size(max(0.0, self._end_ms - at_ms + 100))
        del self._audio[: max(0, len(self._audio) - before)]
        self._turn.stamp("speech_started")
        await self._info("StartOfTurn", self._so_far(), 0.05)

    async def _maybe_over(self) -> None:
        assert self._turn is not None
        self._text = await self._hearing.text(bytes(self._audio), self._format)
        if self._text:
            self._eager = True
            self._turn.stamp("eager_end")
            await self._info("EagerEndOfTurn", self._text, _EAGER_CONFIDENCE)

    async def _over(self, trigger: str) -> None:
        turn, self._turn = self._turn, None
        assert turn is not None
        if not self._eager:
            self._text = await self._hearing.text(bytes(self._audio), self._format)
        turn.record.audio_ms |= {"last_speech": self._silent_ms, "stopped": self._end_ms}
        turn.stamp("end_of_turn")
        await self._info("EndOfTurn", self._text, _CONFIDENCE, trigger=trigger)
        self._hearing.turn_over()
        self._stack.close()
        self._turn_index += 1
        self._eager, self._silent, self._text = False, False, ""
        self._audio.clear()

    def _silences(self, turn: CallerTurn) -> tuple[float, float, float]:
        """Milliseconds of silence until the eager end, the end, and the end in any case."""
        timeout_ms = float(self._thresholds.get("eot_timeout_ms", 5_000))
        end_ms = turn.ms("end_of_turn")
        if not end_ms:
            return self._options.eager_silence_ms, self._by_hand(self._options.end_silence_ms), timeout_ms
        eager_ms = max(_SOONEST_EAGER_MS, end_ms - turn.ms("eager_gain"))
        return min(eager_ms, end_ms), self._by_hand(end_ms), timeout_ms

    def _by_hand(self, end_ms: float) -> float:
        """A threshold of 1 is never reached."""
        return float("inf") if self._thresholds.get("eot_threshold", 0.7) >= 1 else end_ms

    def _so_far(self) -> str:
        return self._hearing.so_far(self._end_ms - self._began_ms)

    async def _info(self, event: str, text: str, confidence: float, **more: Any) -> None:
        end_s = (self._silent_ms if self._silent else self._end_ms) / 1000
        await self._tell(
            "TurnInfo",
            kind=event,
            event=event,
            turn_index=self._turn_index,
            audio_window_start=round(self._began_ms / 1000, 3),
            audio_window_end=round(self._end_ms / 1000, 3),
            transcript=text,
            words=[
                {"word": word, "start": start, "end": end, "confidence": 0.99}
                for word, start, end in spread(text, self._began_ms / 1000, end_s)
            ],
            end_of_turn_confidence=confidence,
            **more,
        )

    async def _tell(self, type_: str, *, kind: str = "", **fields: Any) -> None:
        number, self._sequence = self._sequence, self._sequence + 1
        await self._socket.tell_as(
            kind or type_, type_, request_id=self._socket.request_id, sequence_id=number, **fields
        )
