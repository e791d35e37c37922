"""What went wrong, as data: one value in events, in settlements and in exceptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Category", "Fault"]

Category = Literal[
    "network",  # the peer could not be reached, or was lost
    "planned_end",  # the call ended as announced: a session cap, a hang-up
    "rate",  # too many requests or sessions right now
    "quota",  # the money or the allowance is used up
    "auth",  # the key is missing, wrong or not allowed this
    "config",  # the caller asked for something that does not exist or does not fit
    "busy",  # the backend is overloaded, or a stage did not answer in time
    "unsupported",  # this backend can't do that
    "protocol",  # a peer, a model or a plugin broke its side of the contract
    "content",  # refused for what was said
    "closed",  # the session is over
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A failure in words that a person can act on."""

    category: Category
    message: str
    """One or two sentences: what happened, and what to do next."""
    code: str = ""
    """The vendor's or our own short name of it, for logs and tests."""
    retryable: bool = False
    """Whether the same thing may work if it is tried again, unchanged."""
    retry_after_s: float | None = None
    """Seconds that the other side asked us to wait."""
