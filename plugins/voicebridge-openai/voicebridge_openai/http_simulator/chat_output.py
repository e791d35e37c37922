"""The answer of POST /chat/completions as bytes, whole or in chunks. Pure.

Shapes are those of the openai SDK 3.54 (`ChatCompletion`, `ChatCompletionChunk`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from voicebridge.testing.simulator.pacing import text_tokens

from ..simulator.replies import Call, Failure
from .api_error import failure
from .ask import Ask, Draft, Text
from .dialects import HttpDialect
from .identity import Identity, padding
from .piece import Piece
from .refusal import error_body

__all__ = ["chat_pieces", "whole_chat"]

_CHUNK = "chat.completion.chunk"


def _usage(ask: Ask, draft: Draft) -> dict[str, Any]:
    return {
        "prompt_tokens": ask.prompt_tokens,
        "completion_tokens": draft.tokens,
        "total_tokens": ask.prompt_tokens + draft.tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _tool_call(call: Call, names: Identity, arguments: str) -> dict[str, Any]:
    return {
        "id": names.new("call_"),
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def whole_chat(ask: Ask, draft: Draft, names: Identity, dialect: HttpDialect) -> bytes:
    """The body of an answer that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": draft.text or None, "refusal": None, "annotations": []}
    if calls := draft.calls:
        message["tool_calls"] = [_tool_call(call, names, call.arguments) for call in calls]
    elif message["content"] is None:
        message["content"] = ""
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": draft.finish}
    answer = {
        "id": names.new("chatcmpl-"),
        "object": "chat.completion",
        "created": names.created,
        "model": ask.model,
        "choices": [choice],
        "service_tier": "default",
        "system_fingerprint": None,
    }
    if dialect.counts:
        answer["usage"] = _usage(ask, draft)
    return orjson.dumps(answer)


class _Chunks:
    """Writes chunks around what is new in each."""

    def __init__(self, ask: Ask, names: Identity, dialect: HttpDialect) -> None:
        self._usage_null = ask.wants_usage and dialect.usage == "asked"
        self._pads = dialect.obfuscates and ask.pads
        head = {
            "id": names.new("chatcmpl-"),
            "object": _CHUNK,
            "created": names.created,
            "model": ask.model,
            "service_tier": "default",
            "system_fingerprint": None,
        }
        self._head = b"data: " + orjson.dumps(head)[:-1] + b',"choices":['
        self._before = self._head + b'{"index":0,"delta":'
        self._end = b'],"usage":null' if self._usage_null else b"]"

    def delta(self, delta: bytes, size: str, after: int) -> Piece:
        """A chunk with this delta, which is JSON; `size` is what padding hides."""
        pad = b',"obfuscation":"%b"}\n\n' % padding(size).encode() if self._pads else b"}\n\n"
        data = self._before + delta + b',"logprobs":null,"finish_reason":null}' + self._end + pad
        return Piece(_CHUNK, data, after)

    def last(self, finish: str, usage: dict[str, Any] | None, after: int) -> Piece:
        """The chunk that tells why it ends."""
        end = b'],"usage":' + orjson.dumps(usage) if usage is not None else self._end
        data = self._before + b'{},"logprobs":null,"finish_reason":"%b"}' % finish.encode() + end + b"}\n\n"
        return Piece(_CHUNK, data, after)

    def usage(self, usage: dict[str, Any], after: int) -> Piece:
        """The chunk behind the last one, without choices."""
        return Piece(f"{_CHUNK}.usage", self._head + b'],"usage":' + orjson.dumps(usage) + b"}\n\n", after)


def chat_pieces(ask: Ask, draft: Draft, names: Identity, dialect: HttpDialect) -> Iterator[Piece]:
    """The body of an answer that is streamed."""
    chunks = _Chunks(ask, names, dialect)
    written = called = 0
    for index, part in enumerate(draft.parts):
        if isinstance(part, Failure):
            yield _broken(part, dialect, written)
            return
        if index == 0 and dialect.role_first:
            content = b'""' if isinstance(part, Text) else b"null"
            yield chunks.delta(b'{"role":"assistant","content":%b,"refusal":null}' % content, "", 0)
        if isinstance(part, Text):
            for token in part.tokens:
                yield chunks.delta(b'{"content":%b}' % orjson.dumps(token), token, written)
                written += 1
        else:
            for delta, size in _call_deltas(part, called, names, dialect):
                yield chunks.delta(delta, size, written)
                written += bool(size)
            called += 1
    usage = _usage(ask, draft)
    yield chunks.last(draft.finish, usage if dialect.usage == "last" else None, written)
    if dialect.usage == "asked" and ask.wants_usage:
        yield chunks.usage(usage, written)
    if dialect.done:
        yield Piece("done", b"data: [DONE]\n\n", written)


def _call_deltas(call: Call, index: int, names: Identity, dialect: HttpDialect) -> Iterator[tuple[bytes, str]]:
    """The chunks of a call, each with the arguments that are new in it."""
    first = {"index": index, **_tool_call(call, names, call.arguments if dialect.whole_calls else "")}
    yield orjson.dumps({"tool_calls": [first]}), ""
    if not dialect.whole_calls:
        for token in text_tokens(call.arguments):
            new = b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}' % (index, orjson.dumps(token))
            yield new, token


def _broken(part: Failure, dialect: HttpDialect, after: int) -> Piece:
    body = error_body(failure(part.code, part.message), dialect)
    data = body + b"\n" if dialect.stream_error == "bare" else b"data: " + body + b"\n\n"
    return Piece("error", data, after)
