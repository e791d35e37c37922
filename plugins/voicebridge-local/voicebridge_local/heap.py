"""The C library's memory, where it is glibc: models in several threads would otherwise keep much more than they use."""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any

__all__ = ["give_back", "keep_one_heap"]

_M_ARENA_MAX = -8


@functools.cache
def keep_one_heap() -> None:
    """From now on, let all threads take memory from one heap instead of each from its own.

    Each thread's heap keeps the most that the thread ever used: together 150 to 200 MB. Models take memory in few large
    pieces, so that sharing costs them no time. It holds for the whole process; whoever sets `MALLOC_ARENA_MAX` decides.
    """
    if "MALLOC_ARENA_MAX" not in os.environ and (library := _glibc()) is not None:
        library.mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return to the system what is free."""
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


@functools.cache
def _glibc() -> Any:
    """The library, or None where this is not glibc."""
    try:
        library = ctypes.CDLL(None)
        return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
    except (OSError, TypeError):
        return None
