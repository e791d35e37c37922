"""What a simulated server did in each turn, so that a benchmark knows what an ideal client would have seen.

A line of JSON a turn:

    {"connection": 1, "turn": 1, "cause": "speech", "profile": "published", "drawn_ms": {"speech_to_speech": 812.4},
     "stamps": {"speech_started": 51.2, "speech_stopped": 53.9, "committed": 53.9, "response_created": 53.9,
                "first_audio": 54.7, "done": 55.0}, "status": "completed",
     "audio_ms": {"started": 300, "stopped": 2960}}

Stamps are seconds of the monotonic clock of this machine, taken when the frame of that name was handed to the socket
(or to the faults of the script: what they add comes later);
`requested` is when a client's request for the response had come. `audio_ms` are places in the user's audio:
`last_speech` is the last sample of speech, before the silence that proved its end. What is missing did not happen.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from voicebridge.contract.errors import ConfigError

__all__ = ["TurnLog", "TurnRecord"]

_KEPT = 10_000
"""Turns in memory: the oldest go."""


@dataclass(slots=True, kw_only=True)
class TurnRecord:
    """One turn, as it fills."""

    connection: int
    caller: str = ""
    """Of a request in HTTP: see `callers.shown_caller`."""
    turn: int = 0
    """From 1; 0: not counted yet."""
    cause: str = ""
    """`speech`: the user's turn was answered by itself. `request`: the client asked.
    `idle`: the user said nothing for too long. In HTTP: which endpoint."""
    profile: str = ""
    drawn_ms: dict[str, float] = field(default_factory=dict)
    stamps: dict[str, float] = field(default_factory=dict)
    audio_ms: dict[str, float] = field(default_factory=dict)
    status: str = ""


class TurnLog:
    """Keeps the last turns in memory, and writes all of them to a file where one is named.

    Raises:
        ConfigError: the file can't be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.turns: deque[TurnRecord] = deque(maxlen=_KEPT)
        self._file: TextIO | None = None
        if path is not None:
            try:
                self._file = path.open("a", encoding="utf-8", buffering=1)
            except OSError as error:
                raise ConfigError(
                    f"The log {str(path)!r} can't be written: {error.strerror}.", code="bad_log"
                ) from None

    def add(self, record: TurnRecord) -> None:
        """A turn is over."""
        self.turns.append(record)
        if self._file is not None:
            self._file.write(json.dumps(asdict(record)) + "\n")

    def close(self) -> None:
        """Close the file. May be called again."""
        if self._file is not None:
            self._file.close()
            self._file = None
