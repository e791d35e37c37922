"""Every command and event, found by reflection: its shape, and the way to a line of JSON and back."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from voicebridge.contract import account, capabilities, commands, events, items
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import Command, EndTurn, ProviderCommand, SendAudio, SendText
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import Event, OutputText, ProviderEvent, UsageReported
from voicebridge.contract.lines import dump, load
from voicebridge.contract.message import Message


def _subclasses(cls: type) -> list[type]:
    return [one for sub in cls.__subclasses__() for one in (sub, *_subclasses(sub))]


# A class with slots has a twin without, which lives until the garbage is collected. The contract suite has a command of
# its own, which no backend may know.
MESSAGES = [
    cls
    for cls in _subclasses(Message)
    if getattr(sys.modules[cls.__module__], cls.__name__) is cls and "testing" not in cls.__module__
]
SENT = [cls for cls in MESSAGES if issubclass(cls, Command | Event) and cls not in (Command, Event)]
FORMATS = st.builds(
    AudioFormat,
    encoding=st.sampled_from(["pcm16", "ulaw", "alaw"]),
    rate=st.integers(4_000, 192_000),
    channels=st.sampled_from([1, 2]),
)
PAYLOADS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type. A type that this does not know fails the test: teach it here."""
    plain = {
        str: st.text(),
        bytes: st.binary(max_size=100),
        bool: st.booleans(),
        int: st.integers(),
        float: st.floats(allow_nan=False),
        type(None): st.none(),
        Any: PAYLOADS,
        AudioFormat: FORMATS,
    }
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return st.sampled_from(inner)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(_values, inner))
    if origin is tuple:
        assert inner[1] is ..., "the contract has only tuples of one kind"
        return st.lists(_values(inner[0]), max_size=3).map(tuple)
    if origin is frozenset:
        return st.frozensets(_values(inner[0]))
    if origin is Mapping:
        return st.dictionaries(_values(inner[0]), _values(inner[1]), max_size=3)
    return plain[kind] if kind in plain else _made(kind)


def _made(cls: Any) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{field.name: _values(hints[field.name]) for field in dataclasses.fields(cls)})


def test_reflection_finds_the_modules_words() -> None:
    named = {name for module in (commands, events) for name in module.__all__ if name[0].isupper()}
    assert {cls.__name__ for cls in SENT} == named - {"Command", "Event", "Limit"}
    assert len(SENT) == 10 + 17


def test_every_message_lives_where_it_is_looked_for() -> None:
    homes = {cls.__module__ for cls in MESSAGES} - {"voicebridge.core.history_record"}  # stores have their own reader
    assert homes == {module.__name__ for module in (account, capabilities, commands, events, items)}


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: cls.__name__)
def test_messages_are_frozen_slotted_and_keyword_only(cls: Any) -> None:
    assert cls.__dataclass_params__.frozen
    assert "__slots__" in vars(cls)
    assert not hasattr(object.__new__(cls), "__dict__"), "something above it has no slots"
    assert all(field.kw_only for field in dataclasses.fields(cls))
    assert "type" not in {field.name for field in dataclasses.fields(cls)}, "that word is taken on a line of JSON"


def test_a_message_can_not_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EndTurn().respond = False
    with pytest.raises(TypeError):
        SendAudio(b"")


@pytest.mark.parametrize("cls", SENT, ids=lambda cls: cls.__name__)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_round_trip(cls: Any, data: st.DataObject) -> None:
    message = data.draw(_made(cls))
    line = dump(message)
    assert "\n" not in line
    assert json.loads(line)["type"] == cls.type_name()
    again = load(line)
    assert again == message
    assert type(again) is cls
    assert load(line.encode()) == message


def test_type_names() -> None:
    names = {cls.type_name(): cls for cls in SENT}
    assert len(names) == len(SENT)
    assert names["send_audio"] is SendAudio
    assert names["send_tool_result"] is commands.SendToolResult
    assert names["user_turn"] is events.UserTurn


