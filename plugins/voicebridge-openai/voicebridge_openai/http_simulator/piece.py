"""A piece of a streamed answer, and when it may go."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Piece"]


class Piece(NamedTuple):
    """Bytes of a body."""

    kind: str
    """The name that fault scripts mean."""
    data: bytes
    after: float = 0.0
    """How many tokens, or milliseconds of audio, lie before it: it goes when those had their time."""
