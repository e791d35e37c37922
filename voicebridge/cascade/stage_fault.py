"""Foreign exceptions become faults here, at the one border between a cascade and its stages."""

from __future__ import annotations

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault

__all__ = ["fault_of"]


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
