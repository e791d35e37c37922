"""Microphone and speaker.

Their callbacks run in PortAudio's own thread, copy one buffer and return: they never wait for the event loop, nor it
for them. Queues are bounded, and what they drop is counted. A device that refuses the rate it is asked for runs at its
own, and the audio is converted.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Self

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat

from .converter import Converter
from .playout import DUCKED, PlayoutQueue
from .portaudio import LOST_AFTER_S, Kind, SoundDevice, SoundLibrary

__all__ = ["Microphone", "Speaker"]

_LATENCY_S = 0.04
"""What the device may hold. Less, and a model that keeps Python busy for a moment can be heard as a crackle."""


class Microphone(SoundDevice):
    """What is heard, as an async iterator of PCM in `format`, in pieces of `frame_ms` milliseconds.

        async with Microphone(format) as microphone:
            async for pcm in microphone: ...

    Entering raises `NoSoundDevice` where there is none; iterating raises it when the device goes away. Closing ends the
    iteration. At most `limit_ms` wait to be read: then the oldest piece is dropped, and counted in `dropped_ms`.
    """

    kind: Kind = "input"
    noun = "microphone"

    def __init__(
        self,
        format: AudioFormat = DOOR_FORMAT,
        *,
        frame_ms: float = 20.0,
        device: int | str | None = None,
        limit_ms: float = 30_000.0,
        library: SoundLibrary | None = None,
    ) -> None:
        super().__init__(format, device, library)
        self.frame_ms = frame_ms
        self.dropped_ms = 0.0
        """Milliseconds that were heard but never read in time."""
        self.overflows = 0
        """How often the device itself lost samples: how many, it does not say."""
        self._queue: deque[bytes] = deque()
        self._limit = max(1, round(limit_ms / frame_ms))
        self._arrived = asyncio.Event()
        self._frame = format.size(frame_ms)
        self._converter = Converter(format, format)
        self._converted = bytearray()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._stream is None and not self._closed:
            raise ValueError("the microphone is not open: use `async with Microphone(...)`")
        while not self._closed:
            if len(self._converted) >= self._frame:
                piece = bytes(self._converted[: self._frame])
                del self._converted[: self._frame]
                return piece
            if self._queue:
                self._converted += self._converter.convert(self._queue.popleft())
            elif self._lost:
                raise self._gone()
            else:
                self._arrived.clear()
                # Looked at again after the clearing: the device's thread may just have brought something.
                if not (self._queue or self._lost):
                    await self._wait()
        raise StopAsyncIteration

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(LOST_AFTER_S):
                await self._arrived.wait()
        except TimeoutError:
            # After a loop that stood still both are true: what came counts.
            self._lost = not self._queue

    def close(self) -> None:
        """Stop listening and give the device back; the iteration ends. Safe to call again."""
        super().close()
        self._wake()

    def _start(self, library: SoundLibrary, found: AudioFormat, loop: asyncio.AbstractEventLoop) -> Any:
        self._loop = loop
        self._converter = Converter(found, self.format)
        return library.RawInputStream(
            samplerate=found.rate,
            channels=found.channels,
            dtype="int16",
            blocksize=found.size(self.frame_ms) // found.frame_bytes,
            latency=_LATENCY_S,
            device=self.device,
            callback=self._heard,
            finished_callback=self._finished,
        )

    def _heard(self, data: Any, frames: int, at: Any, status: Any) -> None:
        """PortAudio's thread: keep the buffer, wake the reader."""
        if getattr(status, "input_overflow", False):
            self.overflows += 1
        if len(self._queue) >= self._limit:
            self._queue.popleft()
            self.dropped_ms += self.frame_ms
        self._queue.append(bytes(data))
        self._wake()

    def _finished(self) -> None:
        self._lost = True
        self._wake()

    def _wake(self) -> None:
        # The loop may be gone when the last buffer comes: then nobody waits either.
        with contextlib.suppress(RuntimeError, AttributeError):
            self._loop.call_soon_threadsafe(self._arrived.set)


