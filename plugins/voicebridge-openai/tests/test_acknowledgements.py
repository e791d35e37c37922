"""Which of our frames an answer of the vendor is about."""

from __future__ import annotations

from typing import Any

from voicebridge.contract.commands import Interrupt, ProviderCommand, Respond, SendText
from voicebridge.contract.events import BackendError, OutputHeard
from voicebridge.contract.items import MessageItem


def note(text: str) -> SendText:
    return SendText(text=text, respond=False)


def test_an_item_is_known_by_the_name_that_we_gave_it(stranger: Any) -> None:
    wire = stranger(history=[MessageItem(role="user", text="before")]).ready()
    lost, kept = note("a"), note("b")
    wire.hears(lost).refuses(None, "invalid_value").hears(kept)
    assert len({frame["item"]["id"] for frame in (*wire.opening[1:], *wire.sent)}) == 3
    assert all(len(frame["item"]["id"]) <= 32 for frame in (*wire.opening[1:], *wire.sent))
    wire.adds(wire.sent[1], wire.sent[1]["item"]["id"])
    assert (wire.fate(lost), wire.fate(kept)) == ("open", None)


def test_an_item_of_the_vendors_own_words_settles_no_other(vendor: Any) -> None:
    command = note("hi")
    item = {"type": "message", "role": "user", "content": []}
    wire = vendor().hears(ProviderCommand(payload={"type": "conversation.item.create", "item": item})).hears(command)
    assert wire.sent[0]["item"] == item
    wire.adds(wire.sent[0], "i1")
    assert wire.fate(command) == "open"
    wire.adds(wire.sent[1], "i2")
    assert wire.fate(command) is None


def test_the_opening_is_not_forgotten_for_what_follows_in_it(stranger: Any) -> None:
    wire = stranger(history=[MessageItem(role="user", text=str(n)) for n in range(1500)])
    wire.refuses(wire.opening[0], "invalid_value", "no such voice")
    assert wire.last(BackendError).fatal


def test_each_interruption_waits_for_its_own_cut(vendor: Any) -> None:
    wire = vendor().creates().speaks(1000).finishes()
    commands = [Interrupt(heard={"r1": ms}) for ms in (500, 200, 0)]
    for command in commands:
        wire.hears(command)
    wire.says("conversation.item.truncated", item_id="a1", audio_end_ms=500)
    assert [wire.fate(command) for command in commands] == [None, "open", "open"]
    wire.says("conversation.item.truncated", item_id="a1", audio_end_ms=200)
    assert [wire.fate(command) for command in commands] == [None, None, "open"]
    wire.says("conversation.item.deleted", item_id="a1")
    assert [wire.fate(command) for command in commands] == [None, None, None]
    assert [heard.heard_ms for heard in wire.all(OutputHeard)] == [500, 200, 0]


def test_an_item_is_deleted_once(vendor: Any) -> None:
    wire = vendor().hears(Respond())
    wire.creates(answers=wire.sent[0]).speaks(500).hears(Interrupt(heard={"r1": 100})).speaks(500, item_id="a2")
    wire.finishes(status="cancelled")
    assert [frame["item_id"] for frame in wire.frames("conversation.item.delete")] == ["a2"]
    wire.hears(Interrupt(heard={"r1": 0}))
    assert [frame["item_id"] for frame in wire.frames("conversation.item.delete")] == ["a2", "a1"]


def test_an_item_that_is_gone_already_is_as_well_as_deleted(vendor: Any) -> None:
    for code, words in (("item_delete_invalid_item_id", "no"), ("x", "The item with id 'a1' does not exist.")):
        command = Interrupt(heard={"r1": 0})
        wire = vendor().creates().speaks(500).finishes().hears(command)
        wire.refuses(wire.sent[0], code, words)
        assert wire.fate(command) is None
        assert wire.last(OutputHeard).heard_ms == 0
        assert not wire.all(BackendError)


def test_a_deletion_that_is_refused_for_another_reason_is_a_fault(vendor: Any) -> None:
    command = Interrupt(heard={"r1": 0})
    wire = vendor().creates().speaks(500).finishes().hears(command)
    wire.refuses(wire.sent[0], "server_error")
    assert wire.fate(command) == "server_error"


def test_an_item_that_was_deleted_in_the_vendors_own_words_is_not_deleted_again(vendor: Any) -> None:
    wire = vendor().creates().speaks(500).finishes().says("conversation.item.deleted", item_id="a1")
    wire.hears(Interrupt(heard={"r1": 100}))
    assert not wire.sent
