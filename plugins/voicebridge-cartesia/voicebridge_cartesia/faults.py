"""What Cartesia means by its errors. Facts: `cartesia` 4.2 (`websocket_response.Error`, `STTErrorResponse`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from voicebridge.contract.codec import Closed
from voicebridge.contract.fault import Fault
from voicebridge.core.closing import fault_of

__all__ = ["classify", "explain", "told"]


def classify(closed: Closed) -> Fault:
    """The end of a connection."""
    if closed.status is not None:
        return explain(closed.status, closed.body) or fault_of(closed)
    return fault_of(closed)


def explain(status: int, body: str) -> Fault | None:
    """A refusal: the common table, with the sentence in its body."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return _told(status, said, body) if isinstance(said, dict) and (said.get("message") or said.get("title")) else None


def told(event: Mapping[str, Any]) -> Fault:
    """An `error` event. It holds the status that a refusal would have had."""
    status = event.get("status_code")
    if not isinstance(status, int) or isinstance(status, bool) or not 400 <= status <= 599:
        sentence = str(event.get("message") or event.get("title") or "it did not say why").rstrip(".")
        code = str(event.get("error_code") or "error")
        return Fault(category="protocol", code=code, message=f"Cartesia refused what was sent: {sentence}.")
    return _told(status, event, "")


def _told(status: int, said: Mapping[str, Any], body: str) -> Fault:
    sentence = ": ".join(str(said[name]).rstrip(".") for name in ("title", "message") if said.get(name))
    fault = fault_of(Closed(by="peer", status=status, reason=sentence, body=body or sentence))
    return replace(fault, code=str(said.get("error_code") or fault.code))
