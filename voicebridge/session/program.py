"""Which running program this is, and whether another one on this machine still runs."""

from __future__ import annotations

import os
import platform
import uuid
from dataclasses import dataclass

__all__ = ["Program"]

_RUN = uuid.uuid4().hex
"""Numbers of processes come again, in containers at once: this does not."""


@dataclass(frozen=True, slots=True)
class Program:
    """A running program."""

    host: str
    pid: int
    run: str

    @classmethod
    def this(cls) -> Program:
        """The one that asks."""
        return cls(platform.node(), os.getpid(), _RUN)

    @property
    def is_this(self) -> bool:
        """Whether it is the one that asks."""
        return self == Program.this()

    @property
    def gone(self) -> bool:
        """Whether it has certainly ended. Of other machines nobody knows."""
        this = Program.this()
        if self.host != this.host or self.run == this.run:
            return False
        return self.pid == this.pid or not _runs(self.pid)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def _runs(pid: int) -> bool:
    if os.name != "posix":  # elsewhere the question itself would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
