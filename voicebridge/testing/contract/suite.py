"""The checks, and how one is run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.config import TurnPolicy, checked
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.items import Item
from voicebridge.testing.guards import Leak, no_leaked_tasks

from .conversation import CLOSE_S, Conversation
from .rules import broken_rules
from .subject import Subject
from .trace import Trace
from .verdict import Broken, NotApplicable, NotTried, Status, Verdict

__all__ = ["CHECKS", "Bench", "Check", "check", "run_check"]

_LONGEST_IN_PATIENCE = 6


@dataclass(frozen=True, slots=True)
class Check:
    """One check by its name."""

    name: str
    promise: str
    """What is checked, in a sentence."""
    run: Callable[[Bench], Awaitable[None]]


CHECKS: dict[str, Check] = {}
"""By name, in the order in which they are best run."""


def check(promise: str) -> Callable[[Callable[[Bench], Awaitable[None]]], Callable[[Bench], Awaitable[None]]]:
    """Make a function a check of the suite, under its own name."""

    def add(run: Callable[[Bench], Awaitable[None]]) -> Callable[[Bench], Awaitable[None]]:
        name = run.__name__
        CHECKS[name] = Check(name, promise, run)
        return run

    return add


@dataclass
class Bench:
    """Where a check is carried out."""

    subject: Subject
    traces: list[Trace] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    """What a check that passes could not look at, and what to give so that it can."""

    @property
    def can(self) -> Capabilities:
        """What the backend declares without a connection."""
        return self.subject.backend.capabilities

    def need(self, condition: object, otherwise: str) -> None:
        """Go on if the backend does that.

        Raises:
            NotApplicable: it declares that it does not.
        """
        if not condition:
            raise NotApplicable(otherwise)

    def not_checked(self, what: str) -> None:
        """Say with the verdict that this part of the promise was not looked at."""
        self.unchecked.append(what)

    def turns(self, **fields: Any) -> TurnPolicy:
        """The subject's way to find turns, but for these fields."""
        given = self.subject.config.get("turns", {})
        policy = given if isinstance(given, TurnPolicy) else TurnPolicy(**given)
        return policy.model_copy(update=fields)

    def own_mode(self) -> Literal["server_vad", "semantic"] | None:
        """How the backend finds turns itself; None: as it does when nothing is said about it."""
        policy = self.turns()
        return policy.mode if policy.mode != "manual" else None

    def with_subject(self, subject: Subject) -> Bench:
        """The same for another subject."""
        return Bench(subject, self.traces, self.unchecked)

    @asynccontextmanager
    async def open(
        self, *, history: Sequence[Item] = (), finish: bool = True, **config: Any
    ) -> AsyncIterator[Conversation]:
        """A conversation. When it is over it is closed, read to its end, and held to every rule.

        Args:
            finish: False leaves all that to the check.
            config: on top of the subject's.
        """
        fields = {**self.subject.config, **config}
        policy = config.get("turns", self.turns())
        can = self.can
        if "turns" not in config and policy.mode is None and self.subject.asks_by == "speech" and "manual" in can.turns:
            policy = policy.model_copy(update={"mode": "manual"})
        trace = Trace()
        trace.real_time, trace.late_usage = not self.subject.virtual_time, self.subject.late_usage
        self.traces.append(trace)
        connecting = self.subject.backend.connect(checked(fields | {"turns": policy}), history)
        async with connecting as session:
            by_hand = policy.mode == "manual" or can.turns == {"manual"}
            conversation = Conversation(session, self.subject, trace, by_hand=by_hand)
            try:
                yield conversation
                if finish:
                    await conversation.close()
            finally:
                await conversation.give_up()
        if finish:
            self.judge(trace)

    def judge(self, trace: Trace) -> None:
        """Hold a conversation that is over to every rule.

        Raises:
            Broken: it breaks one.
        """
        if problems := broken_rules(trace):
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise Broken(problems[0] + more)


async def run_check(check: Check, subject: Subject) -> Verdict:
    """Carry out a check on the running loop. Whatever happens becomes a verdict."""
    bench = Bench(subject)
    clock = asyncio.get_running_loop().time
    began = clock()
    status, reason = await _outcome(check, bench)
    trace = tuple(line for trace in bench.traces for line in trace.told()) if status == "fail" else ()
    return Verdict(
        check=check.name, promise=check.promise, status=status, reason=reason, trace=trace, seconds=clock() - began
    )


async def _outcome(check: Check, bench: Bench) -> tuple[Status, str]:
    limit_s = bench.subject.patience_s * _LONGEST_IN_PATIENCE + CLOSE_S
    limit = asyncio.timeout(limit_s)
    try:
        async with no_leaked_tasks(), limit:
            await check.run(bench)
    except NotApplicable as why:
        return "not applicable", str(why)
    except NotTried as why:
        return "skipped", str(why)
    except (Broken, Leak) as broken:
        return "fail", str(broken)
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) and task.cancelling():
            raise  # whoever runs the check gives up
        return "fail", "CancelledError came out of the backend, and nobody had cancelled anything"
    except VoiceBridgeError as error:
        return "fail", f"{type(error).__name__}: {error}"
    except Exception as error:
        if isinstance(error, TimeoutError) and limit.expired():
            return "fail", f"it was not over after {limit_s:.0f} s"
        return "fail", f"{type(error).__name__}, which is no VoiceBridgeError: {error}"
    return "pass", f"not checked: {'; '.join(bench.unchecked)}" if bench.unchecked else ""
