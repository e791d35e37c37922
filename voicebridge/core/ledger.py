"""Where every sample of a session went, in both directions: an account that is exact after each step.

    user's voice     captured = delivered + dropped + pending
    agent's voice    received = played + discarded + pending

Nothing is pending once the ledger is closed. Both are counted in samples (of every channel) of the door's formats.

The user's voice is one stream. Places in it are bytes from its first sample, as in `voicebridge.core.backlog`.

place of the stream                      is counted as
before the watermark, no gap             delivered: a backend has it for certain
in a gap                                 dropped, for the reason of the first one who said so
behind the watermark, no gap             pending; at the close: dropped

A gap is told before the watermark passes over it, and what lies before the watermark already can't become one:
so each sample is counted once, however many connections heard it. The watermark never goes back.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass

from voicebridge.contract.account import Account, DiscardReason, DropReason, InputAccount, OutputAccount
from voicebridge.contract.audio import AudioFormat

__all__ = ["AudioLedger", "SentPlaces"]

_REMEMBERED = 64
"""Settled responses whose account may still be corrected. Older ones are only summed up."""


class SentPlaces:
    """What one connection was sent, and from which places of the stream: it was told, say, the bytes 100-200 and
    300-350. The 120th byte that it has confirmed is then the one at 320."""

    def __init__(self) -> None:
        self._counts: list[int] = []
        """Bytes sent before each run."""
        self._starts: list[int] = []
        """The place where it begins."""
        self.size = 0
        """Bytes sent."""
        self.end = 0
        """The place behind the last of them."""

    def sent(self, place: int, size: int) -> None:
        """Bytes from this place on were sent."""
        if place != self.end or not self._starts:
            self._counts.append(self.size)
            self._starts.append(place)
        self.size += size
        self.end = place + size

    def place(self, size: int) -> int:
        """The place behind the first `size` bytes that were sent: what the ledger calls `delivered`."""
        size = min(size, self.size)
        if size <= 0:
            return 0
        # At the end of a run it is that end, and not the beginning of the next.
        run = bisect_left(self._counts, size) - 1
        return self._starts[run] + size - self._counts[run]


class _Stream:
    """The user's voice: a watermark in it, and gaps behind the watermark. Places here are samples."""

    def __init__(self) -> None:
        self.mark = 0
        self.delivered = 0
        self.dropped: Counter[DropReason] = Counter()
        self._gaps: list[tuple[int, int]] = []
        """Start and end, in order, apart, none of it before the watermark."""

    def deliver(self, upto: int) -> None:
        passed = 0
        while self._gaps and self._gaps[0][0] < upto:
            start, end = self._gaps.pop(0)
            if end > upto:
                self._gaps.insert(0, (upto, end))
            passed += min(end, upto) - start
        self.delivered += upto - self.mark - passed
        self.mark = upto

    def drop(self, start: int, end: int, reason: DropReason) -> None:
        start = max(start, self.mark)
        if start >= end:
            return
        within = [gap for gap in self._gaps if gap[0] < end and gap[1] > start]
        known = sum(min(gap[1], end) - max(gap[0], start) for gap in within)
        if end - start > known:
            self.dropped[reason] += end - start - known
        merged = min([start, *(gap[0] for gap in within)]), max([end, *(gap[1] for gap in within)])
        self._gaps = sorted([merged, *(gap for gap in self._gaps if gap not in within)])


@dataclass(slots=True)
class _Voice:
    """One response. In bytes."""

    received: int = 0
    heard: int = 0
    undelivered: int = 0
    """Of what was received, what can't be heard."""
    rest: DiscardReason | None = None
    """Why no more of it will be played; None: it may be."""


