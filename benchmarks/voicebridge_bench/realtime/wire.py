"""The server events of the OpenAI Realtime wire (GA), as many as a client needs for spoken responses.

Shapes and order as in recorded sessions of the vendor; several of the clients under test parse them strictly.
"""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Mapping
from typing import Any

from .frames import TEXT, frame, frame_head
from .stamp import FRAME_BYTES, HEAD_BYTES, stamped_head

__all__ = ["Answer", "Conversation"]

_numbers = itertools.count(1)
_FORMAT = {"type": "audio/pcm", "rate": 24_000}
_USAGE = {
    "total_tokens": 40,
    "input_tokens": 16,
    "output_tokens": 24,
    "input_token_details": {
        "text_tokens": 16,
        "audio_tokens": 0,
        "image_tokens": 0,
        "cached_tokens": 0,
        "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 9, "audio_tokens": 15},
}
_TRANSCRIPT = " word"
_PCM = bytes(range(256)) * (FRAME_BYTES // 256 + 1)


def _id(kind: str) -> str:
    return f"{kind}_{next(_numbers):012d}"


def _message(kind: str, **fields: Any) -> bytes:
    event = {"type": kind, "event_id": _id("event"), **fields}
    return frame(TEXT, json.dumps(event, separators=(",", ":")).encode())


class Conversation:
    """One connection's session and items. Its methods give the websocket messages to send."""

    def __init__(self) -> None:
        self._id = _id("sess")
        self._conversation_id = _id("conv")
        self._last_item: str | None = None
        self._session: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": self._id,
            "model": "gpt-realtime-2",
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "expires_at": int(time.time()) + 3600,
            "audio": {
                "input": {
                    "format": _FORMAT,
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.5,
                        "prefix_padding_ms": 300,
                        "silence_duration_ms": 200,
                        "idle_timeout_ms": None,
                        "create_response": True,
                        "interrupt_response": True,
                    },
                },
                "output": {"format": _FORMAT, "voice": "marin", "speed": 1.0},
            },
            "include": None,
        }

    def created(self) -> bytes:
        """The first event of a connection."""
        return _message("session.created", session=self._session)

    def updated(self, patch: Mapping[str, Any]) -> bytes:
        """A `session.update` was taken."""
        merged = _merged(self._session, patch)
        self._session = merged | {"id": self._id, "object": "realtime.session"}
        return _message("session.updated", session=self._session)

    def item(self, given: Mapping[str, Any]) -> bytes:
        """A `conversation.item.create` was taken."""
        whole = {"id": _id("item"), "object": "realtime.item", "status": "completed", **given}
        return self._placed(whole)

    def user_turn(self) -> bytes:
        """Speech was heard, and it is over."""
        item_id = _id("item")
        previous = self._last_item
        heard = [
            _message("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item_id),
            _message("input_audio_buffer.speech_stopped", audio_end_ms=200, item_id=item_id),
            _message("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id),
        ]
        content = [{"type": "input_audio", "transcript": None}]
        item = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": content,
        }
        return b"".join(heard) + self._placed(item)

    def answer(self, asked: Mapping[str, Any]) -> Answer:
        """A response begins; `asked` is the `response` of a `response.create`."""
        previous, item_id = self._last_item, _id("item")
        self._last_item = item_id
        return Answer(self._conversation_id, previous, item_id, asked.get("metadata"))

    def simple(self, kind: str, **fields: Any) -> bytes:
        """An event that is nothing but its fields."""
        return _message(kind, **fields)

    def error(self, code: str, message: str, event_id: str | None) -> bytes:
        """A command was refused."""
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": None, "event_id": event_id}
        return _message("error", error=error)

    def _placed(self, item: Mapping[str, Any]) -> bytes:
        previous, self._last_item = self._last_item, item["id"]
        fields = {"previous_item_id": previous, "item": item}
        return _message("conversation.item.added", **fields) + _message("conversation.item.done", **fields)


class Answer:
    """One response: what comes before its audio, each frame of it, and what comes after."""

    def __init__(self, conversation_id: str, previous: str | None, item_id: str, metadata: Any) -> None:
        self.id = _id("resp")
        self._item_id, self._previous = item_id, previous
        self._response: dict[str, Any] = {
            "object": "realtime.response",
            "id": self.id,
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "conversation_id": conversation_id,
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "audio": {"output": {"format": _FORMAT, "voice": "marin"}},
            "usage": None,
            "metadata": metadata,
        }
        self._place = {"response_id": self.id, "item_id": item_id, "output_index": 0, "content_index": 0}
        self._before, self._between, self._after = self._pieces()
        self.sent = 0
        """Frames of audio so far."""

    def _pieces(self) -> tuple[bytes, bytes, bytes]:
        """The three parts of an audio message that are the same each time. Between them: a number and the stamp."""
        place = json.dumps(self._place, separators=(",", ":"))[1:-1]
        before = b'{"type":"response.output_audio.delta","event_id":"event_'
        between = f'",{place},"delta":"'.encode()
        after = base64.b64encode(_PCM[HEAD_BYTES:FRAME_BYTES]) + b'"}'
        size = len(before) + 12 + len(between) + HEAD_BYTES // 3 * 4 + len(after)
        return frame_head(TEXT, size) + before, between, after

    def opening(self) -> bytes:
        """From `response.created` to the part that the audio goes into."""
        item = self._item("in_progress", [])
        return b"".join(
            (
                _message("response.created", response=self._response),
                _message("response.output_item.added", response_id=self.id, output_index=0, item=item),
                _message("conversation.item.added", previous_item_id=self._previous, item=item),
                _message("response.content_part.added", **self._place, part={"type": "audio", "transcript": ""}),
            )
        )

    def words(self) -> bytes:
        """A piece of the transcript."""
        return _message("response.output_audio_transcript.delta", **self._place, delta=_TRANSCRIPT)

    def audio(self, at_ns: int) -> bytes:
        """The next frame of audio, sent at `at_ns`."""
        head = base64.b64encode(stamped_head(self.sent, at_ns))
        self.sent += 1
        return b"".join((self._before, b"%012d" % next(_numbers), self._between, head, self._after))

    def closing(self, status: str = "completed") -> bytes:
        """From the end of the audio to `response.done`."""
        content = [{"type": "output_audio", "transcript": _TRANSCRIPT}]
        done = "completed" if status == "completed" else "incomplete"
        item = self._item(done, content)
        details = None if status == "completed" else {"type": status, "reason": "client_cancelled"}
        response = self._response | {"status": status, "status_details": details, "output": [item], "usage": _USAGE}
        part = {"type": "audio", "transcript": _TRANSCRIPT}
        return b"".join(
            (
                _message("response.output_audio.done", **self._place),
                _message("response.output_audio_transcript.done", **self._place, transcript=_TRANSCRIPT),
                _message("response.content_part.done", **self._place, part=part),
                _message("conversation.item.done", previous_item_id=self._previous, item=item),
                _message("response.output_item.done", response_id=self.id, output_index=0, item=item),
                _message("response.done", response=response),
            )
        )

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._item_id,
            "object": "realtime.item",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }


def _merged(old: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `old` with `patch` laid over it, mappings inside of mappings too."""
    both = dict(old)
    for name, value in patch.items():
        known = both.get(name)
        both[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return both
