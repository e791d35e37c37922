"""Who calls, and in which turn: stage times are drawn by (seed, caller, turn, stage).

A caller is the key that a client shows. Its turns are counted by endpoint, from 1: each request is a turn of its own.
A benchmark that repeats requests within a turn says which turn it is in, on the same port:

    PUT /simulator/turn {"caller": "caller-7", "turn": 3}      its requests draw as turn 3 until it says otherwise
    GET /simulator/turns?caller=caller-7                       its records so far, a line of JSON each
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from .pacing import until
from .profile import Profile
from .turn_log import TurnLog, TurnRecord
from .wire import HttpAnswer, HttpRequest

__all__ = ["CallerTurn", "Callers", "control", "is_control", "shown_caller"]

_LONGEST_SHOWN = 24
"""Characters. What is longer may be a real key."""
_JSON = {"Content-Type": "application/json"}
_LINES = {"Content-Type": "application/x-ndjson"}


def shown_caller(key: str) -> str:
    """How a caller stands in a record: a key that may be real is not written down."""
    if len(key) <= _LONGEST_SHOWN:
        return key
    return f"{key[:6]}…{hashlib.sha256(key.encode()).hexdigest()[:8]}"


class CallerTurn:
    """One request, or one utterance on a websocket: its times and its record."""

    def __init__(self, record: TurnRecord, profile: Profile, key: str, began: float) -> None:
        self.record = record
        self.began = began
        """Seconds of the monotonic clock: when the request had come."""
        self._profile = profile
        self._key = key

    def ms(self, stage: str) -> float:
        """Draw the time of a stage, and note it in the record. The same stage draws the same again."""
        ms = self._profile.draw_ms(stage, self.record.turn, self._key)
        self.record.drawn_ms[stage] = round(ms, 3)
        return ms

    async def wait(self, stage: str, *, since: float | None = None) -> None:
        """Sleep until the stage is done, counted from `since` (monotonic seconds), else from the request."""
        await until((self.began if since is None else since) + self.ms(stage) / 1000)

    def stamp(self, name: str) -> None:
        """Note when something happened; only the first time counts."""
        self.record.stamps.setdefault(name, asyncio.get_running_loop().time())


class Callers:
    """The callers of one server. Made by the plugin, given to its vendor and to `SimulatedServer`."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self.profile = profile
        self.log: TurnLog | None = None
        """Set by the engine when it serves."""
        self._seed = seed
        self._set: dict[str, int] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def serve(self, log: TurnLog) -> None:
        """A server begins: nobody has called yet."""
        self.log = log
        self._set.clear()
        self._counts.clear()

    def set_turn(self, caller: str, turn: int) -> None:
        """All that this caller asks from now on is part of that turn."""
        self._set[caller] = turn

    @contextmanager
    def turn(self, caller: str, *, cause: str, connection: int, at: float | None = None) -> Iterator[CallerTurn]:
        """A turn from its request to its end. Its record is logged whatever happens.

        The status is `completed` (unless the record has one already), `cancelled` when the client went away,
        or `failed`.

        Args:
            caller: the key that the client showed.
            cause: which endpoint.
            connection: `Reply.number` or `Link.number`.
            at: `HttpRequest.at`. None: now.
        """
        began = asyncio.get_running_loop().time() if at is None else at
        record = TurnRecord(
            connection=connection,
            caller=shown_caller(caller),
            turn=self._number(caller, cause),
            cause=cause,
            profile=self.profile.name,
            stamps={"requested": began},
        )
        turn = CallerTurn(record, self.profile, f"{self._seed}/{caller}", began)
        status = "failed"
        try:
            yield turn
            status = "completed"
        except (asyncio.CancelledError, GeneratorExit):
            status = "cancelled"
            raise
        finally:
            record.status = record.status or status
            turn.stamp("done" if status == "completed" else status)
            if self.log is not None:
                self.log.add(record)

    def _number(self, caller: str, cause: str) -> int:
        if caller in self._set:
            return self._set[caller]
        number = self._counts[caller, cause] = self._counts.get((caller, cause), 0) + 1
        return number


def is_control(path: str) -> bool:
    """Whether a request is for the simulator itself: it is not counted, and no fault meets it."""
    return path in ("/simulator/turn", "/simulator/turns")


def control(request: HttpRequest, log: TurnLog, callers: Callers | None) -> HttpAnswer | None:
    """The answer to a request for the simulator itself; None: it is for the vendor."""
    if not is_control(request.path):
        return None
    if request.path == "/simulator/turn":
        return _set_turn(request, callers)
    if request.method != "GET":
        return _problem(405, "Ask by GET.")
    wanted = request.query.get("caller")
    records = [one for one in log.turns if wanted is None or one.caller == shown_caller(wanted)]
    return HttpAnswer(
        status=200, headers=_LINES, body="".join(json.dumps(asdict(one)) + "\n" for one in records).encode()
    )


def _set_turn(request: HttpRequest, callers: Callers | None) -> HttpAnswer:
    if request.method != "PUT":
        return _problem(405, "Set it by PUT.")
    if callers is None:
        return _problem(404, "This simulator draws its times by connection: turns can't be set.")
    try:
        asked = json.loads(request.body)
        caller, turn = asked["caller"], asked["turn"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return _problem(400, 'Send {"caller": "the key that it shows", "turn": 1}.')
    if not isinstance(caller, str) or not isinstance(turn, int) or isinstance(turn, bool) or turn < 1:
        return _problem(400, "`caller` is a text, and `turn` a number from 1.")
    callers.set_turn(caller, turn)
    return HttpAnswer(status=200, headers=_JSON, body=json.dumps({"caller": caller, "turn": turn}).encode())


def _problem(status: int, message: str) -> HttpAnswer:
    return HttpAnswer(status=status, headers=_JSON, body=json.dumps({"error": {"message": message}}).encode())
