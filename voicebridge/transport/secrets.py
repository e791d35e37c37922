"""What a server must not be quoted with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import parse_qsl, quote

from voicebridge.contract.codec import Endpoint
from voicebridge.contract.events import BackendError, CommandSettled, Event, InputTranscript, ResponseEnded
from voicebridge.contract.fault import Fault

__all__ = ["Secrets"]

_PARTS = re.compile(r"""[\s.,:;="']+""")
_SHORTEST = 8
"""Shorter parts are no secrets."""
_HIDDEN = "[hidden]"


class Secrets:
    """Knows the secrets of a connection, whole and in parts, and takes them out of what others say.

    Args:
        values: such as the values of headers.
    """

    def __init__(self, values: Iterable[str]) -> None:
        parts = {part for value in values for part in (value, *_PARTS.split(value)) if len(part) >= _SHORTEST}
        self._parts = tuple(sorted(parts, key=len, reverse=True))

    @classmethod
    def of(cls, endpoint: Endpoint) -> Secrets:
        """Those of an endpoint: its headers, its secret query, and what of its subprotocols is no plain name that
        messages need."""
        names = [part for value in endpoint.subprotocols for part in (value, *_PARTS.split(value)) if len(part) > 12]
        signed = [part for _, value in parse_qsl(endpoint.secret_query) for part in (value, quote(value, safe=""))]
        return cls([*endpoint.headers.values(), *names, *signed])

    def scrubbed(self, text: str) -> str:
        """The text without them, also where its author has cut what it quotes."""
        for secret in self._parts:
            text = text.replace(secret, _HIDDEN)
            for size in range(len(secret) - 1, _SHORTEST - 1, -1):
                if text.endswith(secret[:size]):
                    text = f"{text[:-size]}{_HIDDEN}"
                    break
        return text

    def hidden(self, event: Event) -> Event:
        """The event, with none in the words of its fault."""
        if not isinstance(event, BackendError | CommandSettled | InputTranscript | ResponseEnded) or not event.fault:
            return event
        fault: Fault = event.fault
        message, code = self.scrubbed(fault.message), self.scrubbed(fault.code)
        if (message, code) == (fault.message, fault.code):
            return event
        return replace(event, fault=replace(fault, message=message, code=code))
