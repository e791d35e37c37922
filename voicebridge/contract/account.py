"""Where every sample of a session went: what the audio ledger tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .audio import AudioFormat
from .message import Message

__all__ = ["Account", "DiscardReason", "Disclosed", "DropReason", "InputAccount", "OutputAccount"]

DropReason = Literal["too_old", "discarded", "unconfirmed", "closed"]
"""Why the user's voice reached nobody. `too_old`: no connection took it before it had to be forgotten. `discarded`: the
application took it back. `unconfirmed`: it was sent, and nothing proves that it arrived. `closed`: the session ended
before it was sent."""
DiscardReason = Literal["interrupted", "undelivered", "closed"]
"""Why the agent's voice was not played. `interrupted`: the player dropped it. `undelivered`: it was dropped before the
application had it. `closed`: the session ended first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosed(Message):
    """That the disclosure of a call's policy was made."""

    at: float
    """Seconds on the session's clock, as `Event.at`."""
    basis: Literal["measured", "provider", "estimated", "text"]
    """How it is known, as in `OutputHeard`: by the player's reports (`measured`), by the vendor, or by the time that
    it takes to play (`estimated`). `text`: it was given to the application in writing."""
    missing_ms: float = 0.0
    """Milliseconds at its end that the player did not say it played: at most a 20th, or 300 ms of a longer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputAccount(Message):
    """The user's voice, in samples."""

    captured: int = 0
    """All that the application sent."""
    delivered: int = 0
    """Reached a backend for certain."""
    dropped: Mapping[DropReason, int] = field(default_factory=dict)
    pending: int = 0

    @property
    def balanced(self) -> bool:
        """Whether each sample is counted exactly once."""
        return self.captured == self.delivered + sum(self.dropped.values()) + self.pending


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputAccount(Message):
    """The agent's voice, in samples."""

    received: int = 0
    """All that backends sent and that was meant to be heard."""
    played: int = 0
    """Left the speaker."""
    discarded: Mapping[DiscardReason, int] = field(default_factory=dict)
    pending: int = 0

    @property
    def balanced(self) -> bool:
        """Whether each sample is counted exactly once."""
        return self.received == self.played + sum(self.discarded.values()) + self.pending


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Message):
    """A session's audio, both ways. `str` of it can be read."""

    input: InputAccount
    output: OutputAccount
    input_format: AudioFormat
    output_format: AudioFormat
    closed: bool = False
    """Whether it is final."""

    @property
    def balanced(self) -> bool:
        """Whether both directions are, and nothing is pending if it is final."""
        done = not (self.closed and (self.input.pending or self.output.pending))
        return done and self.input.balanced and self.output.balanced

    def __str__(self) -> str:
        heard, said = self.input, self.output
        rates = self.input_format.rate, self.output_format.rate
        return (
            f"user:  {_line(rates[0], 'captured', heard.captured, 'delivered', heard.delivered)}"
            f"{_reasons('dropped', heard.dropped)}, {heard.pending} pending\n"
            f"agent: {_line(rates[1], 'received', said.received, 'played', said.played)}"
            f"{_reasons('discarded', said.discarded)}, {said.pending} pending"
        )


def _line(rate: int, whole: str, total: int, well: str, good: int) -> str:
    return f"{total} samples {whole} ({total / rate:.2f} s) = {good} {well}"


def _reasons(lost: str, amounts: Mapping[DropReason, int] | Mapping[DiscardReason, int]) -> str:
    given = ", ".join(f"{amount} {reason}" for reason, amount in amounts.items())
    return f", {sum(amounts.values())} {lost}" + (f" ({given})" if given else "")
