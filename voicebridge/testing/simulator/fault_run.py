"""Which mishaps of a script are due now, on one connection. Pure: it counts and decides, `connection` does it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from .fault_script import Mishap

__all__ = ["FaultRun"]


class FaultRun:
    """Counts the frames of a connection against the script."""

    def __init__(self, script: Iterable[Mishap], connection: int, seed: int) -> None:
        mine = [mishap for mishap in script if mishap.connection in (None, connection)]
        self._rng = random.Random(f"{seed}/{connection}/faults")
        self.handshake = tuple(mishap for mishap in mine if mishap.handshake and self._happens(mishap))
        self._frames = [mishap for mishap in mine if not mishap.handshake]
        self.timed = tuple(mishap for mishap in self._frames if mishap.after_s is not None and self._happens(mishap))
        self._seen: dict[int, int] = {}
        self._done: set[int] = set()
        self.frames = 0
        """Sent so far."""
        self.bytes = 0
        """Of the frames sent so far, as they lie on the wire."""

    @property
    def idle(self) -> bool:
        """Nothing of the script is about this connection's frames."""
        return not self._frames

    def before(self, kind: str) -> list[Mishap]:
        """What is due in the place of the next frame, or before it."""
        return self._due(lambda event: event is None or fnmatchcase(kind, event))

    def before_head(self, kind: str) -> list[Mishap]:
        """What is due in the place of the head of an answer in HTTP: it is no frame, and meant by its name alone."""
        return self._due(lambda event: event == kind)

    def _due(self, meant: Callable[[str | None], bool]) -> list[Mishap]:
        due = []
        for index, mishap in enumerate(self._frames):
            if mishap.after_frames is not None or mishap.after_s is not None or mishap.at_byte is not None:
                continue
            if not meant(mishap.event):
                continue
            seen = self._seen[index] = self._seen.get(index, 0) + 1
            if (mishap.every or seen == mishap.occurrence) and self._happens(mishap):
                due.append(mishap)
        return due

    def cutting(self, size: int) -> tuple[Mishap, int] | None:
        """What is due inside of a frame of `size` bytes, and after how many of its bytes."""
        for index, mishap in enumerate(self._frames):
            if mishap.at_byte is not None and index not in self._done and mishap.at_byte < self.bytes + size:
                self._done.add(index)
                if not self._happens(mishap):
                    continue
                return mishap, max(mishap.at_byte - self.bytes, 0)
        return None

    def sent(self, size: int) -> list[Mishap]:
        """A frame has been sent: what is due now."""
        self.frames += 1
        self.bytes += size
        return self.due_by_count()

    def due_by_count(self) -> list[Mishap]:
        """What is due after the frames that have been sent."""
        return [mishap for mishap in self._frames if mishap.after_frames == self.frames and self._happens(mishap)]

    def _happens(self, mishap: Mishap) -> bool:
        return mishap.chance >= 1 or self._rng.random() < mishap.chance
