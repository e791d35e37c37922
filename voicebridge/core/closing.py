"""The one table of how connections end: from what was seen on the wire to what it means.

seen                                            category       again?
HTTP 401, 403                                   auth           no
HTTP 402; 403 or 429 that speaks of quota       quota          no
HTTP 429                                        rate           yes, after Retry-After
HTTP 408, 425, 5xx (503: busy)                  network        yes
any other refusal                               config         no
close 1000, 1001 by the peer                    planned_end    yes, as a new session
close 1008                                      auth           no: vendors refuse keys that way after the handshake
close 1013                                      rate           yes
close 1011, 1012, 1014, and no close at all     network        yes
close 1002, 1003, 1007, 1009, 1010, 3000-4999   protocol       no
no such host, TLS                               config         no
no answer yet, name service, refused, reset     network        yes
not a websocket server                          protocol       no
we closed                                       closed         no

What a vendor means by its own codes and reasons, its codec says first (`Codec.classify`).
"""

from __future__ import annotations

from voicebridge.contract.codec import Closed
from voicebridge.contract.fault import Category, Fault

__all__ = ["fault_of"]

_NETWORK = "The connection was lost"
_STATUS: dict[int, tuple[Category, str]] = {
    401: ("auth", "The server refused the key. Check it"),
    402: ("quota", "The account's allowance is used up"),
    403: ("auth", "The server does not let this key use that. Check its permissions and the model"),
    404: ("config", "The server has no such model or address. Check the model's name and base_url"),
    408: ("network", "The server gave up waiting for us"),
    425: ("network", "The server was not ready"),
    429: ("rate", "Too many sessions or requests for this key right now"),
    503: ("busy", "The server is overloaded"),
}
_CLOSE: dict[int, tuple[Category, str]] = {
    1000: ("planned_end", "The server ended the call"),
    1001: ("planned_end", "The server ended the session"),
    1008: ("auth", "The server closed the connection: not allowed. Check the key"),
    1011: ("network", "The server failed"),
    1012: ("network", "The server restarts"),
    1013: ("rate", "The server is overloaded and asks to try again later"),
    1014: ("network", "A gateway before the server failed"),
}
_PROBLEM: dict[str, tuple[Category, str]] = {
    "dns": ("network", "The name service did not answer"),
    "no_such_host": ("config", "There is no such host. Check base_url and the network"),
    "refused": ("network", "Nothing listens there. Check base_url, and that the server runs"),
    "timeout": ("network", "The server did not get ready in time"),
    "reset": ("network", _NETWORK),
    "tls": ("config", "No secure connection could be made. Check base_url and the certificates"),
    "silent": ("network", "The connection went silent: nothing came, not even an answer to a ping"),
    "garbage": ("protocol", "What answered is no websocket server. Check base_url"),
}
_AGAIN: frozenset[Category] = frozenset({"network", "rate", "busy", "planned_end"})


def fault_of(closed: Closed) -> Fault:
    """What the end of a connection means where the vendor has no say of its own."""
    category, message, code = _meaning(closed)
    details = " ".join(closed.reason.split() or closed.body.split())[:200].rstrip(".")
    return Fault(
        category=category,
        code=code,
        message=f"{message}: {details}." if details else f"{message}.",
        retryable=category in _AGAIN,
        retry_after_s=closed.retry_after_s,
    )


def _meaning(closed: Closed) -> tuple[Category, str, str]:
    if closed.status is not None:
        return *_meaning_of_status(closed.status, closed.body), f"http_{closed.status}"
    if closed.problem:
        return *_PROBLEM[closed.problem], closed.problem
    if closed.code is None:
        return ("closed", "We closed the connection", "closed") if closed.by == "us" else ("network", _NETWORK, "lost")
    if closed.by == "us" and closed.code in (1000, 1001):
        return "closed", "We closed the connection", "closed"
    named = f"close_{closed.code}"
    if closed.code in (1005, 1006) or (closed.by == "us" and closed.code == 1011):
        return "network", _NETWORK, named
    if meaning := _CLOSE.get(closed.code):
        return *meaning, named
    who = "We refused what the server sent" if closed.by == "us" else "The server closed the connection"
    return "protocol", f"{who} (code {closed.code})", named


def _meaning_of_status(status: int, body: str) -> tuple[Category, str]:
    if status in (403, 429) and "quota" in body.lower():
        return _STATUS[402]
    if status in _STATUS:
        return _STATUS[status]
    if status >= 500:
        return "network", f"The server failed (HTTP {status})"
    return "config", f"The server refused what it was asked (HTTP {status}). Check base_url and the settings"
