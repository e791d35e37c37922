"""The one border between a cascade and its stages: foreign exceptions become faults, foreign streams are closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault

__all__ = ["closing", "fault_of", "own_cancellation"]

T = TypeVar("T")


def fault_of(seat: str, error: BaseException) -> Fault:
    """What to tell of an error that a stage raised. Of several at once, the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, VoiceBridgeError):
        return error.fault
    if isinstance(error, TimeoutError):
        return Fault(
            category="busy",
            code="stage_timeout",
            message=f"The {seat} did not answer in time. Try again, or give it longer with `timeout_s`.",
            retryable=True,
        )
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Fault(category="protocol", code="stage_failed", message=f"The {seat} failed with {what}")


def own_cancellation(error: BaseException) -> bool:
    """Whether the current task is being cancelled. Then an error is not the stage's failure, or of no more interest.

    A `CancelledError` without that comes from inside the stage: a pool that was shut down, a task of its own.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@asynccontextmanager
async def closing(stream: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close a stage's stream at the end, where it can be closed."""
    try:
        yield stream
    finally:
        if (aclose := getattr(stream, "aclose", None)) is not None:
            await aclose()
