"""What a session owes its stages: warmed before the first word, ready when the user speaks, closed at the end."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.events import Event, ProviderEvent
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import GetsReady
from voicebridge.registry.rows import Seat

from .seats import SEAT_NAMES, Seats
from .stage_fault import fault_of, own_cancellation

__all__ = ["Caretaker", "ended"]

_READY_EVERY_S = 3.0
"""A stage is asked to get ready at most so often: turns may open and close with every cough."""
_STAGES_CLOSE_S = 3.0
_log = logging.getLogger("voicebridge")


class Caretaker:
    """Looks after the stages of one session. Owns the tasks in which they get ready.

    Args:
        tell: takes the `cascade.warm` events.
        ready_timeout_s: the longest wait for a stage to warm up.
    """

    def __init__(
        self, seats: Seats, config: SessionConfig, tell: Callable[[Event], None], *, ready_timeout_s: float
    ) -> None:
        self._seats, self._config, self._tell, self._ready_timeout_s = seats, config, tell, ready_timeout_s
        self._clock = asyncio.get_running_loop().time
        self._ready = {seat: stage for seat, stage in seats.all().items() if isinstance(stage, GetsReady)}
        self._asked: dict[Seat, float] = {}
        """When each was last asked to get ready."""
        self._tasks: dict[Seat, asyncio.Task[None]] = {}

    async def warm(self) -> None:
        """Warm all stages at the same time.

        Raises:
            ExceptionGroup: of `VoiceBridgeError`: a stage can't, or took longer than it may.
        """
        async with asyncio.TaskGroup() as tasks:
            for seat in self._seats.all():
                tasks.create_task(self._warm(seat), name=f"warm {seat}")
        self.get_ready()

    async def _warm(self, seat: Seat) -> None:
        began = self._clock()
        try:
            async with asyncio.timeout(self._ready_timeout_s):
                await self._seats.all()[seat].warm()
        except (Exception, asyncio.CancelledError) as error:
            if own_cancellation(error):
                raise
            fault = fault_of(SEAT_NAMES[seat], error)
            if isinstance(error, TimeoutError):
                message = f"The {SEAT_NAMES[seat]} was not ready in time. Give it longer with `ready_timeout_s`."
                fault = Fault(category="busy", code="not_ready", message=message, retryable=True)
            raise VoiceBridgeError(fault) from error
        if self._config.provider_events:
            payload = {"seat": seat, "model": self._seats.names[seat], "seconds": self._clock() - began}
            self._tell(ProviderEvent(kind="cascade.warm", payload=payload))

    def get_ready(self) -> None:
        """The stages will be asked soon: let those that can get ready, in the background."""
        now = self._clock()
        for seat, stage in self._ready.items():
            busy = seat in self._tasks and not self._tasks[seat].done()
            if not busy and now - self._asked.get(seat, -math.inf) >= _READY_EVERY_S:
                self._asked[seat] = now
                self._tasks[seat] = asyncio.create_task(_quietly(stage), name=f"get ready {seat}")

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """Those in which stages get ready. Cancel and await them before `aclose`."""
        return set(self._tasks.values())

    async def aclose(self) -> None:
        """Close every stage, each in a bounded time."""
        await ended({asyncio.ensure_future(stage.aclose()) for stage in self._seats.all().values()}, _STAGES_CLOSE_S)


async def _quietly(stage: GetsReady) -> None:
    """What fails here shows when the stage is used, if it lasts."""
    try:
        await stage.get_ready()
    except Exception:
        return


async def ended(tasks: Iterable[asyncio.Future[None]], seconds: float) -> None:
    """Wait for tasks, but not longer than that: a stage that does not let go must not hold up the rest."""
    if not (waited := set(tasks)):
        return
    done, late = await asyncio.wait(waited, timeout=seconds)
    for task in done:
        if not task.cancelled() and (error := task.exception()):
            _log.warning("A stage failed while the session closed: %r", error)
    for task in late:
        _log.warning("A stage did not let go in %s s: %r", seconds, task)
        task.cancel()
    await asyncio.sleep(0)
