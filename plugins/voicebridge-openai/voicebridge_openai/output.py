"""What the model says: responses, the audio and text of each, and where in it each of the vendor's items is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pybase64

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.events import Event, OutputAudio, OutputText, ToolCall
from voicebridge.core.playback import ResponsePlayback

from .vendor_errors import NoEvent

__all__ = ["AudioItem", "Cut", "Output", "Response"]

_REMEMBERED = 32
"""Ended responses of which it can still be told what was heard."""


@dataclass(slots=True)
class AudioItem:
    """A vendor's item that holds some of a response's voice."""

    id: str
    start: int
    """Bytes of the response's audio before its first."""
    content_index: int = 0
    size: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Cut:
    """What to do with one item, so that the conversation holds no more than was heard."""

    item_id: str
    content_index: int = 0
    keep_ms: int = 0
    """0: delete it."""


@dataclass(slots=True)
class Response:
    """One response, as far as it has come."""

    id: str
    aside: bool = False
    told: bool = True
    """Whether the application knows of it. Not, where it was withdrawn before it started."""
    wanted: bool = True
    """False once it is interrupted: nothing more of it is told but its end."""
    running: bool = True
    size: int = 0
    """Bytes of audio told so far."""
    odd: bytes = b""
    """Of a sample whose other byte is still to come."""
    speaking: AudioItem | None = None
    audio_items: list[AudioItem] = field(default_factory=list)
    items: dict[str, str] = field(default_factory=dict)
    """All its items, and the names of the functions that those which are calls call."""
    calls: set[str] = field(default_factory=set)
    passes_over: tuple[str, ...] = ()
    """Turns that were to be answered by the vendor when this started instead: once it has ended they will not be."""
    kept: int | None = None
    """Bytes that an interruption left of it."""
    cut_items: set[str] = field(default_factory=set)
    """Items that were shortened."""
    deleted: set[str] = field(default_factory=set)
    """Items that are no more."""

    def item(self, item_id: object, content_index: object) -> AudioItem:
        """The item that speaks now. A frame that names none means the same as before."""
        last = self.audio_items[-1] if self.audio_items else None
        if last is not None and (item_id == last.id or not isinstance(item_id, str)):
            return last
        if isinstance(item_id, str):
            for item in self.audio_items:
                if item.id == item_id:
                    return item
        made = AudioItem(item_id if isinstance(item_id, str) else "", self.size)
        made.content_index = content_index if isinstance(content_index, int) else 0
        self.audio_items.append(made)
        return made

    def cuts(self, keep: int, audio: AudioFormat) -> list[Cut]:
        """What makes the conversation end after `keep` bytes of this response's audio."""
        cuts = []
        for item in self.audio_items:
            left = int(audio.ms(max(0, keep - item.start)))
            whole = not self.running and item.start + item.size <= keep
            if item.id and item.size and not whole and item.id not in self.deleted:
                cuts.append(Cut(item.id, item.content_index, min(left, int(audio.ms(item.size)))))
        if not keep:
            cuts += [Cut(item_id) for item_id in self._silent()]
        return cuts

    def unheard(self) -> list[str]:
        """Items to delete now that it has ended: all, if nobody wanted it; else those that came after it was cut."""
        if not self.told:
            return [item_id for item_id in self.items if item_id not in self.deleted]
        return [] if self.kept is None or self.wanted else self._silent()

    def _silent(self) -> list[str]:
        """Items of which nothing was told, calls apart."""
        gone = {item.id for item in self.audio_items if item.size} | self.cut_items | self.deleted
        return [item_id for item_id, calls in self.items.items() if not calls and item_id not in gone]

    def text_until(self, ms: float, audio: AudioFormat) -> str:
        """The words in the first milliseconds, in proportion within each item."""
        spoken = ResponsePlayback()
        for item in self.audio_items:
            spoken.add(audio.ms(item.size), item.text, ())
        return spoken.text_until(ms)


