"""The order of commands: they wait for the session to be ready, and behind an end of turn that is not decided yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

__all__ = ["CommandOrder"]


class CommandOrder:
    """Runs commands one after the other, each once nothing holds it up.

    A command that holds up those behind it (`EndTurn`: it waits for audio, then for a transcript) calls `hold`, and
    `release` when it is done.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._holds: set[str] = {"ready"}
        self._running = False

    def run(self, act: Callable[[], None]) -> None:
        """Do it now, or in its turn."""
        self._waiting.append(act)
        self._drain()

    def hold(self, reason: str) -> None:
        """Nothing more is run until `release` was called with the same reason."""
        self._holds.add(reason)

    def release(self, reason: str) -> None:
        """That reason is gone; `ready` is the first one."""
        self._holds.discard(reason)
        self._drain()

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def _drain(self) -> None:
        if self._running:
            return
        self._running = True
        try:
            while self._waiting and not self._holds:
                self._waiting.popleft()()
        finally:
            self._running = False
