"""All that a managed call is made of, before it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.config import SessionConfig, TurnPolicy
from voicebridge.contract.events import Interruption
from voicebridge.contract.items import Item
from voicebridge.contract.session import Backend
from voicebridge.core.interruption_policy import InterruptionPolicy, Signals, Verdict
from voicebridge.core.retry import RetryPolicy
from voicebridge.pool.key_pool import KeyPool

from .candidate import Candidate
from .history_store import HistoryStore
from .team import Team
from .tool_runner import Confirm, Orphaned, check_tool_settings
from .toolbox import Toolbox

__all__ = ["CallSetup", "ToolPolicy"]

_AT_ONCE, _NEVER = InterruptionPolicy.at_once(), InterruptionPolicy.never()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPolicy:
    """How the functions that the model calls are run. See `ToolRunner`.

    Raises:
        ConfigError: a field does not fit.
    """

    deadline_s: float | None = 30.0
    """Seconds that the model waits for a result."""
    confirm: Confirm | None = None
    """Asked before each call: True runs it; False, or words for the model, refuses it."""
    orphaned: Orphaned | None = None
    """Gets the results that nobody reads any more."""
    max_output_bytes: int = 65_536
    """Of a result; the rest is cut off, and the model is told."""
    max_running: int = 16
    """Calls of a session that run at once, those that take longer than the deadline included. Of a further one the
    model is told that it was not begun."""

    def __post_init__(self) -> None:
        check_tool_settings(**self.options)

    @property
    def options(self) -> dict[str, Any]:
        """As `ToolRunner` takes them."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSetup:
    """What `connect` was asked for."""

    config: SessionConfig
    """What holds on every backend."""
    candidates: tuple[Candidate, ...]
    """The backends, the preferred one first."""
    called: SessionConfig
    """As the whole call was set, before the first agent of a team was."""
    spec: str | Backend
    """The backend of the whole call."""
    keys: KeyPool | None = None
    """Its pool."""
    candidate_of: Callable[[str | Backend, Mapping[str, Any]], Candidate]
    """Makes one of what `Configure(patch={"backend": ...})` names, with its own settings."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    said: tuple[Item, ...] = ()
    """How the conversation began, where no store has it."""
    store: HistoryStore | None = None
    owns_store: bool = False
    """It is closed with the call."""
    conversation: str = ""
    toolbox: Toolbox | None = None
    team: Team | None = None
    tools: ToolPolicy = field(default_factory=ToolPolicy)
    policy: CallPolicy | None = None
    interruption: Callable[[Signals], Verdict] | None = None
    """None: backends stop the agent as they do by themselves."""
    on_interrupt: Callable[[Interruption], None] | None = None

    def judge(self, turns: TurnPolicy) -> Callable[[Signals], Verdict]:
        """What the user's voice does to the agent's, where turns are treated like this."""
        if self.interruption is not None:
            return self.interruption
        return _AT_ONCE if turns.auto_interrupt else _NEVER
