"""The memory that is a process's own."""

from __future__ import annotations

import gc
from pathlib import Path

__all__ = ["own_kb"]


def own_kb() -> int | None:
    """Kilobytes (of 1024) that no other process shares (USS), garbage collected; None where the system does not tell.

    Unlike the resident set it does not hold libraries' code that other arms have in memory as well.
    """
    gc.collect()
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    except OSError:  # not Linux
        return None
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))
