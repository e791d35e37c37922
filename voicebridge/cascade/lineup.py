"""The stages of one seat: who works now, who is warm, who takes over. The rules are those of `StageOrder`."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import GetsReady, Stage, Usage
from voicebridge.core.stage_order import StageOrder, Work

from .seat_settings import SEAT_NAMES, Placed
from .stage_fault import fault_of, own_cancellation

__all__ = ["Lineup", "ServedUsage", "Watch", "now"]

S = TypeVar("S", bound=Stage)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServedUsage(Usage):
    """Usage of one stage of several."""

    model: str = ""
    """Which one."""


class Lineup(Generic[S]):
    """Owns the tasks in which its stages warm up.

    Args:
        placed: the stages, the preferred one first.
    """

    def __init__(self, placed: Sequence[Placed]) -> None:
        self.placed = tuple(placed)
        self.stages: tuple[S, ...] = tuple(one.stage for one in placed)
        self.patience_s = math.inf
        """The longest wait for a stage's next output, where another one can take over."""
        self._order = StageOrder(len(placed), random.random)
        self._warming: dict[int, asyncio.Task[None]] = {}
        self._tell: Callable[[Fault], None] | None = None
        self._untold: list[Fault] = []

    @property
    def first(self) -> S:
        """The preferred one."""
        return self.stages[0]

    @property
    def several(self) -> bool:
        """Whether anybody could take over at all."""
        return len(self.stages) > 1

    def tell_to(self, tell: Callable[[Fault], None]) -> None:
        """From now on, `tell` takes what fails here though the work goes on; and what has failed so far."""
        self._tell = tell
        for fault in self._untold:
            tell(fault)
        self._untold.clear()

    # Life

    async def warm(self) -> None:
        """Until one of them is warm: the first, unless it fails or takes long. The others follow in the background.

        Raises:
            VoiceBridgeError: none of them can be used. That of the first.
        """
        if not self.several:
            await self.first.warm()
            return
        errors: list[BaseException] = []
        pending: set[asyncio.Task[None]] = set()
        for stage in range(len(self.stages)):
            pending.add(self._warm(stage))
            last = stage == len(self.stages) - 1
            while pending:
                wait_s = None if last else self.patience_s
                done, pending = await asyncio.wait(pending, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                failed = [task.exception() or asyncio.CancelledError() for task in done if not _went_well(task)]
                if len(failed) < len(done):
                    for other in range(len(self.stages)):
                        self._warm(other)
                    return
                errors += failed
                if not done:
                    break
        raise errors[0]

    def _warm(self, stage: int) -> asyncio.Task[None]:
        task = self._warming.get(stage)
        if task is None or (task.done() and not _went_well(task)):
            self._order.slow.add(stage)
            task = asyncio.create_task(self._warm_one(stage), name=f"warm {self.placed[stage].name}")
            self._warming[stage] = task
            task.add_done_callback(_looked_at)
        return task

    async def _warm_one(self, stage: int) -> None:
        try:
            await self.stages[stage].warm()
            self._order.slow.discard(stage)
        except (Exception, asyncio.CancelledError) as error:
            if own_cancellation(error):
                raise
            fault = fault_of(SEAT_NAMES[self.placed[stage].seat], error)
            self._order.cool(stage, fault, now())
            label = self.placed[stage].label
            message = f"The {label} can't be used now; what else is in its seat goes on without it. {fault.message}"
            self._told(fault, "stage_not_ready", message)
            raise

    async def get_ready(self) -> None:
        """Let the one that will work next get ready. See `GetsReady`."""
        stage = self.stages[self._order.best(now()) or 0]
        if isinstance(stage, GetsReady):
            await stage.get_ready()

    async def aclose(self) -> None:
        """Close all of them.

        Raises:
            Exception: what one of them raises.
        """
        for task in self._warming.values():
            task.cancel()
        results = await asyncio.gather(*(stage.aclose() for stage in self.stages), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    # Work

    def begin(self, among: Collection[int] | None = None) -> Work | None:
        """A piece of work. None: none of those may do it."""
        return self._order.begin(now(), among)

    def better_than(self, stage: int) -> bool:
        """Whether one that is preferred to it is well again."""
        best = self._order.best(now())
        return best is not None and best < stage

    async def at(self, work: Work) -> S:
        """The stage that does the work, once it is warm.

        Raises:
            Exception: it can't be warm, or not within `patience_s`, and somebody could take over.
        """
        if self.several:
            async with asyncio.timeout(self.patience_s if work.another(now()) else None):
                await asyncio.shield(self._warm(work.stage))
        return self.stages[work.stage]

    def watch(self, work: Work) -> Watch:
        """The time that the stage has, if somebody could take over."""
        return Watch(self.patience_s if self.several and work.another(now()) else math.inf)

    async def after(self, work: Work, error: BaseException, *, begun: bool, what: str = "") -> None:
        """A stage failed: wait until the work may go on, with it or another one, and tell of that.

        Args:
            begun: something had come of it.
            what: what is lost by it, in a sentence.

        Raises:
            BaseException: `error`: nobody goes on. After more than one try, its fault asks for no other,
                unless the stage itself said when.
        """
        failed = self.placed[work.stage]
        fault = fault_of(SEAT_NAMES[failed.seat], error)
        wait_s = work.failed(fault, now(), begun=begun)
        if wait_s is None:
            if work.repeated and fault.retryable and fault.retry_after_s is None:
                raise VoiceBridgeError(replace(fault, retryable=False)) from error
            raise error
        following = self.placed[work.stage]
        if following is not failed:
            who = "The next one" if following.name == "custom" else following.name
            parts = (f"{who} takes over from the {failed.label}.", what, fault.message)
            self._told(fault, "stage_replaced", " ".join(filter(None, parts)))
        await asyncio.sleep(wait_s)

    def failed(self, work: Work, error: BaseException) -> Fault:
        """A stage failed in what nobody may take over: leave it alone for a while. What to tell of it."""
        fault = fault_of(SEAT_NAMES[self.placed[work.stage].seat], error)
        if self.several and fault.category != "content":
            self._order.cool(work.stage, fault, now())
        return fault

    def usage(self, work: Work, usage: Usage) -> Usage:
        """The usage of a stage, saying whose it is."""
        if not self.several:
            return usage
        return ServedUsage(usage.units, usage.basis, self.placed[work.stage].name)

    def _told(self, fault: Fault, code: str, message: str) -> None:
        told = Fault(category=fault.category, code=code, message=message, retryable=fault.retryable)
        if self._tell is None:
            self._untold.append(told)
        else:
            self._tell(told)


class Watch:
    """The time that a stage has for its next useful output. It runs while somebody waits in `next`, from `start` on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: float | None = None
        self._scope: asyncio.Timeout | None = None

    def start(self) -> None:
        """It has something to do, or has given something."""
        self._set(None if math.isinf(self._seconds) else now() + self._seconds)

    def stop(self) -> None:
        """It has nothing to do."""
        self._set(None)

    @property
    def running(self) -> bool:
        """Whether it has something to do."""
        return self._due is not None

    def _set(self, due: float | None) -> None:
        self._due = due
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(due)

    async def next(self, outputs: AsyncIterator[T]) -> T:
        """The next output.

        Raises:
            TimeoutError: it did not come in time.
            StopAsyncIteration: there is none.
        """
        if math.isinf(self._seconds):
            return await anext(outputs)
        try:
            async with asyncio.timeout_at(self._due) as self._scope:
                return await anext(outputs)
        finally:
            self._scope = None

    def each(self, outputs: AsyncIterator[T]) -> _Watched[T]:
        """All outputs, with `next` for each."""
        return _Watched(self, outputs)


class _Watched(Generic[T]):
    """No generator, which would be left over where its reader breaks off."""

    def __init__(self, watch: Watch, outputs: AsyncIterator[T]) -> None:
        self._watch, self._outputs = watch, outputs

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    def __anext__(self) -> Awaitable[T]:
        return self._watch.next(self._outputs)


def _went_well(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and task.exception() is None


def _looked_at(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # it is told by whoever needs the stage


def now() -> float:
    """Seconds on the loop's clock."""
    return asyncio.get_running_loop().time()
