"""Responses: what they say, in how many items, and how they end."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

LONG = "A long story that goes on and on, word after word, and does not come to its end. " * 4
TOOL = {
    "type": "function",
    "name": "set_lights",
    "parameters": {
        "type": "object",
        "properties": {"room": {"type": "string", "enum": ["kitchen"]}, "level": {"type": "integer"}},
        "required": ["room", "level"],
    },
}


def text_of(done: dict[str, Any]) -> list[str]:
    parts = [item["content"][0] for item in done["response"]["output"] if item["type"] == "message"]
    return [part.get("transcript") or part.get("text") for part in parts]


async def test_metadata_comes_back(simulate: Any, write: Any) -> None:
    async with simulate() as (_, client):
        await write(client, "Hi", respond=False)
        metadata = {"client_event_id": "response_create_1"}
        await client.send("response.create", response={"metadata": metadata})
        assert (await client.until("response.created"))["response"]["metadata"] == metadata
        assert (await client.until("response.done"))["response"]["metadata"] == metadata


async def test_deltas_joined_are_the_whole(simulate: Any, write: Any) -> None:
    async with simulate(replies=["One two, three."], delta_ms=50) as (_, client):
        await write(client, "Count")
        await client.until("response.done")
    deltas = [f["delta"] for f in client.frames if f["type"] == "response.output_audio_transcript.delta"]
    audio = [base64.b64decode(f["delta"]) for f in client.frames if f["type"] == "response.output_audio.delta"]
    assert "".join(deltas) == "One two, three."
    assert {len(piece) for piece in audio[:-1]} == {2400}
    assert abs(len(b"".join(audio)) / 48 - 15 * 65) < 20


async def test_only_one_response_at_a_time(simulate: Any, write: Any) -> None:
    async with simulate(pace=2) as (_, client):
        await write(client, LONG)
        await client.until("response.created")
        await client.send("response.create", event_id="second")
        error = (await client.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
        await client.send("response.create", response={"conversation": "none", "input": []})
        aside = (await client.until("response.created"))["response"]
        assert aside["conversation_id"] is None
        await client.until("response.done")


async def test_a_response_may_be_asked_for_as_soon_as_the_last_is_done(simulate: Any, write: Any) -> None:
    async with simulate(pace=0) as (_, client):
        for _ in range(20):
            await write(client, "Hi")
            assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_an_aside_leaves_nothing_behind(simulate: Any, write: Any) -> None:
    async with simulate() as (_, client):
        await write(client, "Remember this.", respond=False)
        item = (await client.until("conversation.item.done"))["item"]
        note = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And this."}]}
        reference = {"type": "item_reference", "id": item["id"]}
        asked = {"conversation": "none", "input": [note, reference], "output_modalities": ["text"]}
        await client.send("response.create", response=asked)
        done = await client.until("response.done")
        assert text_of(done) == ["You said: Remember this."]
        added = [frame["item"]["id"] for frame in client.frames if frame["type"] == "conversation.item.added"]
        assert added == [item["id"]]


async def test_cancel(simulate: Any, write: Any) -> None:
    async with simulate(pace=2) as (_, client):
        await client.send("response.cancel", event_id="early")
        error = (await client.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "early")
        await write(client, LONG)
        await client.until("response.output_audio.delta")
        await client.send("response.cancel", response_id="resp_other")
        assert (await client.until("error"))["error"]["code"] == "response_cancel_not_active"
        await client.send("response.cancel")
        done = (await client.until("response.done"))["response"]
        assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        await client.send("response.create")
        await client.until("response.created")


async def test_cancel_before_anything_was_said(simulate: Any, write: Any) -> None:
    async with simulate(profile="published") as (_, client):
        await write(client, "Hi")
        await client.until("response.created")
        await client.send("response.cancel")
        done = (await client.until("response.done", within_s=1))["response"]
        assert (done["status"], done["output"]) == ("cancelled", [])


async def test_several_items_in_one_response(simulate: Any, write: Any) -> None:
    replies = [["One moment.", "Still here.", {"call": "set_lights", "arguments": {"level": 1}}]]
    async with simulate(replies=replies) as (_, client):
        await write(client, "Hi")
        done = await client.until("response.done")
        assert text_of(done) == ["One moment.", "Still here."]
        assert [item["type"] for item in done["response"]["output"]] == ["message", "message", "function_call"]
        indexes = [frame["output_index"] for frame in client.frames if frame["type"] == "response.output_item.added"]
        assert indexes == [0, 1, 2]


async def test_a_tool_that_is_named_is_called(simulate: Any, update: Any, write: Any) -> None:
    async with simulate() as (_, client):
        await update(client, tools=[TOOL])
        await write(client, "Please set lights for me")
        call = await client.until("response.function_call_arguments.done")
        assert json.loads(call["arguments"]) == {"room": "kitchen", "level": 1}
        deltas = [f["delta"] for f in client.frames if f["type"] == "response.function_call_arguments.delta"]
        assert "".join(deltas) == call["arguments"]
        await client.until("response.done")
        wrong = {"type": "function_call_output", "call_id": "call_x", "output": "?"}
        await client.send("conversation.item.create", item=wrong)
        assert (await client.until("error"))["error"]["code"] == "invalid_tool_call_id"
        await client.send("conversation.item.create", item=wrong | {"call_id": call["call_id"], "output": "Bright."})
        await client.send("response.create")
        assert text_of(await client.until("response.done")) == ["The tool says: Bright."]
        await write(client, "Please set lights for me", respond=False)
        await client.send("response.create", response={"tool_choice": "none"})
        assert text_of(await client.until("response.done")) == ["You said: Please set lights for me"]


@pytest.mark.parametrize(
    ("reply", "status", "details"),
    [
        (
            {"fail": "server_error", "message": "Broken."},
            "failed",
            {"type": "failed", "error": {"type": "server_error", "code": "server_error", "message": "Broken."}},
        ),
        ({"say": "No.", "end": "content_filter"}, "incomplete", {"type": "incomplete", "reason": "content_filter"}),
    ],
)
async def test_other_endings(simulate: Any, write: Any, reply: Any, status: str, details: Any) -> None:
    async with simulate(replies=[reply]) as (_, client):
        await write(client, "Hi")
        done = (await client.until("response.done"))["response"]
        assert (done["status"], done["status_details"]) == (status, details)
        await write(client, "Hi")
        assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_a_limit_of_tokens_cuts_the_answer(simulate: Any, write: Any) -> None:
    async with simulate() as (_, client):
        await write(client, LONG, respond=False)
        await client.send("response.create", response={"max_output_tokens": 5, "output_modalities": ["text"]})
        done = await client.until("response.done")
        assert done["response"]["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
        assert len(text_of(done)[0]) == 20


async def test_words_of_its_own(simulate: Any) -> None:
    async with simulate() as (_, client):
        await client.send("response.create", response={"instructions": 'Say exactly "The line is open."'})
        assert text_of(await client.until("response.done")) == ["The line is open."]


async def test_the_voice_can_not_change_once_it_was_heard(simulate: Any, write: Any) -> None:
    async with simulate() as (_, client):
        await write(client, "Hi")
        await client.until("response.done")
        session = {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}
        await client.send("session.update", session=session)
        assert (await client.until("error"))["error"]["code"] == "cannot_update_voice"
        await client.send("response.create", response={"audio": {"output": {"voice": "cedar"}}})
        assert (await client.until("error"))["error"]["code"] == "cannot_update_voice"


async def test_the_pace_of_the_audio(simulate: Any, write: Any) -> None:
    async with simulate(pace=4, replies=["x" * 40]) as (server, client):
        await write(client, "Hi")
        await client.until("response.done")
        stamps = server.turns.turns[0].stamps
        # 2.6 s of audio; its last delta leaves when the audio before it has, at four times its pace.
        assert 0.55 < stamps["done"] - stamps["first_audio"] < 2.0


async def test_rate_limits_are_told_or_not(simulate: Any, write: Any) -> None:
    for told in (True, False):
        async with simulate(rate_limits=told) as (_, client):
            await write(client, "Hi")
            await client.until("response.done")
            await client.quiet()
            assert ("rate_limits.updated" in client.kinds()) is told


async def test_the_same_seed_draws_the_same_times(simulate: Any, write: Any) -> None:
    drawn = []
    for seed in (1, 1, 2):
        async with simulate(profile="claimed", seed=seed) as (server, client):
            await write(client, "Hi")
            await client.until("response.done")
            drawn.append(server.turns.turns[0].drawn_ms["speech_to_speech"])
            stamps = server.turns.turns[0].stamps
            assert stamps["first_audio"] - stamps["response_created"] >= drawn[-1] / 1000
    assert drawn[0] == drawn[1] != drawn[2]


async def test_a_cancel_that_comes_too_early_stops_nothing(simulate: Any, write: Any) -> None:
    async with simulate(start_ms=100) as (_, client):
        await write(client, "Hi")
        await client.send("response.cancel")
        assert (await client.until("error"))["error"]["code"] == "response_cancel_not_active"
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        await client.send("response.create", event_id="one")
        await client.send("response.create", event_id="two")
        error = (await client.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "two")


async def test_the_server_reads_on_while_its_frames_are_late(simulate: Any, write: Any) -> None:
    async with simulate(faults=("delay 300ms on response.created",), pace=1) as (server, client):
        await write(client, LONG)
        await client.send("response.cancel")
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "cancelled"
        stamps = server.turns.turns[0].stamps
        assert stamps["done"] - stamps["response_created"] < 0.2


async def test_a_session_ends_with_its_last_words_though_they_are_late(simulate: Any) -> None:
    faults = ("delay 200ms on error",)
    async with simulate(faults=faults, session_s=0.1, session_end="error") as (_, client):
        assert (await client.ended())[0] == 1001
        assert client.frames[-1]["error"]["code"] == "session_expired"


async def test_an_aside_is_cancelled_by_its_id(simulate: Any, write: Any) -> None:
    async with simulate(pace=2) as (_, client):
        await write(client, LONG)
        spoken = (await client.until("response.created"))["response"]["id"]
        await client.send("response.create", response={"conversation": "none"})
        aside = (await client.until("response.created"))["response"]["id"]
        await client.until("response.output_audio.delta", response_id=aside)
        await client.send("response.cancel", response_id=aside)
        done = (await client.until("response.done"))["response"]
        assert (done["id"], done["status"]) == (aside, "cancelled")
        await client.send("response.cancel", response_id=aside)
        assert (await client.until("error"))["error"]["code"] == "response_cancel_not_active"
        await client.send("response.cancel", response_id=[spoken])
        assert (await client.until("error"))["error"]["code"] == "invalid_type"
        await client.send("response.cancel")
        done = (await client.until("response.done"))["response"]
        assert (done["id"], done["status"]) == (spoken, "cancelled")


async def test_what_was_made_is_billed_though_it_was_cut_off(simulate: Any, write: Any) -> None:
    async with simulate(pace=4) as (_, client):
        await write(client, LONG)
        item = (await client.until("response.output_item.added"))["item"]
        for _ in range(5):
            await client.until("response.output_audio.delta")
        await client.send("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=100)
        await client.until("conversation.item.truncated")
        for _ in range(3):
            await client.until("response.output_audio.delta")
        await client.send("response.cancel")
        cut = (await client.until("response.done"))["response"]
        assert cut["output"][0]["content"][0]["transcript"] is None
        deltas = [f["delta"] for f in client.frames if f["type"] == "response.output_audio.delta"]
        said = "".join(f["delta"] for f in client.frames if f["type"] == "response.output_audio_transcript.delta")
        made = cut["usage"]["output_token_details"]
        assert made["audio_tokens"] == len(deltas) * 2  # 100 ms each, a token for 50 ms
        assert made["text_tokens"] == -(-len(said) // 4)
        await client.send("response.create", response={"output_modalities": ["text"]})
        heard = (await client.until("response.done"))["response"]["usage"]["input_token_details"]
        assert heard["audio_tokens"] == 2  # of the 100 ms that are left


@pytest.mark.parametrize(
    ("choice", "said", "called"),
    [
        ("auto", "Good day", None),
        ("auto", "Please set lights", "set_lights"),
        ("none", "Please set lights", None),
        ("required", "Good day", "set_lights"),
        ("required", "Tell me, what is the time?", "what_is_the_time"),
        ({"type": "function", "name": "what_is_the_time"}, "Please set lights", "what_is_the_time"),
    ],
)
async def test_which_tool_is_called(
    simulate: Any, update: Any, write: Any, choice: Any, said: str, called: str | None
) -> None:
    other = {"type": "function", "name": "what_is_the_time", "parameters": {"type": "object", "required": 5}}
    async with simulate() as (_, client):
        await update(client, tools=[TOOL, other], tool_choice=choice)
        await write(client, said)
        [item] = (await client.until("response.done"))["response"]["output"]
        assert item.get("name") == called
        await client.send("response.create", response={"tool_choice": choice, "instructions": "Be kind."})
        [item] = (await client.until("response.done"))["response"]["output"]
        assert item.get("name") == (None if choice in ("auto", "none") else called)


@pytest.mark.parametrize("properties", [["x"], {"x": 7}, {"x": {"enum": {"a": 1}}}, None])
async def test_tools_whose_schema_makes_no_sense_are_called_all_the_same(
    simulate: Any, update: Any, write: Any, properties: Any
) -> None:
    schema = {"type": "object", "properties": properties, "required": ["x"]}
    async with simulate() as (_, client):
        await update(client, tools=[TOOL | {"parameters": schema}])
        await write(client, "Please set lights")
        done = (await client.until("response.done"))["response"]
        assert (done["status"], done["output"][0]["type"]) == ("completed", "function_call")
