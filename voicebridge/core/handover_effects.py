"""What a handover decides, and what it is told of the moment."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from voicebridge.contract.fault import Fault

__all__ = ["Close", "Dial", "Effect", "Flip", "GiveUp", "Moment", "Reason", "Refuse", "Wish"]

_C = TypeVar("_C", bound=Hashable)
Reason = Literal["expiry", "drop", "failover", "swap", "reconfigure"]


@dataclass(frozen=True, slots=True)
class Dial(Generic[_C]):
    """Open a connection."""

    attempt: int
    candidate: _C


@dataclass(frozen=True, slots=True)
class Flip:
    """From now on this connection carries the call."""

    attempt: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Close:
    """This connection is not wanted any more."""

    attempt: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The call is over."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Refuse:
    """What was wished for could not be had: the call goes on as it is."""

    wish: Wish
    fault: Fault


Effect = Dial[_C] | Flip | Close | GiveUp | Refuse


@dataclass(frozen=True, slots=True)
class Moment:
    """Who is heard, right now."""

    responding: bool = False
    """The backend gives an answer, or has been asked for something that it has not settled."""
    speaking: bool = False
    """The user speaks."""
    playing: bool = False
    """An answer is still being played."""


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """A planned move."""

    candidate: Hashable
    reason: Reason
    deadline: float = math.inf
    """Seconds on the clock: from then on the moment is right, whoever speaks."""
    relaxed_at: float = math.inf
    """Seconds on the clock: from then on only an answer is waited for."""
