"""The items of a conversation, and the tokens that they cost."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.audio import AudioFormat
from voicebridge_openai.simulator.conversation import Conversation, Entry
from voicebridge_openai.simulator.item_rules import checked_item
from voicebridge_openai.simulator.protocol_error import ProtocolError
from voicebridge_openai.simulator.usage import Meter, transcription_usage


def said(item_id: str, text: str = "x") -> Entry:
    content = [{"type": "input_text", "text": text}]
    return Entry(item={"id": item_id, "type": "message", "role": "user", "content": content})


def spoken(item_id: str, ms: float, text: str = "Hello there.") -> Entry:
    content = [{"type": "output_audio", "transcript": text}]
    item = {"id": item_id, "type": "message", "role": "assistant", "content": content}
    return Entry(item=item, audio_ms=ms, heard=text)


def refused(code: str, call: Any, *arguments: Any) -> ProtocolError:
    with pytest.raises(ProtocolError) as raised:
        call(*arguments)
    assert raised.value.code == code
    return raised.value


def test_items_stand_where_they_are_put() -> None:
    conversation = Conversation()
    assert conversation.add(said("a")) is None
    assert conversation.add(said("c")) == "a"
    assert conversation.add(said("b"), "a") == "a"
    assert conversation.add(said("0"), "root") is None
    assert [entry.id for entry in conversation] == ["0", "a", "b", "c"]
    assert conversation.previous_id("b") == "a"
    assert conversation.last_id == "c"
    refused("item_create_invalid_previous_item_id", conversation.add, said("d"), "x")
    refused("item_create_duplicate_id", conversation.add, said("a"))
    conversation.delete("b")
    refused("item_delete_invalid_item_id", conversation.delete, "b")
    refused("item_retrieve_invalid_item_id", conversation.retrieve, "b")
    assert conversation.retrieve("c")["id"] == "c"


def test_truncation_forgets_what_was_not_heard() -> None:
    conversation = Conversation()
    conversation.add(spoken("a", 1200.5))
    too_long = refused("invalid_value", conversation.truncate, "a", 0, 1201)
    assert too_long.message == "Audio content of 1200ms is already shorter than 1201ms"
    conversation.truncate("a", 0, 600)
    [entry] = conversation
    assert (entry.audio_ms, entry.heard) == (600.0, "Hello ")
    assert entry.item["content"][0]["transcript"] is None
    refused("invalid_value", conversation.truncate, "a", 0, 700)
    refused("invalid_value", conversation.truncate, "a", 1, 100)
    refused("invalid_value", conversation.truncate, "a", 0, -1)
    refused("invalid_value", conversation.truncate, "a", 0, True)
    refused("item_truncate_invalid_item_id", conversation.truncate, "b", 0, 1)


def test_only_the_models_own_audio_can_be_truncated() -> None:
    conversation = Conversation()
    conversation.add(said("user"))
    conversation.add(spoken("silent", 0.0))
    for item_id in ("user", "silent"):
        refused("unsupported_content_type", conversation.truncate, item_id, 0, 0)


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        (None, "invalid_type", "item"),
        ({}, "missing_required_parameter", "item.type"),
        ({"type": "thought"}, "invalid_value", "item.type"),
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        ({"type": "message", "role": "boss", "content": []}, "invalid_value", "item.role"),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "x"}]},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_text"}]},
            "missing_required_parameter",
            "item.content[0].text",
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "%"}]},
            "invalid_value",
            "item.content[0].audio",
        ),
        ({"type": "message", "role": "user", "content": ["x"]}, "invalid_type", "item.content[0]"),
        ({"type": "message", "role": "user", "content": [], "id": "x" * 33}, "string_above_max_length", "item.id"),
        ({"type": "function_call_output", "call_id": "c"}, "missing_required_parameter", "item.output"),
        ({"type": "function_call", "name": "f", "arguments": {}}, "invalid_type", "item.arguments"),
    ],
)
def test_an_item_that_does_not_fit(item: Any, code: str, param: str) -> None:
    error = refused(code, checked_item, item, "item_1", "call_1", AudioFormat())
    assert error.param == param


def test_audio_of_an_item_is_measured() -> None:
    content = [{"type": "input_audio", "audio": "AAAA" * 1600, "transcript": "Hi"}]
    item, ms = checked_item({"type": "message", "role": "user", "content": content}, "item_1", "call_1", AudioFormat())
    assert ms == 100
    assert item["content"] == [{"type": "input_audio", "transcript": "Hi"}]


def test_tokens_by_the_vendors_arithmetic() -> None:
    user = Entry(item={**said("u").item, "content": [{"type": "input_audio", "transcript": None}]}, audio_ms=2700)
    answer = spoken("a", 2100, "x" * 72)
    answer.made_ms, answer.made_text = 2100, "x" * 72
    meter = Meter()
    usage = meter.usage([user], "y" * 60, [answer])
    assert usage["input_token_details"]["audio_tokens"] == 27
    assert usage["input_token_details"]["text_tokens"] == 15
    assert usage["input_token_details"]["cached_tokens"] == 0
    assert usage["output_token_details"] == {"text_tokens": 18, "audio_tokens": 42}
    assert usage["total_tokens"] == 27 + 15 + 18 + 42
    # The whole context again; of the 69 audio and 33 text tokens before, whole 64s are cached.
    again = meter.usage([user, answer, user], "y" * 60, [])
    assert again["input_token_details"]["audio_tokens"] == 27 + 42 + 27
    assert again["input_token_details"]["cached_tokens_details"] == {
        "text_tokens": 0,
        "audio_tokens": 64,
        "image_tokens": 0,
    }


def test_transcriptions_are_billed_by_tokens_or_by_time() -> None:
    assert transcription_usage("gpt-realtime-whisper", 2796, "x") == {"type": "duration", "seconds": 3}
    usage = transcription_usage("gpt-4o-mini-transcribe", 1000, "x" * 8)
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (10, 2, 12)
