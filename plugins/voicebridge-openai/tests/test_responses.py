"""Asking for responses: who is answered by what, one at a time, and nobody forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.commands import EndTurn, Interrupt, Respond, SendAudio, SendText, SendToolResult
from voicebridge.contract.errors import BadOption, Unsupported
from voicebridge.contract.events import (
    BackendError,
    OutputAudio,
    OutputText,
    ProviderEvent,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    UsageReported,
)
from voicebridge.contract.items import MessageItem, ToolCallItem
from voicebridge_openai.vendor_errors import NoEvent


def test_a_text_turn_settles_when_its_response_starts(vendor: Any) -> None:
    command = SendText(text="hi")
    wire = vendor().hears(command)
    item, create = wire.sent
    assert item["item"]["content"] == [{"type": "input_text", "text": "hi"}]
    assert create["type"] == "response.create"
    wire.adds(item, "u1")
    assert wire.fate(command) == "open"
    wire.creates(answers=create)
    assert wire.fate(command) is None
    assert wire.last(ResponseStarted).answers == (command.id,)
    wire.speaks(100, "Hello").finishes(usage={"input_tokens": 5, "output_tokens": 7, "total_tokens": 12})
    assert wire.kinds()[-4:] == ["OutputText", "OutputAudio", "UsageReported", "ResponseEnded"]
    assert wire.last(UsageReported).units == {"other_in": 5, "other_out": 7}


def test_a_note_settles_when_it_is_there_and_asks_for_nothing(vendor: Any) -> None:
    command = SendText(text="by the way", role="system", respond=False)
    wire = vendor().hears(command)
    (item,) = wire.sent
    wire.adds(item, "u1")
    assert wire.fate(command) is None
    wire.says("conversation.item.created", item=item["item"] | {"id": "u1"})
    assert wire.kinds() == ["CommandSettled"]


def test_items_are_acknowledged_in_order_and_by_kind(vendor: Any) -> None:
    first, second = SendText(text="a", respond=False), SendText(text="b", role="system", respond=False)
    wire = vendor().hears(first).hears(second)
    one, two = wire.sent
    wire.adds(two, "u2")
    assert (wire.fate(first), wire.fate(second)) == ("open", None)
    wire.says(
        "conversation.item.added",
        item={"id": "x", "type": "message", "role": "user", "content": [{"type": "input_audio"}]},
    )
    assert wire.fate(first) == "open"
    wire.adds(one, "u1")
    assert wire.fate(first) is None


def test_requests_are_held_while_a_response_runs_and_merged(vendor: Any) -> None:
    wire = vendor().hears(SendText(text="hi"))
    wire.creates(answers=wire.frames("response.create")[0])
    one, two = SendText(text="and"), Respond(instructions="Be brief.")
    wire.sent.clear()
    wire.hears(one).hears(two)
    assert not wire.frames("response.create")
    wire.finishes()
    (create,) = wire.frames("response.create")
    assert create["response"]["instructions"] == "Be brief."
    wire.creates("r2", answers=create)
    assert wire.last(ResponseStarted).answers == (one.id, two.id)
    assert (wire.fate(one), wire.fate(two)) == (None, None)


def test_instructions_are_added_to_those_of_the_session(vendor: Any) -> None:
    wire = vendor(instructions="Be kind.").hears(Respond(instructions="Be brief."))
    assert wire.sent[0]["response"]["instructions"] == "Be kind.\nBe brief."


def test_a_response_that_the_vendor_started_first_is_not_ours(vendor: Any) -> None:
    """It answers the user's turn; ours is refused, put back, and asked for again."""
    command = Respond()
    wire = vendor()
    wire.says("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
    wire.says("input_audio_buffer.speech_stopped", item_id="u1", audio_end_ms=0)
    wire.hears(command)
    (create,) = wire.sent
    wire.says("input_audio_buffer.committed", item_id="u1").creates("r1")
    assert (wire.last(ResponseStarted).cause, wire.last(ResponseStarted).answers) == ("user", ("t1",))
    wire.refuses(create, "conversation_already_has_active_response")
    assert wire.fate(command) == "open"
    wire.finishes("r1")
    again = wire.sent[-1]
    assert again["type"] == "response.create"
    wire.creates("r2", answers=again)
    assert wire.fate(command) is None
    assert not wire.all(BackendError)


def test_a_refusal_that_comes_after_the_end_asks_again_at_once(vendor: Any) -> None:
    command = Respond()
    wire = vendor().hears(command)
    wire.says("response.created", response={"id": "r0", "metadata": {"voicebridge_request": "another"}}).finishes("r0")
    wire.refuses(wire.sent[0], "conversation_already_has_active_response")
    assert len(wire.frames("response.create")) == 2
    for _ in range(9):
        wire.refuses(wire.sent[-1], "conversation_already_has_active_response")
    assert wire.fate(command) == "conversation_already_has_active_response"
    assert len(wire.frames("response.create")) < 9


def test_what_the_vendor_answers_anyway_is_not_asked_for_again(vendor: Any) -> None:
    """A text written while the user speaks waits for the turn, and is answered with it."""
    command = SendText(text="see above")
    wire = vendor()
    wire.says("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0).hears(command)
    (item,) = wire.sent
    wire.adds(item, "u2")
    wire.says("input_audio_buffer.speech_stopped", item_id="u1", audio_end_ms=0)
    wire.says("input_audio_buffer.committed", item_id="u1").creates("r1")
    assert set(wire.last(ResponseStarted).answers) == {"t1", command.id}
    assert wire.fate(command) is None
    wire.finishes("r1")
    assert len(wire.sent) == 1


def test_a_refused_request_settles_its_commands_and_lets_the_next_start(vendor: Any) -> None:
    bad, good = Respond(options={"max_output_tokens": -1}), Respond()
    wire = vendor().hears(bad).hears(good)
    (create,) = wire.sent
    wire.refuses(create, "invalid_value")
    assert wire.fate(bad) == "invalid_value"
    wire.creates(answers=wire.sent[1])
    assert wire.fate(good) is None


def test_a_refused_item_withdraws_the_response_that_only_it_asked_for(vendor: Any) -> None:
    command = SendText(text="hi")
    wire = vendor().hears(command)
    item, create = wire.sent
    wire.refuses(item, "invalid_value")
    assert wire.fate(command) == "invalid_value"
    wire.creates(answers=create).speaks(100)
    assert wire.sent[-1] | {"event_id": ""} == {"type": "response.cancel", "response_id": "r1", "event_id": ""}
    assert not wire.all(ResponseStarted)
    assert not wire.all(OutputAudio)


def test_what_has_failed_is_not_remembered_for_ever(vendor: Any) -> None:
    wire = vendor()
    for _ in range(1100):
        wire.sent.clear()
        wire.hears(SendText(text="x", respond=False))
        wire.refuses(wire.sent[0], "invalid_value")
    assert len(wire.codec._on.requests._refused) == 1000


def test_an_aside_never_enters_the_conversation(vendor: Any) -> None:
    wire = vendor().hears(Respond(aside=True, modality="text", options={"metadata": {"topic": "x"}, "input": []}))
    body = wire.sent[0]["response"]
    assert body["conversation"] == "none"
    assert body["output_modalities"] == ["text"]
    assert body["metadata"]["topic"] == "x"
    assert body["input"] == []
    wire.creates(answers=wire.sent[0])
    assert wire.last(ResponseStarted).aside
    wire.says("response.output_text.delta", response_id="r1", item_id="a1", delta="ok")
    assert wire.last(OutputText).kind == "text"


def test_options_of_one_response_are_written_as_those_of_the_session(vendor: Any) -> None:
    mcp = {"type": "mcp", "server_label": "x"}
    pairs = {str(n): "x" for n in range(15)}
    wire = vendor().hears(Respond(options={"tool_choice": "look", "metadata": pairs}))
    assert wire.sent[0]["response"]["tool_choice"] == {"type": "function", "name": "look"}
    assert len(wire.sent[0]["response"]["metadata"]) == 16
    for given in ("none", mcp):
        wire = vendor().hears(Respond(options={"tool_choice": given}))
        assert wire.sent[0]["response"]["tool_choice"] == given


def test_a_response_without_output_shows_that_it_goes_on(vendor: Any) -> None:
    """Tools of the vendor's, reasoning, calls being written: with the response that they are of, which not all name."""
    wire = vendor().creates()
    wire.says("response.output_item.added", response_id="r1", item={"id": "m1", "type": "mcp_call", "name": "find"})
    wire.says("response.mcp_call_arguments.delta", response_id="r1", item_id="m1", delta="{")
    wire.says("response.mcp_call.in_progress", item_id="m1", output_index=0)
    wire.says("response.output_item.done", response_id="r1", item={"id": "m1", "type": "mcp_call", "name": "find"})
    wire.says(
        "response.output_item.added", response_id="r1", item={"id": "f1", "type": "function_call", "name": "look"}
    )
    wire.says("response.function_call_arguments.delta", response_id="r1", item_id="f1", delta="{")
    told = wire.all(ProviderEvent)
    assert [event.kind for event in told] == [
        "response.output_item.added",
        "response.mcp_call_arguments.delta",
        "response.mcp_call.in_progress",
        "response.output_item.done",
        "response.function_call_arguments.delta",
    ]
    assert {event.payload["response_id"] for event in told} == {"r1"}
    assert len(wire.told) == 6  # and the start


def test_nothing_is_told_of_the_progress_of_a_response_that_nobody_wants(vendor: Any) -> None:
    wire = vendor().hears(Respond())
    create = wire.sent[0]
    wire.hears(Interrupt()).creates(answers=create)
    wire.says("response.mcp_call_arguments.delta", response_id="r1", item_id="m1", delta="{")
    assert not wire.all(ProviderEvent)


def test_without_an_echo_first_in_is_first_out(vendor: Any) -> None:
    command = SendText(text="hi")
    wire = vendor("xai").hears(command)
    wire.says("response.created", response={"id": "r1"})
    assert wire.last(ResponseStarted).answers == (command.id,)


def test_a_tool_round(vendor: Any) -> None:
    wire = vendor().hears(SendText(text="weather?"))
    wire.creates(answers=wire.sent[1])
    call = {
        "id": "f1",
        "type": "function_call",
        "name": "look",
        "call_id": "k1",
        "arguments": "",
        "status": "in_progress",
    }
    wire.says("response.output_item.added", response_id="r1", item=call)
    wire.says("response.function_call_arguments.done", response_id="r1", item_id="f1", call_id="k1", arguments="{}")
    wire.says("response.output_item.done", response_id="r1", item=call | {"arguments": "{}", "status": "completed"})
    assert [(c.name, c.call_id, c.arguments) for c in wire.all(ToolCall)] == [("look", "k1", "{}")]
    result = SendToolResult(call_id="k1", output="sunny")
    wire.sent.clear()
    wire.hears(result)
    assert [f["type"] for f in wire.sent] == ["conversation.item.create"]
    wire.finishes(output=[call | {"arguments": "{}", "status": "completed"}])
    assert len(wire.all(ToolCall)) == 1
    assert wire.sent[-1]["type"] == "response.create"
    wire.adds(wire.sent[0], "o1")
    assert wire.fate(result) is None
    wire.creates("r2", answers=wire.sent[-1])
    assert (wire.last(ResponseStarted).cause, wire.last(ResponseStarted).answers) == ("tool", (result.id,))


def test_parallel_results_ask_once_after_the_last(vendor: Any) -> None:
    wire = vendor().hears(SendText(text="weather?"))
    wire.creates(answers=wire.sent[1])
    for n in (1, 2):
        wire.says(
            "response.function_call_arguments.done",
            response_id="r1",
            item_id=f"f{n}",
            call_id=f"k{n}",
            name="look",
            arguments="{}",
        )
    wire.finishes()
    wire.sent.clear()
    results = [SendToolResult(call_id=f"k{n}", output="x") for n in (1, 2)]
    wire.hears(results[0])
    assert not wire.frames("response.create")
    wire.hears(results[1])
    wire.creates("r2", answers=wire.frames("response.create")[0])
    assert wire.last(ResponseStarted).answers == tuple(r.id for r in results)


def test_a_result_of_no_call_is_settled_and_not_sent(vendor: Any) -> None:
    command = SendToolResult(call_id="k9", output="x")
    wire = vendor().hears(command)
    assert wire.fate(command) == "unknown_call"
    assert not wire.sent


def test_a_call_of_an_earlier_session_can_still_be_answered(stranger: Any) -> None:
    history = [MessageItem(role="user", text="hi"), ToolCallItem(call_id="k1", name="look", arguments="{}")]
    wire = stranger(history=history)
    assert [f["type"] for f in wire.opening] == ["session.update", *["conversation.item.create"] * 2]
    wire.ready().hears(SendToolResult(call_id="k1", output="x", is_error=True))
    item = wire.sent[0]["item"]
    assert (item["type"], item["call_id"], item["output"]) == ("function_call_output", "k1", "Error: x")
    assert wire.sent[1]["type"] == "response.create"


def test_audio_has_offsets_and_whole_samples(vendor: Any) -> None:
    wire = vendor().creates()
    where = {"response_id": "r1", "item_id": "a1"}
    wire.says("response.output_audio.delta", delta="AAAA", **where)  # three bytes
    wire.says("response.output_audio.delta", delta="AAAA", **where)
    with pytest.raises(NoEvent, match="r1"):
        wire.says("response.output_audio.delta", delta="!", **where)
    wire.says("response.output_audio.delta", delta="AAA=", response_id="r1", item_id="a2")
    assert [len(e.pcm) for e in wire.all(OutputAudio)] == [2, 4, 2]
    assert [e.offset_ms for e in wire.all(OutputAudio)] == [0, pytest.approx(1 / 24), pytest.approx(3 / 24)]
    assert "voice" not in wire.codec.capabilities.live_update


@pytest.mark.parametrize(
    ("status", "details", "expected"),
    [
        ("completed", None, ("completed", None, None)),
        ("cancelled", {"reason": "turn_detected"}, ("interrupted", "turn_detected", None)),
        ("incomplete", {"reason": "max_output_tokens"}, ("incomplete", "max_output_tokens", None)),
        ("failed", {"error": {"type": "x", "code": "insufficient_quota", "message": "pay"}}, ("failed", None, "quota")),
        ("melted", None, ("failed", None, "protocol")),
    ],
)
def test_how_responses_end(vendor: Any, status: str, details: Any, expected: tuple[Any, ...]) -> None:
    wire = vendor().creates().finishes(status=status, status_details=details).finishes().speaks(20)
    (ended,) = wire.all(ResponseEnded)
    assert (ended.status, ended.reason, ended.fault and ended.fault.category) == expected
    assert not wire.all(OutputAudio)


def test_what_the_wire_cannot_do_is_refused_beforehand(vendor: Any) -> None:
    wire = vendor()
    with pytest.raises(Unsupported, match="exact words"):
        wire.hears(Respond(say="hello"))
    with pytest.raises(BadOption, match="'metadata'"):
        wire.hears(Respond(options={"metadat": {}}))
    for metadata in ({"a": 1}, {str(n): "x" for n in range(16)}, 7):
        with pytest.raises(BadOption, match="metadata"):
            wire.hears(Respond(options={"metadata": metadata}))
    with pytest.raises(Unsupported, match="xai always speaks"):
        vendor("xai").hears(Respond(modality="text"))
    assert not wire.sent


def test_push_to_talk_asks_with_the_commit(vendor: Any) -> None:
    command = EndTurn()
    wire = vendor(turns={"mode": "manual"}).hears(SendAudio(pcm=bytes(9600))).hears(command)
    assert [f["type"].split(".")[-1] for f in wire.sent] == ["append", "commit", "create"]
    wire.says("input_audio_buffer.committed", item_id="u1")
    assert wire.fate(command) is None
    wire.creates(answers=wire.sent[-1])
    assert wire.last(ResponseStarted).answers == (command.id, "t1")
    assert wire.last(ResponseStarted).cause == "user"
    wire.hears(Interrupt())
