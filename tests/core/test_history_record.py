"""What a history tells a store, and that the conversation can be had back from it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebridge.contract.errors import ConfigError
from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem
from voicebridge.contract.lines import dump
from voicebridge.core.history import History
from voicebridge.core.history_record import Record, load_record

CALL = ToolCallItem(call_id="a", name="add", arguments="{}")
RESULT = ToolResultItem(call_id="a", output="3", is_error=True)


def user(text: str) -> MessageItem:
    return MessageItem(role="user", text=text)


def agent(text: str, *, interrupted: bool = False) -> MessageItem:
    return MessageItem(role="assistant", text=text, interrupted=interrupted)


# Records as lines

words = st.text(max_size=8)
items: st.SearchStrategy[Item] = st.one_of(
    st.builds(
        MessageItem,
        role=st.sampled_from(["user", "assistant", "system"]),
        text=words,
        images=st.lists(words, max_size=2).map(tuple),
        interrupted=st.booleans(),
    ),
    st.builds(ToolCallItem, call_id=words, name=words, arguments=words),
    st.builds(ToolResultItem, call_id=words, output=words, is_error=st.booleans()),
)


@given(
    st.builds(
        Record,
        place=st.integers(0, 2**62),
        key=st.none() | words,
        item=st.none() | items,
        said=words,
        heard_ms=st.none() | st.floats(0, 1e9),
    )
)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    line = dump(record)
    assert "\n" not in line
    assert load_record(line) == record


def test_half_a_character_is_written_as_a_question_mark() -> None:
    record = load_record(dump(Record(place=0, item=user("a\ud800b"))))
    assert record.item == user("a?b")


def test_what_a_later_version_adds_is_passed_over() -> None:
    line = json.loads(dump(Record(place=3, key="t1", item=CALL)))
    line["mood"] = "good"
    line["item"]["mood"] = "good"
    assert load_record(json.dumps(line)) == Record(place=3, key="t1", item=CALL)


@pytest.mark.parametrize(
    "line", ["", "[]", "{", '{"place": 1}', '{"place": "x", "item": null}', '{"place":1,"item":{}}']
)
def test_what_is_no_record(line: str) -> None:
    with pytest.raises(ConfigError, match="no entry of a history"):
        load_record(line)


# What changed


def test_what_changed_is_told_once() -> None:
    history = History()
    assert history.changed() == []
    history.append(user("one"))
    history.open_turn("t1")
    history.open_response("r1")
    assert history.changed() == [
        Record(place=0, item=user("one")),
        Record(place=1, key="t1", item=user("")),
        Record(place=2, key="r1", item=agent("")),
    ]
    assert history.changed() == []
    history.say("r1", "Hi")
    history.write_down("t1", "Hello")
    history.say("r1", " there.")
    assert history.changed() == [
        Record(place=1, key="t1", item=user("Hello")),
        Record(place=2, key="r1", item=agent("Hi there."), said="Hi there."),
    ]


def test_what_was_heard_is_told_beside_what_was_said() -> None:
    history = History()
    history.open_response("r1")
    history.say("r1", "One. Two.")
    history.changed()
    history.hear("r1", "One.", 300)
    cut = agent("One.", interrupted=True)
    assert history.changed() == [Record(place=0, key="r1", item=cut, said="One. Two.", heard_ms=300)]
    history.say("r1", " Three.")
    assert history.changed() == [Record(place=0, key="r1", item=cut, said="One. Two. Three.", heard_ms=300)]
    history.hear_all("r1")
    all_of_it = "One. Two. Three."
    assert history.changed() == [Record(place=0, key="r1", item=agent(all_of_it), said=all_of_it)]


def test_what_was_withdrawn_is_told_and_its_place_is_not_given_again() -> None:
    history = History()
    history.place("c1", user("one"))
    history.changed()
    history.withdraw("c1")
    history.withdraw("nobody")
    history.place("c1", user("two"))
    assert history.changed() == [Record(place=0, key="c1", item=None), Record(place=1, key="c1", item=user("two"))]
    history.withdraw("c1")
    assert history.changed() == [Record(place=1, key="c1", item=None)]


def test_a_conversation_goes_on_behind_what_a_store_has() -> None:
    known = [Record(place=4, key="r1", item=agent("Hi"), said="Hi"), Record(place=2, key="t1", item=user("Hello"))]
    history = History([user("new"), *known])
    assert history.items() == (user("Hello"), agent("Hi"), user("new"))
    assert history.changed() == [Record(place=5, item=user("new"))], "the store has the others"
    history.write_down("t1", "other")
    history.say("r1", "other")
    history.hear("r1", "")
    history.withdraw("t1")
    assert history.items() == (user("Hello"), agent("Hi"), user("new")), "these are ids of another process"
    history.open_turn("t1")
    history.write_down("t1", "mine")
    assert history.changed() == [Record(place=6, key="t1", item=user("mine"))]


def test_a_withdrawn_record_is_none_of_the_conversation_but_its_place_is_taken() -> None:
    history = History([Record(place=7, key="c1", item=None)])
    history.append(user("one"))
    assert history.changed() == [Record(place=8, item=user("one"))]
    assert history.items() == (user("one"),)


# Any history, in any batches

keys = st.sampled_from(["a", "b", "c"])
operations = st.one_of(
    st.tuples(st.just("append"), items),
    st.tuples(st.just("place"), keys, items),
    st.tuples(st.just("open_turn"), keys),
    st.tuples(st.just("write_down"), keys, words),
    st.tuples(st.just("withdraw"), keys),
    st.tuples(st.just("open_response"), keys),
    st.tuples(st.just("say"), keys, words),
    st.tuples(st.just("hear"), keys, words, st.none() | st.floats(0, 100)),
    st.tuples(st.just("hear_all"), keys),
    st.tuples(st.just("batch")),
    st.tuples(st.just("restart")),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(operations, max_size=40))
def test_a_store_that_has_every_batch_has_the_conversation(operations: list[tuple[object, ...]]) -> None:
    history = History()
    store: dict[int, str] = {}

    def batch() -> None:
        for record in history.changed():
            if record.item is None:
                store.pop(record.place, None)
            else:
                store[record.place] = dump(record)

    for name, *arguments in operations:
        if name in ("batch", "restart"):
            batch()
            records = [load_record(line) for line in store.values()]
            assert History(records).items() == history.items()
            if name == "restart":
                history = History(records)
        else:
            getattr(history, str(name))(*arguments)
    batch()
    resumed = History(load_record(line) for line in store.values())
    assert resumed.items() == history.items()
    assert resumed.open_calls() == history.open_calls()
    assert resumed.changed() == []