class AudioLedger:
    """See the module. Every method may be called at any time; what makes no sense changes nothing.

    Args:
        input_format: of the user's voice at the door.
        output_format: of the agent's.
    """

    def __init__(self, input_format: AudioFormat, output_format: AudioFormat) -> None:
        self._formats = input_format, output_format
        self._frame = input_format.frame_bytes
        self._captured = 0
        self._stream = _Stream()
        self._voices: dict[str, _Voice] = {}
        self._settled: dict[str, None] = {}
        """Of `_voices`, those that are, the oldest first."""
        self._summed = [0, 0, 0]
        """Samples received, played and pending, of responses that are forgotten."""
        self._discarded: Counter[DiscardReason] = Counter()
        """Of the same."""
        self.closed = False

    # The user's voice

    @property
    def watermark(self) -> int:
        """The place up to which the user's voice is known to have arrived, but for gaps."""
        return self._stream.mark * self._frame

    def captured(self, size: int) -> None:
        """The application sent so many bytes."""
        self._captured += size
        if self.closed:
            self.dropped(self.watermark, self._captured, "closed")

    def delivered(self, upto: int) -> None:
        """A backend has everything before this place, for certain, but for what was dropped before."""
        place = min(upto, self._captured) // self._frame
        if place > self._stream.mark and not self.closed:
            self._stream.deliver(place)

    def dropped(self, start: int, end: int, reason: DropReason) -> None:
        """No backend will get what lies between these places, as far as none has it yet."""
        self._stream.drop(start // self._frame, min(end, self._captured) // self._frame, reason)

    # The agent's voice

    def received(self, response_id: str, size: int) -> None:
        """So many bytes of a response came."""
        voice = self._voices.get(response_id)
        if voice is None:
            voice = self._voices[response_id] = _Voice()
            if self.closed:
                self._settle(response_id, voice, "closed")
        voice.received += size

    def heard(self, response_id: str, heard_ms: float, *, final: bool = True) -> None:
        """So much of a response, from its first sample, left the speaker. The last word counts.

        Args:
            final: nothing more of it will be played.
        """
        voice = self._voices.get(response_id)
        if voice is None:
            return
        voice.heard = self._formats[1].size(max(0.0, heard_ms))
        if final and not self.closed:
            self._settle(response_id, voice, "interrupted")

    def undelivered(self, response_id: str, size: int) -> None:
        """So many bytes that were received were dropped before the application had them."""
        voice = self._voices.get(response_id)
        if voice is not None and size > 0:
            voice.undelivered = min(voice.received, voice.undelivered + size)

    # The end

    def close(self, sent: int = 0) -> Account:
        """Nothing more will come: what is pending is dropped. May be called again.

        Args:
            sent: the place up to which the user's voice was sent to any backend. What of it is not known to have
                arrived counts as `unconfirmed`, what lies behind it as `closed`.
        """
        if not self.closed:
            self.dropped(self.watermark, sent, "unconfirmed")
            self.dropped(self.watermark, self._captured, "closed")
            for response_id, voice in list(self._voices.items()):
                if voice.rest is None:
                    self._settle(response_id, voice, "closed")
            self.closed = True
        return self.account()

    def account(self) -> Account:
        """Where everything is now."""
        stream, captured = self._stream, self._captured // self._frame
        pending = captured - stream.delivered - sum(stream.dropped.values())
        heard = InputAccount(
            captured=captured, delivered=stream.delivered, dropped=dict(stream.dropped), pending=pending
        )
        said = self._summed.copy()
        discarded = self._discarded.copy()
        for voice in self._voices.values():
            self._count(voice, said, discarded)
        spoken = OutputAccount(received=said[0], played=said[1], discarded=dict(discarded), pending=said[2])
        door = self._formats
        return Account(input=heard, output=spoken, input_format=door[0], output_format=door[1], closed=self.closed)

    def _settle(self, response_id: str, voice: _Voice, reason: DiscardReason) -> None:
        voice.rest = reason
        self._settled[response_id] = None
        while len(self._settled) > _REMEMBERED:
            oldest = next(iter(self._settled))
            del self._settled[oldest]
            self._count(self._voices.pop(oldest), self._summed, self._discarded)

    def _count(self, voice: _Voice, said: list[int], discarded: Counter[DiscardReason]) -> None:
        """Add a response in samples: received, played and pending to `said`, the rest to `discarded`."""
        frame = self._formats[1].frame_bytes
        received = voice.received // frame
        # Places are rounded and their differences counted, so that a piece that ends within a sample loses none.
        audible = (voice.received - voice.undelivered) // frame
        played = min(voice.heard // frame, audible)
        said[0] += received
        said[1] += played
        if received > audible:
            discarded["undelivered"] += received - audible
        if audible > played and voice.rest is not None:
            discarded[voice.rest] += audible - played
        elif audible > played:
            said[2] += audible - played
