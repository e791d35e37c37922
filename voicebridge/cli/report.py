"""What `voicebridge ask` tells: as text while it happens, or as one JSON document at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.padding import Padding

from voicebridge.audio.file import RecordingReader, WavWriter
from voicebridge.contract.errors import VoiceBridgeError

from .dialogue import Dialogue, Turn
from .recorded_user import RecordedUser
from .speech_spans import Span
from .waterfall import steps, waterfall

__all__ = ["JsonReport", "Report", "TextReport"]


_WORDS = {"": "not over", "passed over": "not answered: the user went on"}
"""How an answer ended, where that is not plain from its status."""


class Report(Protocol):
    """Told what happens, in this order. `finish` comes whatever happened before."""

    error: BaseException | None
    """What ended it early."""

    def recording(self, reader: RecordingReader, spans: Sequence[Span]) -> None:
        """The recording was read through."""

    def waiting(self) -> None:
        """The backend gets ready."""

    def ready(self, dialogue: Dialogue) -> None:
        """The backend listens."""

    def progress(self, dialogue: Dialogue, user: RecordedUser, *, last: bool = False) -> None:
        """Something may have happened. `last`: nothing more will."""

    def finish(self, dialogue: Dialogue, writer: WavWriter | None) -> None:
        """It is over."""


class TextReport:
    """For people: turns on stdout, all else on stderr."""

    def __init__(self, file: Path, backend: str) -> None:
        self.error: BaseException | None = None
        self._file, self._backend = file, backend
        self._out = Console(highlight=False, markup=False, soft_wrap=True)
        self._err = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._status = self._err.status("")
        self._duration_s = 0.0
        self._told = 0
        self._restarts = 0

    def recording(self, reader: RecordingReader, spans: Sequence[Span]) -> None:
        for note in reader.notes:
            self._err.print(f"note: {note}")
        self._duration_s = reader.duration_s

    def waiting(self) -> None:
        line = f"Getting {self._backend} ready ..."
        if self._err.is_terminal:
            self._status.update(line)
            self._status.start()
        else:
            self._err.print(line)

    def ready(self, dialogue: Dialogue) -> None:
        took = ", ".join(f"{seat} {about['seconds']:.1f} s" for seat, about in dialogue.warm.items())
        model = dialogue.ready.model if dialogue.ready else self._backend
        self._err.print(f"Ready: {model}{f' (loaded in parallel: {took})' if took else ''}")

    def progress(self, dialogue: Dialogue, user: RecordedUser, *, last: bool = False) -> None:
        self._status.update(f"{self._file}: {user.position_ms / 1000:.0f} of {self._duration_s:.0f} s spoken")
        for one in dialogue.restarts[self._restarts :]:
            self._restarts += 1
            self._err.print(
                f"The call went on with {one.ready.model}: {one.reason}, {one.gap_ms:.0f} ms without a connection, "
                f"{one.lost_audio_ms:.0f} ms of the voice lost"
            )
        turns = dialogue.turns
        # The transcript may come after the answer. It is waited for until the next turn.
        while self._told < len(turns):
            turn = turns[self._told]
            if not (last or (turn.answered and (turn.final or turn is not turns[-1]))):
                return
            self._told += 1
            self._turn(self._told, turn, user.speech_ended_at(turn))

    def finish(self, dialogue: Dialogue, writer: WavWriter | None) -> None:
        self._status.stop()
        if writer is not None:
            sofar = " so far" if self.error else ""
            self._err.print(f"The reply{sofar} ({writer.duration_s:.1f} s) is in {writer.path}")

    def _turn(self, number: int, turn: Turn, speech_ended_at: float | None) -> None:
        self._out.print(f"turn {number}")
        self._out.print(f"  heard   {turn.heard or '(no transcript)'}")
        how = "" if turn.status == "completed" else f"  ({_WORDS.get(turn.status, turn.status)})"
        how += "  (begun in the pause, before the turn was over)" if turn.guessed else ""
        self._out.print(f"  answer  {turn.answer.strip() or '(none)'}{how}")
        known = steps(turn, speech_ended_at) if speech_ended_at is not None else []
        if known:
            self._out.print(Padding(waterfall(known), (1, 0, 1, 2)))


class JsonReport:
    """For programs: one document on stdout."""

    def __init__(self, file: Path, backend: str) -> None:
        self.error: BaseException | None = None
        self._document: dict[str, Any] = {"file": str(file), "backend": backend}
        self._turns: list[dict[str, Any]] = []

    def recording(self, reader: RecordingReader, spans: Sequence[Span]) -> None:
        repaired = reader.repaired
        self._document |= {
            "duration_s": round(reader.duration_s, 3),
            "speech_ms": [[round(span.start_ms), round(span.end_ms)] for span in spans],
            "repaired": {"nan": repaired.nan, "infinite": repaired.infinite, "clipped": repaired.clipped},
            "notes": list(reader.notes),
        }

    def waiting(self) -> None:
        return

    def ready(self, dialogue: Dialogue) -> None:
        assert dialogue.ready is not None
        self._document["model"] = dialogue.ready.model
        self._document["warm_s"] = {seat: round(about["seconds"], 3) for seat, about in dialogue.warm.items()}

    def progress(self, dialogue: Dialogue, user: RecordedUser, *, last: bool = False) -> None:
        if last:
            self._turns = [_as_json(turn, user.speech_ended_at(turn)) for turn in dialogue.turns]

    def finish(self, dialogue: Dialogue, writer: WavWriter | None) -> None:
        self._document["turns"] = self._turns
        self._document["restarts"] = [
            {
                "model": one.ready.model,
                "reason": one.reason,
                "carried": one.carried,
                "gap_ms": round(one.gap_ms, 1),
                "lost_audio_ms": round(one.lost_audio_ms, 1),
            }
            for one in dialogue.restarts
        ]
        self._document["faults"] = [{"code": fault.code, "message": fault.message} for fault in dialogue.faults]
        if isinstance(self.error, VoiceBridgeError):
            self._document["error"] = {"code": self.error.fault.code, "message": str(self.error)}
        elif self.error is not None:
            self._document["error"] = {"code": type(self.error).__name__, "message": str(self.error)}
        if writer is not None:
            self._document["reply"] = {"file": str(writer.path), "duration_s": round(writer.duration_s, 3)}
        json.dump(self._document, sys.stdout, ensure_ascii=False, indent=2)
        print()


def _as_json(turn: Turn, speech_ended_at: float | None) -> dict[str, Any]:
    known = steps(turn, speech_ended_at) if speech_ended_at is not None else []
    return {
        "heard": turn.heard,
        "answer": turn.answer.strip(),
        "status": turn.status or None,
        "answer_ms": round(turn.audio_ms),
        "guessed": turn.guessed,
        "latency_ms": {name.replace(" ", "_"): round(ms, 1) for name, ms in known},
    }
