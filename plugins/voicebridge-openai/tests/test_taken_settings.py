"""Several changes of the settings under way at once, and which of them hold."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.commands import Configure, ProviderCommand, Respond, SendAudio
from voicebridge.contract.events import UserTurn
from voicebridge_openai.session_settings import Settings


def updates(wire: Any) -> list[dict[str, Any]]:
    return [frame["session"] for frame in wire.frames("session.update")]


def test_a_refusal_takes_no_other_change_with_it(vendor: Any) -> None:
    bad, good = Configure(patch={"voice": "nope"}), Configure(patch={"instructions": "B"})
    wire = vendor(instructions="A").hears(bad).hears(good)
    wire.refuses(wire.sent[0], "invalid_value").says("session.updated", session={})
    assert (wire.fate(bad), wire.fate(good)) == ("invalid_value", None)
    wire.hears(Configure(patch={"instructions": "A"}))
    assert updates(wire)[2:] == [{"type": "realtime", "instructions": "A"}]
    wire.hears(Configure(patch={"voice": "nope"}))
    assert updates(wire)[3:] == [{"type": "realtime", "audio": {"output": {"voice": "nope"}}}]
    wire.hears(Respond(instructions="short"))
    assert wire.sent[-1]["response"]["instructions"] == "A\nshort"


def test_the_same_field_twice_and_the_second_refused(vendor: Any) -> None:
    good, bad = Configure(patch={"instructions": "B"}), Configure(patch={"instructions": "C"})
    wire = vendor(instructions="A").hears(good).hears(bad).says("session.updated", session={})
    wire.refuses(wire.sent[1], "invalid_value")
    assert (wire.fate(good), wire.fate(bad)) == (None, "invalid_value")
    wire.hears(same := Configure(patch={"instructions": "B"})).hears(Respond(instructions="short"))
    assert wire.fate(same) is None
    assert wire.sent[-1]["response"]["instructions"] == "B\nshort"


def test_what_follows_from_a_refused_change_is_undone_with_it(vendor: Any) -> None:
    """The client's audio begins a turn in push-to-talk alone."""
    wire = vendor().hears(Configure(patch={"turns": {"mode": "manual"}})).hears(Configure(patch={"speed": 1.2}))
    wire.refuses(wire.sent[0], "invalid_value").hears(SendAudio(pcm=bytes(960)))
    assert not wire.all(UserTurn)
    wire.hears(Configure(patch={"turns": {"mode": "manual"}})).hears(SendAudio(pcm=bytes(960)))
    assert wire.all(UserTurn)
    assert updates(wire)[2:] == [{"type": "realtime", "audio": {"input": {"turn_detection": None}}}]


def test_what_was_cleared_is_not_cleared_again(vendor: Any) -> None:
    wire = vendor(instructions="A").hears(Configure(patch={"instructions": None})).says("session.updated", session={})
    wire.hears(again := Configure(patch={"instructions": None}))
    assert wire.fate(again) is None
    assert len(updates(wire)) == 1


def test_instructions_in_the_vendors_own_words_are_those_of_the_session(vendor: Any) -> None:
    payload = {"type": "session.update", "session": {"type": "realtime", "instructions": "Z"}}
    wire = vendor(instructions="A").hears(command := ProviderCommand(payload=payload))
    wire.says("session.updated", session={}).hears(Respond(instructions="short"))
    assert wire.fate(command) is None
    assert wire.sent[-1]["response"]["instructions"] == "Z\nshort"


def test_a_change_is_written_once_for_its_check_and_its_sending(vendor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wire, written, body = vendor(), [], Settings.body

    def counted(settings: Settings) -> dict[str, Any]:
        written.append(settings)
        return body(settings)

    monkeypatch.setattr(Settings, "body", counted)
    wire.hears(Configure(patch={"speed": 1.2}))
    assert len(written) == 1
