"""Runs the functions that a model calls, away from the audio: each call once, each with a deadline.

call is       input                    becomes     effect
-             told, the name is ours   asked       a task for it; `confirm` is asked
-             told, not ours           -           nothing: the application answers it
any           told again               same        nothing; another connection gets the result that is there
running       another connection tells
              the like under a new id  running     nothing begins: the one result answers both
-             told, and as many run
              as may                   answered    the model reads that; nothing has run
asked         confirmed                running     the function begins
asked         refused, or no verdict
              within the deadline      answered    the model reads why; nothing has run
running       the function gives       answered    the result is sent
running       the deadline             overdue     the model reads that it takes too long; the function goes on
overdue       the function gives       answered    its result goes to `orphaned`
asked         cancelled, or closed     answered    nothing has run, nobody is told
running       cancelled, or closed     answered    the function is cancelled; what it gives goes to `orphaned`
answered      cancelled                same        nothing

So a function that began gives one result, which is sent or goes to `orphaned`.

what it owns             from                until
a task for each call     `call`              its result is sent, the call is cancelled, or `aclose`
a task for each overdue
or repeated answer       it is due           it is sent, or `aclose`
a thread for each plain
function                 it begins           it returns: nothing can end a thread from outside, so it counts among
                                             those that run until then
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

from voicebridge.contract.commands import SendToolResult
from voicebridge.contract.errors import ConfigError, SessionClosed
from voicebridge.contract.events import ToolCall
from voicebridge.transport.thread import in_thread

from .toolbox import Toolbox

__all__ = ["Confirm", "Orphaned", "ToolRunner", "check_tool_settings"]

Confirm = Callable[[ToolCall], bool | str | Awaitable[bool | str]]
"""Whether a call may run: True; False or the words of a refusal, which the model reads. A plain function runs in a
thread, an async one in the event loop. One that raises refuses."""
Orphaned = Callable[[ToolCall, SendToolResult], None]
"""Gets what nobody reads: a result after the session, after its call was cancelled, or after its deadline."""

_REMEMBERED = 1000
"""Calls whose ids are known after they were answered."""
_RESULTS_KEPT = 32
"""Answered calls whose results are kept for a connection that repeats the call."""
_CLOSE_S = 5.0
"""Seconds that cancelled functions may take to end."""
_NOT_ALLOWED = "This call was not allowed, and nothing was done."
_TOO_MANY = "{running} calls run already, and this one was not begun. Call it again once there are results of those."
_log = logging.getLogger("voicebridge")


def check_tool_settings(
    deadline_s: object, confirm: object, orphaned: object, max_output_bytes: object, max_running: object
) -> None:
    """Whether they fit.

    Raises:
        ConfigError: one does not.
    """
    if deadline_s is not None:
        number = isinstance(deadline_s, int | float) and not isinstance(deadline_s, bool)
        if not number or not 0 < deadline_s < float("inf"):  # type: ignore[operator]  # it is a number
            raise ConfigError(f"deadline_s is more than 0 seconds, or None, not {deadline_s!r}.", code="bad_deadline")
    for name, hook in (("confirm", confirm), ("orphaned", orphaned)):
        if hook is not None and not callable(hook):
            raise ConfigError(f"{name} is a function, not {hook!r:.80}.", code="bad_hook")
    if inspect.iscoroutinefunction(orphaned):
        raise ConfigError("orphaned is a plain function: nobody would await it.", code="bad_hook")
    for name, value, least in (("max_output_bytes", max_output_bytes, 1000), ("max_running", max_running, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{name} is a whole number from {least} on, not {value!r}.", code=f"bad_{name}")


@dataclass(slots=True, eq=False)
class _Call:
    told: ToolCall
    leg: object
    """The connection that told of it."""
    answered: bool = False
    """The model has its answer, or needs none."""
    given: bool = False
    """The function has ended, or will never begin."""
    result: SendToolResult | None = None
    task: asyncio.Task[None] | None = None
    twins: list[_Call] = field(default_factory=list)
    """The same wish, told by later connections under other ids while this one runs."""

    def is_like(self, told: ToolCall) -> bool:
        return (self.told.name, self.told.arguments) == (told.name, told.arguments)

    def unanswered(self) -> list[_Call]:
        """Those of this one and its twins that wait for a result."""
        return [call for call in (self, *self.twins) if not call.answered]


class ToolRunner:
    """Answers the calls of a conversation. One for all its connections and agents: that is how a call runs only once.

    Results are sent with `respond=True`, each as soon as it is there; calls run side by side.

    Args:
        toolbox: the functions.
        send: takes a result to the session.
        deadline_s: seconds for `confirm`, and again for the function. A function that takes longer runs on (half a
            booking is worse than a late one, and a thread can't be ended), but the model waits no longer for it.
            None: there is none.
        confirm: asked before each call.
        orphaned: called in the event loop; once that has ended, in the thread of the function that was late. It must
            not block. Without it, a warning is logged.
        max_output_bytes: of a result as UTF-8; the rest is cut off, and the model is told.
        max_running: how many calls may run at once, those that nobody waits for any more included. Of a further one
            the model is told that it was not begun.

    Raises:
        ConfigError: a setting does not fit.
    """

    def __init__(
        self,
        toolbox: Toolbox,
        send: Callable[[SendToolResult], Awaitable[None]],
        *,
        deadline_s: float | None = 30.0,
        confirm: Confirm | None = None,
        orphaned: Orphaned | None = None,
        max_output_bytes: int = 65_536,
        max_running: int = 16,
    ) -> None:
        check_tool_settings(deadline_s, confirm, orphaned, max_output_bytes, max_running)
        self._toolbox, self._send = toolbox, send
        self._deadline_s, self._max_output_bytes = deadline_s, max_output_bytes
        self._confirm, self._orphaned, self._max_running = confirm, orphaned, max_running
        self._running: set[_Call] = set()
        """Those whose function runs, or that are to be confirmed."""
        self._confirming: set[_Call] = set()
        """Those whose `confirm` runs in a thread, waited for or not."""
        self._loop = asyncio.get_running_loop()
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._with_results: deque[_Call] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def open_calls(self) -> tuple[str, ...]:
        """The ids of calls that are not answered yet, the oldest first."""
        return tuple(call_id for call_id, call in self._calls.items() if not call.answered)

    def use(self, toolbox: Toolbox) -> None:
        """Answer later calls from this one. Those that run go on."""
        self._toolbox = toolbox

    def has(self, name: str) -> bool:
        """Whether a call of that name is answered here."""
        return self._toolbox.has(name)

    def call(self, told: ToolCall, *, leg: object = None) -> bool:
        """Begin to answer a call, unless it was told before. False: the application answers it.

        Args:
            leg: the connection that told of it. Another one that tells of the same call gets the same result. Its ids
                are its own: under a known id, another name or other arguments are another call.
        """
        known = self._calls.get(told.call_id)
        if known and (leg == known.leg or known.is_like(told)):
            self._again(known, leg)
            return True
        if not self.has(told.name):
            return False
        if not self._closed:
            if known:
                known.answered = True  # what it still gives must not pass for the result of the new one
            call = self._calls[told.call_id] = _Call(told, leg)
            self._begin(call)
            self._forget_oldest()
        return True

    def cancelled(self, call_id: str) -> None:
        """The model does not want it any more. A plain function runs to its end all the same."""
        if call := self._calls.get(call_id):
            call.answered = True
            if not call.given and not call.unanswered() and call.task:
                call.task.cancel()

    async def aclose(self) -> None:
        """Cancel what runs. May be called again, and by a function that runs here: that one goes on to its end."""
        self._closed = True
        for call in self._calls.values():
            for one in call.unanswered():
                one.answered = True
        open_tasks = self._tasks - {asyncio.current_task()}
        for task in open_tasks:
            task.cancel()
        if open_tasks:
            await asyncio.wait(open_tasks, timeout=_CLOSE_S)

    # ------------------------------------------------------------------ one call

    def _begin(self, call: _Call) -> None:
        # A connection that takes over may know that something was wanted, and not that it is being done.
        like = (one for one in self._calls.values() if not one.given and one.leg != call.leg and one.is_like(call.told))
        running = next((one for one in like if one.unanswered() or one.result), None)
        if running is None:
            call.task = self._spawn(self._run(call, self._toolbox))
            return
        call.given = True
        running.twins.append(call)
        if running.result:  # it is overdue
            self._spawn(self._tell([call], running.result))

    async def _run(self, call: _Call, toolbox: Toolbox) -> None:
        if len(self._running | self._confirming) >= self._max_running:
            refusal: str | None = _TOO_MANY.format(running=self._max_running)
        else:
            self._running.add(call)
            refusal = await self._refusal_of(call)
        if refusal is not None:
            call.given = True
            await self._tell(call.unanswered(), self._problem(call, refusal))
            return
        await self._answer(call, toolbox)

    async def _refusal_of(self, call: _Call) -> str | None:
        refusal: str | None = _NOT_ALLOWED
        try:
            refusal = await self._refusal(call)
        finally:
            if refusal is not None:  # or it was cancelled
                self._running.discard(call)
        return refusal

    async def _answer(self, call: _Call, toolbox: Toolbox) -> None:
        timer = self._loop.call_later(self._deadline_s, self._overdue, call) if self._deadline_s is not None else None
        try:
            result = self._cut(await toolbox.answer(call.told, partial(self._late, call)))
            self._running.discard(call)  # where it was cancelled, once it has ended
        finally:
            call.given = True
            if timer:
                timer.cancel()
        if waiting := call.unanswered():
            await self._tell(waiting, result, orphan=True)
        else:
            self._orphan(call.told, result)

    async def _refusal(self, call: _Call) -> str | None:
        """Why a call may not run, or None."""
        if self._confirm is None:
            return None
        told = call.told
        try:
            async with asyncio.timeout(self._deadline_s) as limit:
                verdict = await self._verdict(self._confirm, call)
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
                raise
            if limit.expired():
                return f"Nobody confirmed this call within {self._deadline_s:g} s, and nothing was done."
            _log.exception("confirm failed for a call of %s, which is refused", told.name)
            return _NOT_ALLOWED
        if verdict is True:
            return None
        if not isinstance(verdict, bool | str):
            _log.warning("confirm gave %r for a call of %s, which is refused", type(verdict).__name__, told.name)
        return verdict if isinstance(verdict, str) and verdict else _NOT_ALLOWED

    async def _verdict(self, confirm: Confirm, call: _Call) -> object:
        if inspect.iscoroutinefunction(confirm):
            return await confirm(call.told)

        def ask() -> object:
            try:
                return confirm(call.told)
            finally:
                self._confirming.discard(call)

        self._confirming.add(call)
        verdict = await in_thread(ask, "voicebridge confirm")
        return await verdict if inspect.isawaitable(verdict) else verdict

    def _overdue(self, call: _Call) -> None:
        words = (
            f"{call.told.name} takes longer than {self._deadline_s:g} s. It may still be done, but its result is not "
            "waited for."
        )
        if waiting := call.unanswered():
            self._spawn(self._tell(waiting, self._problem(call, words)))
            for one in waiting:
                one.answered = True

    async def _tell(self, calls: list[_Call], result: SendToolResult, *, orphan: bool = False) -> None:
        """Send an answer, to each of these calls.

        Args:
            orphan: it is what a function gave, so that it must not be lost: somebody gets it.
        """
        for call in calls:
            call.answered = True
            self._keep(call, result)
        try:
            for call in calls:
                # A command of its own for each, with an id of its own.
                output, is_error = result.output, result.is_error
                await self._send(SendToolResult(call_id=call.told.call_id, output=output, is_error=is_error))
                orphan = False
        except asyncio.CancelledError:
            if orphan:
                self._orphan(calls[0].told, result)
            raise
        except Exception as error:
            if not isinstance(error, SessionClosed):
                _log.warning("the result of %s could not be sent: %s", calls[0].told.name, error)
            if orphan:
                self._orphan(calls[0].told, result)

    def _again(self, call: _Call, leg: object) -> None:
        """A call that is known was told once more. While it runs, its result will do for both."""
        if leg == call.leg or self._closed:
            return
        call.leg = leg
        if call.answered:
            words = "This call came before, and was not run again. What it gave is not there any more."
            self._spawn(self._tell([call], call.result or self._problem(call, words)))

    # ------------------------------------------------------------------ results

    def _problem(self, call: _Call, words: str) -> SendToolResult:
        return self._cut(SendToolResult(call_id=call.told.call_id, output=words, is_error=True))

    def _cut(self, result: SendToolResult) -> SendToolResult:
        most = self._max_output_bytes
        if len(result.output) * 4 <= most:  # UTF-8 has at most 4 bytes a character
            return result
        data = result.output[: most + 1].encode(errors="replace")  # no more: it may be long
        if len(data) <= most:
            return result
        note = f"\n[Cut off: this was {len(result.output)} characters long, and {most} bytes are passed on.]"
        return replace(result, output=data[: most - len(note)].decode(errors="ignore") + note)

    def _late(self, call: _Call, result: SendToolResult) -> None:
        """The result of a function that was cancelled. Called in the loop, or in the function's thread."""
        self._running.discard(call)
        told, result = call.told, self._cut(result)
        try:
            self._loop.call_soon_threadsafe(self._orphan, told, result)
        except RuntimeError:  # the loop has ended
            self._orphan(told, result)

    def _orphan(self, told: ToolCall, result: SendToolResult) -> None:
        if self._orphaned is None:
            _log.warning("a result of %s came too late and reaches nobody: give an `orphaned` hook", told.name)
            return
        try:
            self._orphaned(told, result)
        except Exception:
            _log.exception("the hook for orphaned results failed for one of %s", told.name)

    # ------------------------------------------------------------------ books

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name="tool call")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _keep(self, call: _Call, result: SendToolResult) -> None:
        """For a connection that repeats the call."""
        if call.result is None:
            self._with_results.append(call)
        call.result = result
        if len(self._with_results) > _RESULTS_KEPT:
            self._with_results.popleft().result = None

    def _forget_oldest(self) -> None:
        for call_id, call in list(islice(self._calls.items(), max(len(self._calls) - _REMEMBERED, 0))):
            if call.given:
                del self._calls[call_id]
            else:
                self._calls.move_to_end(call_id)
