"""How much of a response has left the speaker, and which words those were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from voicebridge.contract.stages import Word

__all__ = ["Player", "ResponsePlayback"]


@dataclass(frozen=True, slots=True)
class _Piece:
    start_ms: float
    end_ms: float
    text: str
    words: tuple[Word, ...]


@dataclass(slots=True)
class ResponsePlayback:
    """The audio of one response: what was received, what was played, what was said where."""

    received_ms: float = 0.0
    played_ms: float | None = None
    """As reported by the player; None while it has not said anything."""
    ends_at: float = 0.0
    """Seconds: when a player that plays at once, in real time, would have played it all."""
    _pieces: list[_Piece] = field(default_factory=list)

    def heard_ms(self, now: float) -> tuple[float, Literal["measured", "estimated"]]:
        """Milliseconds that left the speaker until `now`, clamped to what was received."""
        if self.played_ms is not None:
            return min(self.played_ms, self.received_ms), "measured"
        left = max(0.0, (self.ends_at - now) * 1000)
        return max(0.0, self.received_ms - left), "estimated"

    def text_until(self, ms: float) -> str:
        """The words spoken in the first `ms`: by their times where known, else by proportion, to whole words."""
        return "".join(_spoken(piece, ms) for piece in self._pieces).strip()

    def add(self, duration_ms: float, text: str, words: Sequence[Word]) -> None:
        """A piece follows. One without text prolongs the text of the piece before."""
        start, self.received_ms = self.received_ms, self.received_ms + duration_ms
        if text or not self._pieces:
            self._pieces.append(_Piece(start, self.received_ms, text, tuple(words)))
        else:
            last = self._pieces[-1]
            self._pieces[-1] = _Piece(last.start_ms, self.received_ms, last.text, last.words)


class Player:
    """Follows a player through all responses: by its reports, or as if it played at once and in real time."""

    def __init__(self) -> None:
        self._responses: dict[str, ResponsePlayback] = {}
        self._free_at = 0.0

    def received(
        self, response_id: str, duration_ms: float, now: float, text: str = "", words: Sequence[Word] = ()
    ) -> None:
        """Audio of a response came, `duration_ms` long, speaking `text` with word times from its own first sample."""
        response = self._responses.setdefault(response_id, ResponsePlayback())
        response.add(duration_ms, text, words)
        self._free_at = max(self._free_at, now) + duration_ms / 1000
        response.ends_at = self._free_at

    def report(self, response_id: str, ms: float) -> None:
        """The player says how far it is. A smaller figure than before is ignored."""
        if response := self._responses.get(response_id):
            response.played_ms = max(ms, response.played_ms or 0.0)

    def response(self, response_id: str) -> ResponsePlayback | None:
        """What is known of a response whose playback has not been settled."""
        return self._responses.get(response_id)

    def unsettled(self) -> tuple[str, ...]:
        """Responses with audio of which it is not yet final what was heard, oldest first."""
        return tuple(self._responses)

    def settle(self, response_id: str, now: float) -> ResponsePlayback | None:
        """Take a response out: it was played to the end, or cut. What was queued behind `now` plays no more."""
        response = self._responses.pop(response_id, None)
        if response and not self._responses:
            self._free_at = min(self._free_at, now)
        return response


def _spoken(piece: _Piece, ms: float) -> str:
    if ms >= piece.end_ms:
        return piece.text
    if ms <= piece.start_ms:
        return ""
    if piece.words:
        return " ".join(word.text for word in piece.words if piece.start_ms + word.end_ms <= ms) + " "
    share = (ms - piece.start_ms) / (piece.end_ms - piece.start_ms)
    cut = piece.text[: int(len(piece.text) * share)]
    whole_words, space, _ = cut.rpartition(" ")
    return whole_words + space
