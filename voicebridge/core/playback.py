"""How much of a response has left the speaker, and which words those were."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from voicebridge.contract.stages import Word

__all__ = ["TOLERANCE_MS", "Player", "ResponsePlayback"]

TOLERANCE_MS = 20.0
"""A response is heard to its end when no more than this is missing: conversions and players round."""
_REMEMBERED = 16
"""Responses of which a late correction is still understood. Those that still play are remembered in any case."""


@dataclass(frozen=True, slots=True)
class _Piece:
    start_ms: float
    end_ms: float
    text: str
    words: tuple[Word, ...]


@dataclass(slots=True)
class ResponsePlayback:
    """The audio of one response: what was received, what was played, what was said where. In milliseconds."""

    received_ms: float = 0.0
    played_ms: float | None = None
    """As reported by the player; None while it has not said anything."""
    ends_at: float = 0.0
    """Seconds: when a player that plays at once, in real time, would have played it all."""
    ended: bool = False
    """No more audio will come, and this was all that was to be said."""
    settled: bool = False
    heard_ms: float = 0.0
    """Final once settled, unless the player corrects it."""
    basis: Literal["measured", "estimated"] = "estimated"
    _pieces: list[_Piece] = field(default_factory=list)

    def hear(self, now: float) -> None:
        """Fix how many milliseconds left the speaker until `now`, clamped to what was received."""
        if self.played_ms is not None:
            heard_ms, self.basis = self.played_ms, "measured"
        elif self.settled:
            return
        else:
            heard_ms = max(0.0, self.received_ms - max(0.0, (self.ends_at - now) * 1000))
        whole = self.ended and heard_ms >= self.received_ms - TOLERANCE_MS
        self.heard_ms = self.received_ms if whole else min(heard_ms, self.received_ms)

    @property
    def whole(self) -> bool:
        """Whether all of it was heard."""
        return self.ended and self.heard_ms >= self.received_ms

    def text_until(self, ms: float) -> str:
        """The words spoken in the first `ms`: by their times where known, else by proportion, to whole words."""
        return "".join(_spoken(piece, ms) for piece in self._pieces).strip() if ms > 0 else ""

    def add(self, duration_ms: float, text: str, words: Sequence[Word]) -> None:
        """A piece follows. One without text prolongs the text of the piece before."""
        start, self.received_ms = self.received_ms, self.received_ms + duration_ms
        if text or not self._pieces:
            self._pieces.append(_Piece(start, self.received_ms, text, tuple(words)))
            return
        last = self._pieces[-1]
        later = start - last.start_ms
        moved = tuple(replace(word, start_ms=word.start_ms + later, end_ms=word.end_ms + later) for word in words)
        self._pieces[-1] = replace(last, end_ms=self.received_ms, words=last.words + moved)


class Player:
    """Follows a player through all responses: by its reports, or as if it played at once and in real time."""

    def __init__(self) -> None:
        self._responses: dict[str, ResponsePlayback] = {}
        self._free_at = 0.0

    def received(
        self, response_id: str, duration_ms: float, now: float, text: str = "", words: Sequence[Word] = ()
    ) -> None:
        """Audio of a response came, `duration_ms` long, speaking `text` with word times from its own first sample."""
        if response_id not in self._responses:
            self._responses[response_id] = ResponsePlayback()
            settled = [id for id, response in self._responses.items() if response.settled]
            for id in settled[: max(0, len(self._responses) - _REMEMBERED)]:
                del self._responses[id]
        response = self._responses[response_id]
        response.add(duration_ms, text, words)
        self._free_at = max(self._free_at, now) + duration_ms / 1000
        response.ends_at = self._free_at

    def report(self, response_id: str, ms: float) -> None:
        """The player says how far it is. It never goes back; what is no time is ignored."""
        response = self._responses.get(response_id)
        if response and ms >= 0 and math.isfinite(ms):
            response.played_ms = max(response.played_ms or 0.0, ms)

    def cut(self, response_id: str, ms: float) -> None:
        """The application says how much was heard: that counts, whatever was reported before."""
        response = self._responses.get(response_id)
        if response and math.isfinite(ms):
            response.played_ms = max(0.0, ms)

    def response(self, response_id: str) -> ResponsePlayback | None:
        """What is known of a response's audio; None where it has none."""
        return self._responses.get(response_id)

    def unsettled(self) -> tuple[str, ...]:
        """Responses with audio of which it is not yet final what was heard, oldest first."""
        return tuple(id for id, response in self._responses.items() if not response.settled)

    def settle(self, response_id: str, now: float) -> ResponsePlayback | None:
        """Fix what was heard of a response, at its end or where it is cut. What was queued of it plays no more."""
        response = self._responses.get(response_id)
        if response is None:
            return None
        response.hear(now)
        if not response.settled:
            response.settled = True
            self._skip(response, now)
        return response

    def _skip(self, skipped: ResponsePlayback, now: float) -> None:
        """What waits behind a response plays earlier by what is left of that."""
        left = min(max(0.0, skipped.ends_at - now), skipped.received_ms / 1000)
        for response in self._responses.values():
            if response.ends_at > skipped.ends_at:
                response.ends_at -= left
        self._free_at -= left


def _spoken(piece: _Piece, ms: float) -> str:
    if ms >= piece.end_ms:
        return piece.text
    if ms <= piece.start_ms:
        return ""
    if piece.words:
        return _by_words(piece.text, [word.text for word in piece.words if piece.start_ms + word.end_ms <= ms])
    share = (ms - piece.start_ms) / (piece.end_ms - piece.start_ms)
    return _whole_words(piece.text, int(len(piece.text) * share))


def _by_words(text: str, words: Sequence[str]) -> str:
    """The text as far as these words of it, or these characters, reach."""
    end = 0
    for word in words:
        if (at := text.find(word, end)) >= 0:
            end = at + len(word)
    if not end and words:  # they are written in another way than the text
        return f" {' '.join(words)} "
    while end < len(text) and not text[end].isspace() and not text[end].isalnum():
        end += 1
    return _whole_words(text, end)


def _whole_words(text: str, end: int) -> str:
    """The text up to `end`, without a word that is cut there. A wide character is a word."""
    while 0 < end < len(text) and not (text[end].isspace() or text[end - 1].isspace() or _is_wide(text[end - 1])):
        end -= 1
    return text[:end]


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"
