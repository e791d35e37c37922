"""Text that every stage can take."""

from __future__ import annotations

__all__ = ["whole_text"]


def whole_text(text: str) -> str:
    """Half a surrogate pair, which no model can take, becomes a "?": it would spoil every answer from then on."""
    return text.encode("utf-8", "replace").decode()
