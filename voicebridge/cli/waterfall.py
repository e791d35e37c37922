"""Where the time goes between the user's last word and the agent's first sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .dialogue import Turn

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Step", "steps", "waterfall"]

Step = tuple[str, float]
"""A stage's name, and the milliseconds from the end of the user's speech until it had done its part."""

_WIDTH = 40
"""Characters of the longest bar."""


def steps(turn: Turn, speech_ended_at: float) -> list[Step]:
    """The steps of a turn that are known, in the order in which they were done.

    Args:
        speech_ended_at: seconds, when the last sample of the user's speech was sent.
    """
    times = turn.times
    staged = "asked" in times
    named = {
        "pause noticed": turn.paused_at,
        "turn over": None if staged else turn.ended_at,
        "transcript": turn.transcript_at,
        "first token": times.get("first_token") if staged else times.get("first_text"),
        "first clause": times.get("first_clause"),
        "first speech": times.get("first_speech") if staged else times.get("first_audio"),
        "released": times.get("released"),
        "first audible sample": times.get("audible"),
    }
    known = [(name, (at - speech_ended_at) * 1000) for name, at in named.items() if at is not None]
    return sorted(known, key=lambda step: step[1])


def waterfall(known: Sequence[Step]) -> Table:
    """A table with a bar for each step, from where the step before it ended to its own end."""
    from rich.bar import Bar
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=20)
    table.add_column(justify="right")
    table.add_column(width=_WIDTH)
    longest = max((ms for _, ms in known), default=0.0) or 1.0
    table.add_row("end of speech", "0 ms", "")
    reached = 0.0
    for name, ms in known:
        begins, reached = reached, max(reached, ms)
        table.add_row(name, f"{ms:.0f} ms", Bar(longest, min(begins, longest), reached, width=_WIDTH, color="cyan"))
    return table
