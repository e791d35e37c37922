"""What the simulators' log tells of a turn: the stage times that were drawn, and how long the stages really took. Pure.

A client that guesses asks several times in a turn, and all its requests draw the same. Which of them its answer was
made of is told by their order: the last question to the model, the last text before it, the first speech after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .ideal import StageTimes
from .settings import Setting

__all__ = ["drawn", "taken"]

Record = Mapping[str, Any]
Turn = tuple[str, int]
"""A caller, and the number of its turn."""


def drawn(setting: Setting, records: Iterable[Record]) -> dict[Turn, StageTimes]:
    """The times that were drawn. Turns that a vendor was not asked in are left out."""
    found: dict[Turn, StageTimes] = {}
    for turn, seats in _by_seat(setting, records).items():
        times = {
            seat: record["drawn_ms"][name]
            for seat, listed in seats.items()
            for record in listed
            if (name := _stage(setting, seat).drawn) in record["drawn_ms"]
        }
        if len(times) == len(setting.seats):
            found[turn] = StageTimes(hear_ms=times["stt"], think_ms=times["llm"], speak_ms=times["tts"])
    return found


def taken(setting: Setting, records: Iterable[Record]) -> dict[Turn, StageTimes]:
    """How long the stages took that the answer was made of, by their stamps."""
    found: dict[Turn, StageTimes] = {}
    for turn, seats in _by_seat(setting, records).items():
        chain = _chain(setting, seats)
        if chain is not None:
            hear, think, speak = (
                _ms(setting, seat, record) for seat, record in zip(("stt", "llm", "tts"), chain, strict=True)
            )
            found[turn] = StageTimes(hear_ms=hear, think_ms=think, speak_ms=speak)
    return found


def _by_seat(setting: Setting, records: Iterable[Record]) -> dict[Turn, dict[str, list[Record]]]:
    """In the order in which they were asked."""
    found: dict[Turn, dict[str, list[Record]]] = {}
    for record in sorted(records, key=lambda one: one["stamps"].get("requested", 0.0)):
        for seat, vendor in setting.seats.items():
            if vendor == record["vendor"] and _stage(setting, seat).cause == record["cause"]:
                found.setdefault((record["caller"], record["turn"]), {}).setdefault(seat, []).append(record)
    return found


def _chain(setting: Setting, seats: Mapping[str, Sequence[Record]]) -> tuple[Record, Record, Record] | None:
    thought = [one for one in seats.get("llm", ()) if _first(setting, "llm", one) is not None]
    if not thought:
        return None
    asked, answered = thought[-1]["stamps"]["requested"], _first(setting, "llm", thought[-1])
    heard = [one for one in seats.get("stt", ()) if (at := _first(setting, "stt", one)) is not None and at <= asked]
    spoken = [
        one for one in seats.get("tts", ()) if _first(setting, "tts", one) and one["stamps"]["requested"] >= answered
    ]
    return (heard[-1], thought[-1], spoken[0]) if heard and spoken else None


def _stage(setting: Setting, seat: str) -> Any:
    return setting.vendors[setting.seats[seat]].stages[seat]


def _first(setting: Setting, seat: str, record: Record) -> float | None:
    at: float | None = record["stamps"].get(_stage(setting, seat).first)
    return at


def _ms(setting: Setting, seat: str, record: Record) -> float:
    at = _first(setting, seat, record)
    assert at is not None
    return (at - float(record["stamps"]["requested"])) * 1000
