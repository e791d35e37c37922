"""Why something is not done, as all of Google's APIs say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Refusal"]


class Refusal(Exception):
    """An answer instead of what was asked for.

    Args:
        name: of google.rpc.Code.
    """

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: Mapping[str, Any] = {"error": {"code": status, "message": message, "status": name}}
        self.headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
