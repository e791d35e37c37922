"""Why something is not done."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

__all__ = ["Refusal"]


class Refusal(Exception):
    """An answer instead of what was asked for.

    Args:
        plain: the service itself answers in plain text, the gateway before it in JSON.
    """

    def __init__(
        self, status: int, message: str, *, plain: bool = False, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = message.encode() if plain else orjson.dumps({"error": {"code": str(status), "message": message}})
        self.headers = {"Content-Type": "text/plain" if plain else "application/json", **(headers or {})}