@pytest.mark.parametrize("pcm", [b"", b"\x00", bytes(range(256)), b"\xff\xfb" * 2_000_000])
def test_bytes_of_any_size(pcm: bytes) -> None:
    assert load(dump(SendAudio(pcm=pcm))).pcm == pcm


def test_both_alphabets_of_base64_are_read() -> None:
    assert json.loads(dump(SendAudio(pcm=b"\xff\xfb\xff\xfb")))["pcm"] == "__v_-w=="
    assert load('{"type": "send_audio", "pcm": "//v/+w=="}').pcm == b"\xff\xfb\xff\xfb"


def test_values_that_json_has_not() -> None:
    told = UsageReported(units={"a": float("inf"), "b": float("nan")}, model="m", basis="exact", at=float("-inf"))
    again = load(dump(told))
    assert again.units["a"] == float("inf")
    assert again.units["b"] != again.units["b"]
    assert again.at == float("-inf")
    strict = json.loads(dump(told), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert strict["units"]["a"] == "Infinity"


@example(text="\ud83d")
@example(text='half \ud83d and "half" \ude00\n')
@given(text=st.text(st.characters(codec=None)))
def test_half_a_character_stops_nobody_from_writing(text: str) -> None:
    again = load(dump(OutputText(response_id="r", delta=text)))
    assert again.delta == text.encode("utf-8", "replace").decode()
    payload = load(dump(ProviderEvent(kind="frame", payload={"pieces": [text]}))).payload
    assert payload == {"pieces": [text.encode("utf-8", "replace").decode()]}


def test_a_payload_that_is_no_json() -> None:
    ring: list[Any] = []
    ring.append(ring)
    for value in (object(), b"\xff", ring):
        with pytest.raises(ConfigError, match=r"This ProviderCommand can't be written as JSON") as caught:
            dump(ProviderCommand(payload={"value": value}))
        assert caught.value.fault.code == "bad_message"


def test_the_default_of_a_field_need_not_be_written() -> None:
    assert load('{"type": "send_text", "text": "hi", "id": "c9"}') == SendText(text="hi", id="c9")
    again = load('{"type": "end_turn", "id": "c9", "of_a_later_version": 1}')
    assert again == EndTurn(id="c9")


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        "null",
        "[]",
        "{}",
        '"send_audio"',
        "5",
        "{",
        b"\xff\xfe\x00",
        b"",
        '{"type": null}',
        '{"type": []}',
        '{"type": "no_such_thing"}',
        '{"type": "SendText", "text": "hi"}',
        '{"type": "command", "id": "c1"}',
        '{"type": "event"}',
        '{"type": "limit", "name": "requests"}',
        '{"type": "send_text"}',
        '{"type": "send_text", "text": null}',
        '{"type": "send_text", "text": "hi", "role": "robot"}',
        '{"type": "send_text", "text": "\\ud83d"}',
        '{"type": "send_audio", "pcm": "@"}',
        '{"type": "send_audio", "pcm": [1, 2]}',
        '{"type": "report_played", "response_id": "r", "ms": "soon"}',
        '{"type": "session_ready", "session_id": "s", "model": "m", "capabilities": {}, "input_format": {"rate": 1},'
        ' "output_format": {}}',
        '{"type": "backend_error", "fault": {"category": "odd", "message": ""}}',
        DEEP,
        '{"type": "provider_command", "payload": {"a": ' + DEEP,
    ],
    ids=lambda line: repr(line[:60]),
)
def test_garbage(line: str | bytes) -> None:
    with pytest.raises(ConfigError, match="This line is no voicebridge command or event") as caught:
        load(line)
    assert caught.value.fault.code == "bad_message"
    assert caught.value.fault.category == "config"


@settings(max_examples=100)
@given(st.text() | st.binary() | PAYLOADS.map(json.dumps))
def test_random_garbage(line: str | bytes) -> None:
    with pytest.raises(ConfigError):
        load(line)


def test_the_message_names_the_field() -> None:
    with pytest.raises(ConfigError, match=r"event: ms: Input should be a valid number"):
        load('{"type": "report_played", "response_id": "r", "ms": "soon"}')
