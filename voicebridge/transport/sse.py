"""Server-sent events out of bytes, however the network has cut them.

The format is that of the HTML standard, section 9.2.6: UTF-8, lines that end with CR, LF or CRLF, a blank line after
each event. https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from voicebridge.contract.errors import VoiceBridgeError

__all__ = ["SseEvent", "SseParser"]

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_MAX_EVENT_BYTES = 16 * 1024 * 1024
"""More than any vendor puts into one event, audio included."""


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event."""

    event: str
    """Its type: `message` where the server names none."""
    data: str
    """Its lines, joined by line feeds."""
    id: str = ""
    """The last id that the server gave, perhaps with an event before."""


class SseParser:
    """Bytes in, whole events out. One instance a response.

    A line is decoded when it is whole, so no character is ever cut. An event that the end of the stream cuts off is
    dropped, as the standard says, unless `end` is called: see there.

    Args:
        max_event_bytes: of an unfinished event; more is an error, or a peer could fill the memory.
    """

    def __init__(self, max_event_bytes: int = _MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._rest = bytearray()
        """The bytes of a line that has not ended."""
        self._searched = 0
        """How many bytes of the rest hold no end of a line."""
        self._held = 0
        """Bytes of the data that waits for its blank line."""
        self._begun = self._after_cr = False
        self._event, self._id = "", ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that end in these bytes.

        Raises:
            VoiceBridgeError: an event is longer than any may be (category protocol).
        """
        if not data:
            return []
        if self._after_cr and data[0] == 0x0A:
            data = data[1:]
        self._rest += data
        if not self._begun and not self._begin():
            return []
        found: list[SseEvent] = []
        start = 0
        for end in _LINE_END.finditer(self._rest, self._searched):
            self._line(bytes(self._rest[start : end.start()]), found)
            start = end.end()
        # A CR at the end of a piece ends its line at once; a LF in the next piece belongs to it.
        self._after_cr = start == len(self._rest) > 0 and self._rest[-1] == 0x0D
        del self._rest[:start]
        self._searched = len(self._rest)
        self._check()
        return found

    def end(self) -> list[SseEvent]:
        """The stream has ended well: the last event counts, though servers forget the blank line behind it."""
        found: list[SseEvent] = []
        if self._rest:
            self._line(bytes(self._rest).removeprefix(b"" if self._begun else _BOM), found)
            self._rest.clear()
        self._line(b"", found)
        return found

    def _begin(self) -> bool:
        """Skip a byte order mark. False: nobody knows yet whether there is one."""
        if len(self._rest) < len(_BOM) and _BOM.startswith(bytes(self._rest)):
            return False
        self._begun = True
        if self._rest.startswith(_BOM):
            del self._rest[: len(_BOM)]
        return True

    def _line(self, line: bytes, found: list[SseEvent]) -> None:
        if not line:
            if self._data:
                found.append(SseEvent(self._event or "message", "\n".join(self._data), self._id))
            self._event, self._held = "", 0
            self._data.clear()
            return
        name, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if name == b"data":
            self._data.append(text)
            self._held += len(line)
            self._check()
        elif name == b"event":
            self._event = text
        elif name == b"id" and "\0" not in text:
            self._id = text

    def _check(self) -> None:
        if len(self._rest) + self._held > self._max:
            raise VoiceBridgeError(f"The server sent an event of more than {self._max} bytes.", code="event_too_long")