class Output:
    """All responses of a connection."""

    def __init__(self, audio: AudioFormat) -> None:
        self.format = audio
        """As negotiated."""
        self.spoke = False
        """Whether any audio came yet: from then on the voice is fixed."""
        self._responses: dict[str, Response] = {}

    def find(self, response_id: object) -> Response | None:
        """A response that is still remembered."""
        return self._responses.get(response_id) if isinstance(response_id, str) else None

    def owner(self, item_id: object) -> Response | None:
        """The response that an item is of."""
        for response in self._responses.values():
            if isinstance(item_id, str) and item_id in response.items:
                return response
        return None

    def holding(self, item_id: object) -> tuple[Response, AudioItem] | None:
        """The response and the place in it of an item with audio."""
        for response in reversed(self._responses.values()):
            for item in response.audio_items:
                if item.id == item_id:
                    return response, item
        return None

    def running(self) -> list[Response]:
        """Those that have not ended, oldest first."""
        return [response for response in self._responses.values() if response.running]

    def start(self, response: Response) -> None:
        """One begins."""
        self._responses[response.id] = response
        ended = [known.id for known in self._responses.values() if not known.running]
        for old in ended[: max(0, len(ended) - _REMEMBERED)]:
            del self._responses[old]

    def audio(self, frame: Mapping[str, Any]) -> list[Event]:
        """`response.output_audio.delta`: what comes fifty times a second.

        Raises:
            NoEvent: it holds no audio.
        """
        response = self.find(frame.get("response_id"))
        if response is None or not response.wanted or not response.running:
            return []
        try:
            pcm = pybase64.b64decode(frame["delta"], validate=True)
        except (ValueError, TypeError, KeyError):
            raise NoEvent(f"a piece of the audio of {response.id} is no base64") from None
        item = response.item(frame.get("item_id"), frame.get("content_index"))
        if item is not response.speaking:
            response.speaking, response.odd = item, b""
            item.start = item.start if item.size else response.size
        if response.odd:
            pcm = response.odd + pcm
        whole = len(pcm) - len(pcm) % self.format.frame_bytes
        response.odd = pcm[whole:]
        if not whole:
            return []
        offset, self.spoke = response.size, True
        response.size += whole
        item.size += whole
        pcm = pcm if whole == len(pcm) else pcm[:whole]
        return [OutputAudio(response_id=response.id, pcm=pcm, offset_ms=self.format.ms(offset))]

    def text(self, frame: Mapping[str, Any], kind: Literal["speech", "text"]) -> list[Event]:
        """A piece of the words."""
        response, delta = self.find(frame.get("response_id")), frame.get("delta")
        if response is None or not response.wanted or not response.running or not isinstance(delta, str) or not delta:
            return []
        if kind == "speech":
            response.item(frame.get("item_id"), frame.get("content_index")).text += delta
        return [OutputText(response_id=response.id, delta=delta, kind=kind)]

    def item_added(self, frame: Mapping[str, Any]) -> None:
        """`response.output_item.added`: whose item it is, and what it will call."""
        response, item = self.find(frame.get("response_id")), frame.get("item")
        if response is None or not isinstance(item, Mapping) or not isinstance(item.get("id"), str):
            return
        name = item.get("name")
        response.items[item["id"]] = name if isinstance(name, str) else ""

    def arguments_done(self, frame: Mapping[str, Any]) -> list[Event]:
        """`response.function_call_arguments.done`."""
        response, item_id = self.find(frame.get("response_id")), frame.get("item_id")
        if response is None:
            return []
        name = frame.get("name") or (response.items.get(item_id) if isinstance(item_id, str) else None)
        return self._call(response, frame.get("call_id"), name, frame.get("arguments"))

    def item_done(self, response: Response | None, item: object) -> list[Event]:
        """A finished item: a call that was not told yet is told."""
        if response is None or not isinstance(item, Mapping) or item.get("type") != "function_call":
            return []
        if item.get("status", "completed") != "completed":
            return []
        return self._call(response, item.get("call_id"), item.get("name"), item.get("arguments"))

    def _call(self, response: Response, call_id: object, name: object, arguments: object) -> list[Event]:
        if not response.wanted or not response.running:
            return []
        if not (isinstance(call_id, str) and call_id and isinstance(name, str) and name):
            return []  # it is told by a later frame, whole
        if call_id in response.calls:
            return []
        response.calls.add(call_id)
        text = arguments if isinstance(arguments, str) else ""
        return [ToolCall(response_id=response.id, call_id=call_id, name=name, arguments=text)]
