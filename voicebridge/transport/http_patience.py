"""How long to wait for an answer's next useful output. Pure: the clock is passed in."""

from __future__ import annotations

from collections.abc import Callable

from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Speech, Transcript, Usage

from .http_call import HttpTimeouts

__all__ = ["Patience", "is_useful"]


def is_useful(output: object) -> bool:
    """Whether somebody who waits for an answer has got a piece of it."""
    if isinstance(output, str | bytes):
        return bool(output)
    if isinstance(output, Speech):
        return bool(output.pcm or output.text)
    if isinstance(output, Transcript):
        return bool(output.text or output.final)
    return output is not None and not isinstance(output, Usage)


class Patience:
    """Counts only the time in which we wait for the other side, not that in which nobody reads its answer.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, timeouts: HttpTimeouts, clock: Callable[[], float]) -> None:
        self._timeouts, self._clock = timeouts, clock
        self._useful_left, self._total_left = timeouts.first_output_s, timeouts.total_s
        self._first = True
        self._began = 0.0

    def begin(self) -> float:
        """We wait from now on: until when."""
        self._began = self._clock()
        return self._began + self.left_s

    def end(self) -> None:
        """What we waited for has come."""
        spent = self._clock() - self._began
        self._useful_left -= spent
        self._total_left -= spent

    def got(self, output: object) -> None:
        """An output has come."""
        if is_useful(output):
            self._first, self._useful_left = False, self._timeouts.between_outputs_s

    @property
    def left_s(self) -> float:
        """Seconds; none or less when it has run out."""
        return min(self._useful_left, self._total_left)

    def fault(self) -> Fault:
        """What it means that it has run out."""
        if self._total_left <= self._useful_left:
            code, what = "total_timeout", f"The server did not finish its answer within {self._timeouts.total_s:g} s"
        elif self._first:
            what = f"The server did not begin to answer within {self._timeouts.first_output_s:g} s"
            code = "first_output_timeout"
        else:
            what = f"The server stopped in the middle of its answer: nothing for {self._timeouts.between_outputs_s:g} s"
            code = "between_outputs_timeout"
        return Fault(category="busy", code=code, message=f"{what}.", retryable=True)
