"""The virtual player: what would have left the speaker, and when, if each piece were played as soon as it could be.

A piece is played from its arrival or from the end of the piece before it, whichever is later. Times are seconds on the
caller's clock, which is passed in; nothing here waits.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

__all__ = ["Piece", "Playout"]


@dataclass(slots=True)
class Piece:
    """A piece of a response's audio on its way through the player."""

    response_id: str
    arrived: float
    start: float
    """When its first sample leaves the speaker."""
    end: float
    """When its last one has left; earlier than was planned if it was stopped."""
    first_ms: float
    """Milliseconds of the response before it."""
    duration_ms: float


@dataclass(slots=True)
class Playout:
    """One speaker, all responses of a conversation in the order of their audio's arrival."""

    pieces: list[Piece] = field(default_factory=list)
    _received_ms: dict[str, float] = field(default_factory=dict)
    _free_at: float = 0.0

    def add(self, response_id: str, duration_ms: float, now: float) -> Piece:
        """A piece arrived."""
        start = max(now, self._free_at)
        self._free_at = start + duration_ms / 1000
        first_ms = self._received_ms.get(response_id, 0.0)
        self._received_ms[response_id] = first_ms + duration_ms
        piece = Piece(response_id, now, start, self._free_at, first_ms, duration_ms)
        self.pieces.append(piece)
        return piece

    def stop(self, response_id: str, now: float) -> None:
        """Drop what of a response has not been played; what waits behind it moves up."""
        self._free_at = 0.0
        for piece in self.pieces:
            if piece.response_id == response_id and piece.end > now:
                piece.start, piece.end = min(piece.start, now), now
            elif piece.response_id != response_id and piece.start > now:
                piece.start = max(piece.arrived, now, self._free_at)
                piece.end = piece.start + piece.duration_ms / 1000
            if piece.end > piece.start:
                self._free_at = max(self._free_at, piece.end)

    def played_ms(self, response_id: str, now: float) -> float:
        """Milliseconds of a response that have left the speaker."""
        own = (piece for piece in self.pieces if piece.response_id == response_id)
        return sum(max(0.0, min(now, piece.end) - piece.start) for piece in own) * 1000

    def sounding(self, now: float) -> list[str]:
        """The responses that have audio which has not left the speaker yet, in order."""
        return list(dict.fromkeys(piece.response_id for piece in self.pieces if piece.end > now))

    def ends_at(self) -> float:
        """When all that has arrived is played."""
        return max((piece.end for piece in self.pieces), default=0.0)

    def sounds_at(self, response_id: str, ms: float) -> float | None:
        """When the millisecond `ms` of a response leaves the speaker; None if it never does."""
        for piece in self.pieces:
            inside = (ms - piece.first_ms) / 1000
            if piece.response_id == response_id and 0 <= inside < piece.duration_ms / 1000:
                return piece.start + inside if piece.start + inside < piece.end else None
        return None

    def underruns_ms(self, response_id: str) -> list[float]:
        """Milliseconds of each gap in which a response's next piece had not yet arrived."""
        own = [piece for piece in self.pieces if piece.response_id == response_id]
        return [
            (later.start - piece.end) * 1000
            for piece, later in itertools.pairwise(own)
            if later.arrived > piece.end + 1e-9 and later.start == later.arrived
        ]
