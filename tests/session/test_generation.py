"""Names of calls over several connections and processes."""

from __future__ import annotations

import pytest

from voicebridge.contract.commands import SendToolResult
from voicebridge.contract.events import Event, ToolCall, ToolCallCancelled
from voicebridge.session.generation import Generation


def name_of(event: Event) -> str:
    assert isinstance(event, ToolCall | ToolCallCancelled)
    return event.call_id


def told(names: Generation, call_id: str) -> str:
    return name_of(names.told(ToolCall(response_id="r1", call_id=call_id, name="add", arguments="{}")))


def addressed(names: Generation, call_id: str) -> str:
    command = names.addressed(SendToolResult(call_id=call_id, output="3"))
    assert isinstance(command, SendToolResult)
    return command.call_id


@pytest.mark.parametrize(("number", "earlier", "name"), [(1, "call-1", "call-1@2"), (2, "g2.call-1", "g2.call-1@2")])
def test_a_call_that_is_named_as_an_earlier_one_gets_another_name(number: int, earlier: str, name: str) -> None:
    names = Generation(number, 0.0, {earlier, "call-2"})
    assert told(names, "call-1") == name
    assert addressed(names, name) == "call-1", "the backend knows it by its own"
    assert name_of(names.told(ToolCallCancelled(call_id="call-1"))) == name
    assert addressed(names, "call-2") == "call-2", "what was said before may have an open call"
    assert told(Generation(number, 0.0, {earlier, name}), "call-1") == earlier + "@3"


@pytest.mark.parametrize(("number", "name"), [(1, "call-1"), (2, "g2.call-1")])
def test_a_call_of_a_new_name_keeps_it(number: int, name: str) -> None:
    names = Generation(number, 0.0, {"call-9", "g2.call-9"})
    assert told(names, "call-1") == name
    assert addressed(names, name) == "call-1"
    assert name_of(names.told(ToolCallCancelled(call_id="call-1"))) == name
    assert name_of(Generation(1, 0.0, {"call-9"}).told(ToolCallCancelled(call_id="call-9"))) == "call-9"


@pytest.mark.parametrize(("number", "name", "is_its"), [(1, "gen-7", True), (1, "g2.r1", False), (1, "g", True)])
def test_which_responses_are_a_connections_own(number: int, name: str, is_its: bool) -> None:
    assert Generation(number, 0.0).has(name) is is_its


def test_a_later_connections_responses_are_its_own() -> None:
    names = Generation(2, 0.0)
    assert names.has("g2.gen-7")
    assert not names.has("gen-7")
    assert not names.has("g3.gen-7")
