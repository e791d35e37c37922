"""The options that only a cascade knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CascadeOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeOptions:
    """Given to `voicebridge.connect` by name."""

    speculate: Literal["reply", "transcript", "none"] = "reply"
    """What is done during the silence that may end a turn. `transcript`: the recogniser finishes. `reply`: the model
    and the voice start, too, and are held back; models that act or remember are still never asked on a guess. `none`:
    nothing, so that nothing is paid in vain. A recogniser that is paid for each text (it uploads) is asked on a guess
    at most eight times a turn. `cascade.timing` events count what was wasted."""
    markup: Literal["strip", "keep"] = "strip"
    """Whether the voice gets what the model writes as plain words: see `voicebridge.core.speakable`. `keep` it for a
    voice that reads tags of its own, such as SSML. The text that is told and remembered is as the model wrote it."""
    timeout_s: float = 30.0
    """The longest wait for a stage's next output where nobody can take over from it: a small machine may take so long,
    and to give up would be no better. Hosted stages notice a dead peer by themselves, within 5 s."""
    failover_s: float = 5.0
    """The same where the seat has another stage that can take over. What keeps a connection alive is no output."""
    ready_timeout_s: float = 120.0
    """The longest wait for a stage to get ready."""
