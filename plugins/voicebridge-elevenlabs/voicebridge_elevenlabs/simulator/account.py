"""Who may come in, and the voices there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .options import WireOptions

__all__ = ["VOICES", "Account", "Refusal", "check_voice", "shown_voice"]

VOICES: Mapping[str, str] = {
    "JBFqnCBsd6RMkjVDRZzb": "George - Warm, Captivating Storyteller",
    "EXAVITQu4vr4xnSDxMaL": "Sarah - Mature, Reassuring",
    "simulatedVoice000001": "Rachel",
    "simulatedVoice000002": "Adam",
    "simulatedVoice000003": "Antoni",
}
"""Names by id."""


class Refusal(Exception):
    """Why something is not done.

    Args:
        status: of the answer over HTTP.
        name: the vendor's.
    """

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.name, self.message = status, name, message

    @property
    def detail(self) -> dict[str, Any]:
        """As it stands in an answer over HTTP."""
        return {"detail": {"status": self.name, "message": self.message}}

    @property
    def frame(self) -> dict[str, Any]:
        """As it stands in a frame of the websocket for voices."""
        return {"message": self.message, "error": self.name, "code": 1008}


class Account:
    """What is known of the callers, each by its key."""

    def __init__(self, options: WireOptions) -> None:
        self._options = options
        self._busy: Counter[str] = Counter()

    def check(self, key: str) -> None:
        """Let a caller in.

        Raises:
            Refusal: there is no key, it is wrong, or the credits are used up.
        """
        if not key and self._options.require_key:
            raise Refusal(401, "needs_authorization", "No key was shown.")
        if self._options.keys and key not in self._options.keys:
            raise Refusal(401, "invalid_api_key", "There is no such key.")
        if key in self._options.empty_accounts:
            raise Refusal(401, "quota_exceeded", "No credits are left for this request.")

    @contextmanager
    def answer(self, key: str) -> Iterator[None]:
        """Count an answer while it is made.

        Raises:
            Refusal: as many as there may be are being made.
        """
        if 0 < self._options.most_at_once <= self._busy[key]:
            raise Refusal(429, "too_many_concurrent_requests", "As many requests as the plan allows are running.")
        self._busy[key] += 1
        try:
            yield
        finally:
            self._busy[key] -= 1


def check_voice(voice_id: str) -> None:
    """See that there is such a voice.

    Raises:
        Refusal: there is none.
    """
    if voice_id not in VOICES:
        raise Refusal(404, "voice_not_found", f"There is no voice with the id {voice_id}.")


def shown_voice(voice_id: str) -> dict[str, Any]:
    """A voice in a list of voices."""
    return {"voice_id": voice_id, "name": VOICES[voice_id], "category": "premade", "labels": {}, "settings": None}
