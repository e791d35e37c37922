"""The writing half of a link: one queue, one task, and the pings that say what has arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.codec import Liveness
from voicebridge.contract.events import Event

from .outbox import Outbox, Outgoing
from .watermark import Watermark
from .wire import Wire, WireClosed

__all__ = ["Writer"]

_QUEUED_AUDIO_MS = 1_000


class Writer:
    """Writes frames in order, and tells events that stand among them once what is before them is on the wire.

    Args:
        audio: the format of the user's voice on this wire.
        clock: monotonic seconds.
        tell: takes those events.
        heard: called when a pong has come.
    """

    def __init__(
        self,
        audio: AudioFormat,
        liveness: Liveness,
        clock: Callable[[], float],
        tell: Callable[[Event], None],
        heard: Callable[[], None],
    ) -> None:
        self._audio, self._liveness, self._clock, self._tell, self._heard = audio, liveness, clock, tell, heard
        self._outbox = Outbox(audio.size(_QUEUED_AUDIO_MS))
        self._watermark = Watermark()
        window_s = liveness.unconfirmed_s
        self._window_bytes = None if window_s is None else audio.size(window_s * 1000)
        self._wire: Wire | None = None
        self._waits = self._ping_wanted = False
        self._pinged_at = 0.0
        self.has_room, self.room, self.clear = self._outbox.has_room, self._outbox.room, self._outbox.clear

    @property
    def delivered_ms(self) -> float:
        """Milliseconds of the audio sent that the peer has certainly received."""
        return self._audio.ms(self._watermark.confirmed_bytes)

    @property
    def confirms(self) -> bool:
        """Whether the peer says in good time what it has received."""
        return self._window_bytes is not None

    @property
    def unconfirmed_ms(self) -> float:
        """Milliseconds of the audio sent of which nobody knows yet whether it arrived."""
        return self._audio.ms(self._watermark.unconfirmed_bytes)

    def measure_by(self, audio: AudioFormat) -> None:
        """What was negotiated, before any audio was sent."""
        self._audio = audio
        window_s = self._liveness.unconfirmed_s
        self._window_bytes = None if window_s is None else audio.size(window_s * 1000)

    def put(self, item: Outgoing, audio_bytes: int = 0, *, urgent: bool = False) -> None:
        """Write at once where nothing is before it and nothing has to wait; else leave it to the task.

        Args:
            audio_bytes: of the user's voice in it, as it was given.
            urgent: it passes audio that waits.
        """
        if self._waits and not self._outbox and self._write_now(item, audio_bytes):
            return
        if urgent:
            self._outbox.put_urgent((item,))
        else:
            self._outbox.put((item,), audio_bytes)

    def _write_now(self, item: Outgoing, audio_bytes: int) -> bool:
        if isinstance(item, Event):
            self._tell(item)
            return True
        assert self._wire is not None
        if (audio_bytes and self._window_is_full(audio_bytes)) or not self._wire.send_now(item):
            return False
        self._written(audio_bytes)
        return True

    async def run(self, wire: Wire) -> None:
        """Write what had to wait: for what is before it, for the socket, or for audio to arrive.

        Ends when the connection does; why it did, the reader learns.
        """
        self._wire, self._pinged_at = wire, self._clock()
        try:
            while True:
                await self._step(wire)
        except WireClosed:
            return
        finally:
            self._waits = False

    async def _step(self, wire: Wire) -> None:
        head = self._outbox.peek()
        full = head is not None and head[1] > 0 and self._window_is_full(head[1])
        if (full or self._ping_wanted) and not self._watermark.barrier_is_out:
            await self._ping(wire)
        elif head is None or full:
            self._waits = True
            await self._outbox.changed()
            self._waits = False
        else:
            self._outbox.take()
            item, audio_bytes = head
            if isinstance(item, Event):
                self._tell(item)
            else:
                await wire.send(item)
                self._written(audio_bytes)

    def _written(self, audio_bytes: int) -> None:
        """Count audio that was written, and ask now and then whether it has arrived."""
        if audio_bytes:
            self._watermark.sent(audio_bytes)
            if self._clock() - self._pinged_at >= self._liveness.barrier_interval_s:
                self._want_ping()

    def _window_is_full(self, audio_bytes: int) -> bool:
        unconfirmed = self._watermark.unconfirmed_bytes
        return self._window_bytes is not None and 0 < unconfirmed > self._window_bytes - audio_bytes

    def beat(self, now: float) -> None:
        """Time passes: ask whether the peer is there, and sooner whether it has the last audio."""
        liveness = self._liveness
        patience_s = liveness.barrier_interval_s if self._watermark.unconfirmed_bytes else liveness.ping_interval_s
        if now - self._pinged_at >= patience_s:
            self._want_ping()

    def stalled_s(self, now: float) -> float:
        """Seconds for which a peer has left a ping unanswered while audio may not go on without."""
        waits = self._watermark.barrier_is_out and self._window_bytes is not None and self._watermark.unconfirmed_bytes
        return now - self._pinged_at if waits else 0.0

    def shift(self, by_s: float) -> None:
        """For so many seconds no pong could be heard: they don't count."""
        self._pinged_at += by_s

    def _want_ping(self) -> None:
        if not self._watermark.barrier_is_out:
            self._ping_wanted = True
            self._outbox.wake()

    async def _ping(self, wire: Wire) -> None:
        """Ask whether all that was written has arrived. One such question is under way at a time."""
        self._ping_wanted = False
        self._pinged_at = self._clock()
        self._watermark.barrier()
        pong = asyncio.ensure_future(await wire.ping())
        pong.add_done_callback(self._on_pong)

    def _on_pong(self, pong: asyncio.Future[object]) -> None:
        if pong.cancelled() or pong.exception() is not None:
            return  # the connection ended
        self._heard()
        self._watermark.passed()
        self._outbox.wake()
