"""The answer of POST /responses as bytes, whole or as events. Pure.

Shapes are those of the openai SDK 3.54 (`Response`, `ResponseStreamEvent`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from voicebridge.testing.simulator.pacing import text_tokens

from ..simulator.replies import Call, Failure
from .ask import Ask, Draft, Text
from .dialects import HttpDialect
from .identity import Identity, padding
from .piece import Piece

__all__ = ["ResponseOutput"]

Item = dict[str, Any]
_ECHOED = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""Settings that a response shows, and what they are where the client does not say."""
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseOutput:
    """One response. `items` and `id` are known at once, for whoever keeps them."""

    def __init__(self, ask: Ask, draft: Draft, names: Identity, dialect: HttpDialect) -> None:
        self.id = names.new("resp_", 48)
        self._draft = draft
        self._pads = dialect.obfuscates and ask.pads
        self._sequence = 0
        body = ask.body
        echoed = {name: default if body.get(name) is None else body[name] for name, default in _ECHOED.items()}
        if echoed["service_tier"] == "auto":
            echoed["service_tier"] = "default"
        self._base: dict[str, Any] = {
            "id": self.id,
            "object": "response",
            "created_at": names.created,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": ask.model,
            "output": [],
            **echoed,
            "tools": [_shown(tool) for tool in body.get("tools") or ()],
            "usage": None,
        }
        self._usage = {
            "input_tokens": ask.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": draft.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": ask.prompt_tokens + draft.tokens,
        }
        self.items = [
            _item(part, names, "incomplete" if draft.finish in _INCOMPLETE else "completed")
            for part in draft.parts
            if not isinstance(part, Failure)
        ]

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        return orjson.dumps(self._ended())

    def pieces(self) -> Iterator[Piece]:
        """The body of an answer that is streamed."""
        started = {**self._base}
        yield self._event("response.created", 0, response=started)
        yield self._event("response.in_progress", 0, response=started)
        written = 0
        for index, (item, part) in enumerate(zip(self.items, self._draft.parts, strict=False)):
            if isinstance(part, Text):
                yield from self._text(index, item, part, written)
                written += len(part.tokens)
            else:
                yield from self._call(index, item, written)
                written += len(text_tokens(item["arguments"]))
        ended = self._ended()
        yield self._event(f"response.{ended['status']}", written, response=ended)

    def _ended(self) -> dict[str, Any]:
        ended = {**self._base, "output": self.items, "status": "completed", "usage": self._usage}
        if failure := self._draft.failure:
            error = {"code": failure.code, "message": failure.message}
            return {**ended, "status": "failed", "error": error, "usage": None}
        if reason := _INCOMPLETE.get(self._draft.finish):
            return {**ended, "status": "incomplete", "incomplete_details": {"reason": reason}}
        return ended

    def _event(self, kind: str, after: int, **fields: Any) -> Piece:
        event = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return Piece(kind, b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(event)), after)

    def _deltas(self, kind: str, tokens: list[str], where: Item, after: int, extra: bytes = b"") -> Iterator[Piece]:
        """Events that differ in their number and their delta: only these are written anew."""
        head = b'event: %b\ndata: {"type":"%b",%b,"sequence_number":' % (
            kind.encode(),
            kind.encode(),
            orjson.dumps(where)[1:-1],
        )
        for place, token in enumerate(tokens):
            pad = b',"obfuscation":"%b"' % padding(token).encode() if self._pads else b""
            data = b'%b%d,"delta":%b%b%b}\n\n' % (head, self._sequence, orjson.dumps(token), extra, pad)
            self._sequence += 1
            yield Piece(kind, data, after + place)

    def _text(self, index: int, item: Item, part: Text, written: int) -> Iterator[Piece]:
        begun = {**item, "status": "in_progress", "content": []}
        where = {"item_id": item["id"], "output_index": index, "content_index": 0}
        [whole] = item["content"]
        yield self._event("response.output_item.added", written, output_index=index, item=begun)
        yield self._event("response.content_part.added", written, **where, part={**whole, "text": ""})
        yield from self._deltas("response.output_text.delta", part.tokens, where, written, b',"logprobs":[]')
        after = written + len(part.tokens)
        yield self._event("response.output_text.done", after, **where, text=part.whole, logprobs=[])
        yield self._event("response.content_part.done", after, **where, part=whole)
        yield self._event("response.output_item.done", after, output_index=index, item=item)

    def _call(self, index: int, item: Item, written: int) -> Iterator[Piece]:
        begun = {**item, "status": "in_progress", "arguments": ""}
        where = {"item_id": item["id"], "output_index": index}
        tokens = text_tokens(item["arguments"])
        kind = "response.function_call_arguments"
        yield self._event("response.output_item.added", written, output_index=index, item=begun)
        yield from self._deltas(f"{kind}.delta", tokens, where, written)
        after = written + len(tokens)
        yield self._event(f"{kind}.done", after, **where, arguments=item["arguments"])
        yield self._event("response.output_item.done", after, output_index=index, item=item)


def _item(part: Text | Call, names: Identity, status: str) -> Item:
    if isinstance(part, Call):
        return {
            "id": names.new("fc_", 48),
            "type": "function_call",
            "status": status,
            "arguments": part.arguments,
            "call_id": names.new("call_"),
            "name": part.name,
        }
    content = {"type": "output_text", "annotations": [], "logprobs": [], "text": part.whole}
    return {"id": names.new("msg_", 48), "type": "message", "status": status, "role": "assistant", "content": [content]}


def _shown(tool: Item) -> Item:
    """A tool as the response shows it."""
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": True, **tool}