class Speaker(SoundDevice):
    """Plays PCM in `format`, and knows what of it was heard.

        async with Speaker(format) as speaker:
            speaker.play(pcm, response_id)     # returns at once
            speaker.pause()                    # silent after what the device holds: 40 ms, if it does as it was asked
            speaker.drop([response_id])        # an interruption; `clear` drops all
            speaker.played_ms(response_id)     # for ReportPlayed and Interrupt.heard

    Entering raises `NoSoundDevice` where there is none, and so does `play` when the device has gone away. At most
    `limit_ms` are queued (replies come faster than they are spoken); more is dropped, and counted in `dropped_ms`.
    """

    kind: Kind = "output"
    noun = "speaker"

    def __init__(
        self,
        format: AudioFormat = DOOR_FORMAT,
        *,
        device: int | str | None = None,
        limit_ms: float = 600_000.0,
        library: SoundLibrary | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(format, device, library)
        self._clock = clock
        self._limit_ms = limit_ms
        self._queue = PlayoutQueue(format, limit_ms=limit_ms)
        self._converter = Converter(format, format)
        self._response: str | None = None
        self._reported: dict[str, float] = {}
        self._stopped_at: float | None = None
        self._filled_at = clock()
        """When the device last asked for audio."""

    @property
    def queued_ms(self) -> float:
        """Milliseconds that wait to be played."""
        return self._queue.queued_ms

    @property
    def dropped_ms(self) -> float:
        """Milliseconds that found no room in the queue."""
        return self._queue.dropped_ms

    @property
    def underrun_ms(self) -> float:
        """Milliseconds of silence in the middle of responses, because their audio came too late."""
        return self._queue.underrun_ms

    def play(self, pcm: bytes, response_id: str = "") -> None:
        """Queue audio of a response behind what is queued; of any size, odd bytes wait for the next call.

        Does nothing once the speaker is closed: what still arrives then can't be heard.
        """
        if self._closed:
            return
        if self._stream is None:
            raise ValueError("the speaker is not open: use `async with Speaker(...)`")
        if self._lost:
            raise self._gone()
        if response_id != self._response:
            self.end()
        self._response = response_id
        self._queue.add(response_id, self._converter.convert(pcm))

    def end(self) -> None:
        """The response has come to its end: play also what the conversion held back. The next `play` begins anew."""
        if self._response is not None:
            self._queue.add(self._response, self._converter.flush())
        self._queue.end()
        self._response = None

    def clear(self) -> float:
        """Stop speaking: drop all that the device has not taken. Gives the milliseconds dropped.

        What the device already holds (some 10 to 50 ms) is still heard, and still counted.
        """
        self._converter.reset()
        self._response = None
        return self._queue.clear()

    def drop(self, response_ids: Collection[str]) -> dict[str, float]:
        """Stop speaking these responses, and no others: drop what the device has not taken of them. Gives the
        milliseconds of each that will have been heard, with what the device still holds."""
        if self._response in response_ids:
            self._converter.reset()
            self._response = None
        return self._queue.drop(response_ids)

    def pause(self) -> None:
        """Play silence until `resume`; what is queued stays. What the device already holds is still heard."""
        self._queue.paused = True

    def resume(self) -> None:
        """Go on where `pause` stopped."""
        self._queue.paused = False

    def duck(self, on: bool) -> None:
        """Speak more softly, by 12 dB, until `duck(False)`."""
        self._queue.loudness = DUCKED if on else 1.0

    def played_ms(self, response_id: str = "") -> float:
        """Milliseconds of that response, from its first sample, that were heard: pauses and underruns not counted."""
        return self._queue.played(self._now()).get(response_id, 0.0)

    def progress(self) -> dict[str, float]:
        """The `played_ms` of each response that was heard further since the last call: what to report now."""
        played = self._queue.played(self._now())
        changed = {key: ms for key, ms in played.items() if ms != self._reported.get(key)}
        self._reported = played
        return changed

    async def drain(self) -> None:
        """Wait until all that was queued has been heard. Returns early when the speaker is closed or goes away."""
        while not (self._queue.idle(self._now()) or self._closed or self._lost):
            if self._now() - self._filled_at > LOST_AFTER_S:
                self._lost = True
            # Nothing tells when sound leaves a device: look again when it should have, or soon while paused.
            wait_ms = 20.0 if self._queue.paused else min(1_000.0, self.queued_ms)
            await asyncio.sleep(max(0.01, wait_ms / 1000))

    def close(self) -> None:
        """Fall silent and give the device back; what was played stays known. Safe to call again."""
        if self._stopped_at is None:
            self._stopped_at = self._clock()
        super().close()

    def _now(self) -> float:
        # What the device held when it was stopped was never heard.
        return self._clock() if self._stopped_at is None else self._stopped_at

    def _start(self, library: SoundLibrary, found: AudioFormat, loop: asyncio.AbstractEventLoop) -> Any:
        self._queue = PlayoutQueue(found, limit_ms=self._limit_ms)
        self._converter = Converter(self.format, found)
        self._filled_at = self._clock()
        return library.RawOutputStream(
            samplerate=found.rate,
            channels=found.channels,
            dtype="int16",
            blocksize=0,
            latency=_LATENCY_S,
            device=self.device,
            callback=self._fill,
            finished_callback=self._finished,
        )

    def _fill(self, out: Any, frames: int, at: Any, status: Any) -> None:
        """PortAudio's thread: fill the buffer."""
        now = self._filled_at = self._clock()
        # Only the difference of its times is used: its clock is not ours. Some systems leave them at 0.
        ahead = at.outputBufferDacTime - at.currentTime
        if not 0 < ahead < 5:
            ahead = getattr(self._stream, "latency", 0.0) or 0.0
        self._queue.fill(memoryview(out).cast("B"), now=now, starts_at=now + ahead)

    def _finished(self) -> None:
        self._lost = True
