"""What goes wrong, a line each: `ACTION [WHEN] [WHICH]`.

    delay 200ms on response.created             it and everything behind it comes later
    drop on response.done                       it never comes
    duplicate on response.*delta every          it comes twice
    reorder on response.output_item.added       it comes after the frame behind it
    garbage on response.done                    in its place: text that is no JSON (also: truncated, binary, utf8)
    unknown on response.* every                 before it, an event that no client has heard of
    stall 5s on response.created                nothing comes for 5 s; without a time: never again
    reset after 12 frames                       the connection is reset (RST)
    reset at byte 5000                          the same in the middle of a frame
    cut at byte 5000                            it ends without a close frame (FIN)
    half-open after 2s                          nothing is read or answered any more, and nothing says so
    close 1011 "server error" on response.done  a close frame with that code, and its reason
    handshake 429 retry-after 7                 refused with that status
    handshake stall 5s | reset | garbage        the handshake hangs, is reset, or is no HTTP

WHEN is `on EVENT` (a name, or a pattern with `*`; the action comes in the place of that frame or before it),
`after N frames`, `after TIME` from the opening, or `at byte N` of what the server sends. Without it: the first frame.
WHICH narrows it: `occurrence N` (of the event, on each connection; 1 unless said), `every`, `chance 5%` (of every one,
drawn with the seed), `connection N` (only the server's Nth connection; without it: every one). TIME is `200ms` or `5s`.
What happens once on a connection (`after`, `at`, a handshake) takes neither `occurrence` nor `every`.

In HTTP a request and its answer are what a connection is on a websocket, and the pieces of its body are the frames. The
head of an answer is meant by its name alone (`on response`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from voicebridge.contract.errors import BadOption

__all__ = ["Action", "Mishap", "read_script"]

Action = Literal[
    "delay", "drop", "duplicate", "reorder", "garbage", "unknown", "stall", "reset", "cut", "half-open", "close"
]
_GARBAGE = ("text", "truncated", "binary", "utf8")
_OF_A_FRAME = ("delay", "drop", "duplicate", "reorder", "garbage", "unknown")
_CLOSE_CODES = (range(1000, 1004), range(1007, 1015), range(3000, 5000))
"""What RFC 6455 and the registry of IANA let a server send."""
_LONGEST_REASON = 123
"""Bytes. A control frame holds 125, the code takes two."""
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """A line of the script."""

    line: str
    """As it was written."""
    action: Action
    handshake: bool = False
    """It happens to the handshake, not to a frame: `stall`, `reset`, `garbage`, or `close` with an HTTP status."""
    seconds: float | None = None
    """Of a delay or a stall. None: for ever."""
    garbage: str = "text"
    code: int = 0
    """Of a close frame, or the HTTP status of a refusal."""
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    """Of a refusal."""
    event: str | None = None
    after_frames: int | None = None
    after_s: float | None = None
    at_byte: int | None = None
    occurrence: int = 1
    every: bool = False
    chance: float = 1.0
    connection: int | None = None


def read_script(lines: Iterable[str]) -> tuple[Mishap, ...]:
    """The mishaps of a script. Empty lines and what follows `#` count for nothing.

    Raises:
        BadOption: a line is not understood; it says which, and what was expected.
    """
    mishaps = []
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise _unclear(line, f"{error}") from None
        if words:
            mishaps.append(_Reader(line, words).mishap())
    return tuple(mishaps)


def _unclear(line: str, problem: str) -> BadOption:
    return BadOption(
        f"The fault {line!r} is not clear: {problem}. Examples: 'delay 200ms on response.created', "
        "'reset after 12 frames', 'handshake 429 retry-after 7'.",
        code="bad_fault",
    )


class _Reader:
    """Takes the words of a line one by one."""

    def __init__(self, line: str, words: list[str]) -> None:
        self._line = line
        self._words = words

    def mishap(self) -> Mishap:
        action = self._next("an action")
        if action == "handshake":
            found = self._handshake()
        elif action in get_args(Action):
            found = self._action(action)
        else:
            raise _unclear(self._line, f"there is no action {action!r}; there are {', '.join(get_args(Action))}")
        while self._words:
            found |= self._qualifier(self._next("a word"))
        self._check(found)
        return Mishap(line=self._line, **found)  # type: ignore[arg-type]  # each value was read for its field

    def _action(self, action: str) -> dict[str, object]:
        found: dict[str, object] = {"action": action}
        if action == "delay":
            found["seconds"] = self._time(self._next("how long, such as 200ms"))
        elif action == "stall" and self._words and _TIME.fullmatch(self._words[0]):
            found["seconds"] = self._time(self._next("a time"))
        elif action == "garbage" and self._words and self._words[0] in _GARBAGE:
            found["garbage"] = self._next("a kind")
        elif action == "close":
            found["code"] = self._close_code(self._next("a close code, such as 1011"))
            if self._words and self._words[0] not in _KEYWORDS:
                found["reason"] = self._reason(self._next("a reason"))
        return found

    def _handshake(self) -> dict[str, object]:
        what = self._next("a status such as 429, or stall, reset, garbage")
        if what in ("reset", "garbage"):
            return {"handshake": True, "action": what}
        if what == "stall":
            timed = self._words and _TIME.fullmatch(self._words[0])
            return {
                "handshake": True,
                "action": "stall",
                "seconds": self._time(self._next("a time")) if timed else None,
            }
        found: dict[str, object] = {"handshake": True, "action": "close", "code": self._code(what, 300, 599)}
        if self._words and self._words[0] == "retry-after":
            self._next("retry-after")
            found["headers"] = {"Retry-After": str(self._number(self._next("seconds")))}
        return found

    def _qualifier(self, word: str) -> dict[str, object]:
        if word == "on":
            return {"event": self._next("the name of an event")}
        if word == "at":
            if self._next("`byte`") != "byte":
                raise _unclear(self._line, "after `at` comes `byte N`")
            return {"at_byte": self._number(self._next("a number of bytes"))}
        if word == "after":
            amount = self._next("a time, or a number of frames")
            if _TIME.fullmatch(amount):
                return {"after_s": self._time(amount)}
            if self._next("`frames`") not in ("frames", "frame"):
                raise _unclear(self._line, "after `after` comes a time such as 2s, or `N frames`")
            return {"after_frames": self._number(amount)}
        if word == "occurrence":
            return {"occurrence": self._number(self._next("a number")) or 1}
        if word == "every":
            return {"every": True}
        if word == "chance":
            share = self._next("a share such as 5%")
            if not re.fullmatch(r"\d+(\.\d+)?%", share):
                raise _unclear(self._line, f"{share!r} is no share such as 5%")
            return {"chance": float(share[:-1]) / 100, "every": True}
        if word == "connection":
            return {"connection": self._number(self._next("a number")) or 1}
        raise _unclear(self._line, f"{word!r} is not expected here; there are {', '.join(_KEYWORDS)}")

    def _check(self, found: dict[str, object]) -> None:
        whens = [name for name in ("event", "after_frames", "after_s", "at_byte") if found.get(name) is not None]
        if len(whens) > 1:
            raise _unclear(self._line, "it says twice when")
        if found.get("handshake") and whens:
            raise _unclear(self._line, "a handshake has no events")
        if found["action"] in _OF_A_FRAME and not found.get("handshake") and whens not in ([], ["event"]):
            raise _unclear(self._line, f"`{found['action']}` is about a frame: say `on EVENT`")
        once = found.get("handshake") or whens not in ([], ["event"])
        if once and ("occurrence" in found or (found.get("every") and "chance" not in found)):
            raise _unclear(self._line, "it happens once on a connection: `occurrence` and `every` are for `on EVENT`")
        if "at_byte" in whens and found["action"] not in ("reset", "cut", "half-open"):
            raise _unclear(self._line, "only reset, cut and half-open can come at a byte")

    def _next(self, wanted: str) -> str:
        if not self._words:
            raise _unclear(self._line, f"{wanted} is missing")
        return self._words.pop(0)

    def _time(self, word: str) -> float:
        if not (match := _TIME.fullmatch(word)):
            raise _unclear(self._line, f"{word!r} is no time such as 200ms or 5s")
        return float(match[1]) / (1000 if match[2] == "ms" else 1)

    def _number(self, word: str) -> int:
        if not word.isdecimal():
            raise _unclear(self._line, f"{word!r} is no number")
        return int(word)

    def _code(self, word: str, low: int, high: int) -> int:
        code = self._number(word)
        if not low <= code <= high:
            raise _unclear(self._line, f"{code} is no code between {low} and {high}")
        return code

    def _close_code(self, word: str) -> int:
        code = self._number(word)
        if not any(code in codes for codes in _CLOSE_CODES):
            raise _unclear(
                self._line,
                f"{code} is no code that a close frame can carry; there are 1000 to 1003, 1007 to 1014, 3000 to 4999 "
                "(for an end without a close frame say `cut`)",
            )
        return code

    def _reason(self, words: str) -> str:
        if len(words.encode()) > _LONGEST_REASON:
            raise _unclear(self._line, f"the reason has more than {_LONGEST_REASON} bytes, more than a close frame can")
        return words


_KEYWORDS = ("on", "at", "after", "occurrence", "every", "chance", "connection")
