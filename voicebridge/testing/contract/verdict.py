"""What a check of the contract suite comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Broken", "NotApplicable", "NotTried", "Status", "Verdict", "expect"]

Status = Literal["pass", "fail", "not applicable", "skipped"]


class Broken(AssertionError):
    """A promise is not kept. The message says which, and what was seen instead."""


class NotApplicable(Exception):
    """The backend declares that it does not do this, so there is nothing to check."""


class NotTried(Exception):
    """It could not be brought about here. The message says what to give so that it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of one check."""

    check: str
    promise: str
    """What was checked, in a sentence."""
    status: Status
    reason: str = ""
    """Of everything but a pass; of a pass, what of the promise was not checked."""
    trace: tuple[str, ...] = ()
    """Of a failure: commands, events and notes in their order, a line each."""
    seconds: float = 0.0
    """On the clock of the loop: virtual seconds where time is virtual."""

    def __str__(self) -> str:
        head = f"{self.check}: {self.status}"
        return "\n".join([f"{head}: {self.reason}" if self.reason else head, *(f"  {line}" for line in self.trace)])


def expect(kept: object, problem: str) -> None:
    """Go on if it is so.

    Raises:
        Broken: it is not.
    """
    if not kept:
        raise Broken(problem)
