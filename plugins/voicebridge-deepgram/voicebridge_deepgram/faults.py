"""What Deepgram means by the end of a connection, and by the errors that it tells inside of one.

Facts: Deepgram's pages on websocket, NET and DATA errors, and the frames of `deepgram-sdk` 7.17 (`listen.v1`,
`listen.v2`, `speak.v1`).

close 1008 DATA-0000    the audio could not be decoded: not refused for its key, as the code would say
close 1011 NET-0000     it had nothing to say for too long
close 1011 NET-0001     it got neither audio nor KeepAlive for some 10 s
HTTP 4xx                a body with err_code and err_msg
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from voicebridge.contract.codec import Closed
from voicebridge.contract.fault import Category, Fault
from voicebridge.core.closing import fault_of

__all__ = ["classify", "explain", "told"]

_CODES: tuple[tuple[str, Category, str, bool], ...] = (
    (
        "NET-0001",
        "network",
        "Deepgram closed a connection that had no audio for too long. It will be opened again",
        True,
    ),
    ("NET-", "network", "Deepgram lost the connection on its side", True),
    ("DATA-", "protocol", "Deepgram could not read what was sent. Check the audio format", False),
    ("BIG-", "protocol", "Deepgram was sent too much at once", False),
    ("INTERNAL", "network", "Deepgram failed", True),
)


def classify(closed: Closed) -> Fault:
    """The end of a connection."""
    if closed.status is not None:
        return explain(closed.status, closed.body) or fault_of(closed)
    fault = fault_of(closed)
    for code, category, meaning, retryable in _CODES:
        if closed.by == "peer" and code in closed.reason:
            return replace(fault, category=category, message=f"{meaning}: {closed.reason}.", retryable=retryable)
    return fault


def explain(status: int, body: str) -> Fault | None:
    """A refusal: the common table, with the sentence that Deepgram puts into its body."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(said, dict) or not (sentence := said.get("err_msg") or said.get("message")):
        return None
    fault = fault_of(Closed(by="peer", status=status, reason=str(sentence), body=body))
    return replace(fault, code=str(said.get("err_code") or said.get("category") or fault.code))


def told(event: dict[str, Any]) -> Fault:
    """An `Error` frame, of any of the three wires."""
    code = str(event.get("code") or event.get("variant") or "error")
    sentence = str(event.get("description") or event.get("message") or "it did not say why").rstrip(".")
    for known, category, meaning, retryable in _CODES:
        if known in code:
            return Fault(category=category, code=code, message=f"{meaning}: {sentence}.", retryable=retryable)
    return Fault(category="protocol", code=code, message=f"Deepgram refused what was sent: {sentence}.")
