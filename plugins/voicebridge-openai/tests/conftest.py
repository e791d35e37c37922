"""A vendor that a test plays: it speaks frame by frame, and shows what the codec makes of them and sends back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest

from voicebridge.contract.commands import Command
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import CommandSettled, Event
from voicebridge.contract.items import Item
from voicebridge_openai.codec import RealtimeCodec
from voicebridge_openai.dialects import DIALECTS

E = TypeVar("E", bound=Event)


class Vendor:
    """Both ends of a wire. What was told and sent since the last look is in `told` and `sent`."""

    def __init__(
        self, dialect: str = "openai", *, model: str = "m", history: Iterable[Item] = (), **config: Any
    ) -> None:
        self.config = SessionConfig.model_validate(config)
        self.codec = RealtimeCodec(DIALECTS[dialect], model, self.config)
        self.told: list[Event] = []
        self.sent: list[dict[str, Any]] = [json.loads(f) for f in self.codec.open(self.config, tuple(history), None)]
        self.opening = list(self.sent)

    def ready(self, **session: Any) -> Vendor:
        """The handshake, forgotten at once."""
        self.says("session.created", session={"id": "s1", "model": "m"})
        self.says("session.updated", session=session)
        self.told.clear()
        self.sent.clear()
        return self

    def hears(self, command: Command) -> Vendor:
        """The application sends a command."""
        self.codec.check(command)
        self._take(self.codec.encode(command))
        return self

    def says(self, kind: str, **fields: Any) -> Vendor:
        """The vendor sends an event."""
        return self.sends({"type": kind, "event_id": "e"} | fields)

    def sends(self, frame: Any) -> Vendor:
        """The vendor sends anything."""
        self._take(self.codec.decode(frame if isinstance(frame, str | bytes) else json.dumps(frame)))
        return self

    def _take(self, outcomes: Iterable[Any]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Event):
                self.told.append(outcome)
            else:
                self.sent.append(json.loads(outcome))

    # What vendors say often

    def creates(self, response_id: str = "r1", *, answers: dict[str, Any] | None = None) -> Vendor:
        """A response starts; `answers` is the frame that asked for it."""
        metadata = answers["response"]["metadata"] if answers else None
        return self.says(
            "response.created", response={"id": response_id, "status": "in_progress", "metadata": metadata}
        )

    def speaks(self, ms: float, text: str = "", *, response_id: str = "r1", item_id: str = "a1") -> Vendor:
        """Audio of a response, and its words."""
        where = {"response_id": response_id, "item_id": item_id, "content_index": 0}
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress"}
        self.says("response.output_item.added", response_id=response_id, item=item)
        if text:
            self.says("response.output_audio_transcript.delta", delta=text, **where)
        pcm = base64.b64encode(bytes(int(ms * 48))).decode()
        return self.says("response.output_audio.delta", delta=pcm, **where)

    def finishes(self, response_id: str = "r1", status: str = "completed", **more: Any) -> Vendor:
        """A response ends."""
        return self.says("response.done", response={"id": response_id, "status": status} | more)

    def adds(self, frame: dict[str, Any], item_id: str) -> Vendor:
        """It has added an item that we sent."""
        item = frame["item"] | {"id": item_id, "status": "completed"}
        self.says("conversation.item.added", item=item)
        return self.says("conversation.item.done", item=item)

    def refuses(self, frame: dict[str, Any] | None, code: str, message: str = "no") -> Vendor:
        """An error, to a frame of ours or to none."""
        event_id = frame["event_id"] if frame else None
        error = {"type": "invalid_request_error", "code": code, "message": message, "event_id": event_id}
        return self.says("error", error=error)

    # Looking

    def all(self, kind: type[E]) -> list[E]:
        """What was told of one kind."""
        return [event for event in self.told if isinstance(event, kind)]

    def last(self, kind: type[E]) -> E:
        """The last of one kind."""
        return self.all(kind)[-1]

    def fate(self, command: Command) -> Any:
        """How a command was settled: "open", None (well), or the fault's code."""
        fates = [event for event in self.all(CommandSettled) if event.command_id == command.id]
        assert len(fates) <= 1
        return "open" if not fates else fates[0].fault and fates[0].fault.code

    def kinds(self) -> list[str]:
        """Names of the events told."""
        return [type(event).__name__ for event in self.told]

    def frames(self, kind: str) -> list[dict[str, Any]]:
        """What was sent of one kind."""
        return [frame for frame in self.sent if frame["type"] == kind]


@pytest.fixture
def vendor() -> Callable[..., Vendor]:
    """Makes one that has been greeted."""
    return lambda *args, **config: Vendor(*args, **config).ready()


@pytest.fixture
def stranger() -> type[Vendor]:
    """Makes one that has not."""
    return Vendor
