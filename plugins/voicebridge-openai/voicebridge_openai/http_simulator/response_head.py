"""Headers of an answer."""

from __future__ import annotations

from .identity import Identity

__all__ = ["JSON", "SSE", "head"]

JSON = "application/json"
SSE = "text/event-stream; charset=utf-8"


def head(kind: str, names: Identity, length: int | None = None) -> dict[str, str]:
    """The headers of a body of that media type; without a length it goes out in chunks."""
    headers = {"Content-Type": kind, "x-request-id": names.new("req_", 32)}
    if length is not None:
        headers["Content-Length"] = str(length)
    return headers
