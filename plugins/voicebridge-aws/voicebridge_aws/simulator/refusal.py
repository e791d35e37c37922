"""Why something is not done, as both wires say it."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from voicebridge.testing.simulator.wire import HttpAnswer

from ..event_stream import encoded

__all__ = ["Refusal"]


class Refusal(Exception):
    """Why something is not done.

    Args:
        status: of the answer over HTTP.
        name: the vendor's type of it.
    """

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.name, self.message = status, name, message

    @property
    def headers(self) -> Mapping[str, str]:
        """Of the answer over HTTP: the type of an error stands here, and not in the body."""
        return {"Content-Type": "application/json", "x-amzn-ErrorType": self.name}

    @property
    def answer(self) -> HttpAnswer:
        """Over HTTP, also to a handshake."""
        return HttpAnswer(status=self.status, headers=self.headers, body=orjson.dumps({"message": self.message}))

    @property
    def event(self) -> bytes:
        """In an event stream."""
        headers = {":content-type": "application/json", ":exception-type": self.name, ":message-type": "exception"}
        return encoded(headers, orjson.dumps({"Message": self.message}))
