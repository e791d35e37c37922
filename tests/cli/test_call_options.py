"""The options of a whole call: what takes over, what is said first, who may interrupt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voicebridge import BadOption, Event, Fault, OutputText, ResponseEnded, ResponseStarted, UserTurn
from voicebridge.cli.dialogue import Dialogue
from voicebridge.cli.settings import InterruptionChoice, Settings
from voicebridge.core.interruption_policy import InterruptionPolicy
from voicebridge.observe.recording import LOG

from .conftest import Ended

Run = Callable[..., Ended]


def asked(run: Run, speech: Path, *more: object) -> dict[str, Any]:
    ended = run("ask", speech, "--fast", "--json", *more)
    assert ended.status == 0, ended.err
    document: dict[str, Any] = json.loads(ended.out)
    return document


def test_a_fallback_answers_where_the_backend_fails(run: Run, speech: Path) -> None:
    document = asked(run, speech, "-b", "scripted/raises", "--fallback", "scripted")
    [turn] = document["turns"]
    assert (turn["heard"], turn["answer"], turn["status"]) == ("hello there", "Hi, nice to meet you.", "completed")
    [restart] = document["restarts"]
    assert (restart["reason"], restart["lost_audio_ms"]) == ("failover", 0)
    assert document["faults"] == []


def test_people_are_told_of_it(run: Run, speech: Path) -> None:
    ended = run("ask", speech, "--fast", "-b", "scripted/raises", "--fallback", "scripted")
    assert ended.status == 0
    assert "The call went on with custom+custom+custom: failover" in ended.err


def test_an_unknown_fallback_is_said_before_anything_begins(run: Run, speech: Path) -> None:
    ended = run("ask", speech, "-b", "scripted", "--fallback", "skripted")
    assert ended.status == 2
    assert "Did you mean 'scripted'?" in ended.err


def test_each_connection_of_a_recorded_call_has_a_folder(run: Run, speech: Path, tmp_path: Path) -> None:
    folder = tmp_path / "call"
    asked(run, speech, "-b", "scripted/raises", "--fallback", "scripted", "--record", folder)
    assert (folder / LOG).exists()
    ended = run("replay", folder / "2")
    assert "Agent: Hi, nice to meet you." in ended.out


def test_a_disclosure_is_said_before_the_answer(run: Run, speech: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    arguments = ("-b", "scripted", "--disclosure", "You talk to a machine.", "--history", url, "--conversation", "a")
    document = asked(run, speech, *arguments)
    assert [turn["answer"] for turn in document["turns"]] == ["Hi, nice to meet you."]
    said = run("history", url, "a").out.splitlines()
    assert said.index("agent  You talk to a machine.") < said.index("agent  Hi, nice to meet you.")


def test_an_answer_that_was_lost_goes_on_in_the_next_one() -> None:
    dialogue = Dialogue()

    def tell(*events: Event) -> None:
        for event in events:
            dialogue.apply(event)

    fault = Fault(category="busy", message="Full.")
    tell(
        UserTurn(turn_id="t1", phase="speech", audio_ms=0),
        UserTurn(turn_id="t1", phase="committed", audio_ms=500),
        ResponseStarted(response_id="r1", cause="user", answers=("t1",)),
        OutputText(response_id="r1", delta="It is"),
        ResponseEnded(response_id="r1", status="lost"),
    )
    assert dialogue.answering
    tell(
        ResponseStarted(response_id="r2", cause="request"),
        ResponseEnded(response_id="r2", status="failed", fault=fault),
    )
    assert not dialogue.answering
    assert dialogue.faults == [fault]
    tell(
        ResponseStarted(response_id="r3", cause="request"),
        OutputText(response_id="r3", delta="a long way."),
        ResponseEnded(response_id="r3", status="completed"),
    )
    assert not dialogue.answering
    assert dialogue.faults == []
    [turn] = dialogue.turns
    assert (turn.answer, turn.status, turn.fault) == ("It is a long way.", "completed", None)


@pytest.mark.parametrize(
    ("choice", "policy"),
    [
        ("at-once", InterruptionPolicy.at_once()),
        ("patient", InterruptionPolicy()),
        ("never", InterruptionPolicy.never()),
    ],
)
def test_interruption(choice: str, policy: InterruptionPolicy) -> None:
    settings = Settings(
        backend="x",
        instructions=None,
        voice=None,
        silence_ms=None,
        more=[],
        interruption=InterruptionChoice(choice),
    )
    assert settings.arguments()["interruption"] == policy


def test_an_interruption_that_does_not_exist(run: Run, speech: Path) -> None:
    ended = run("ask", speech, "--interruption", "sometimes")
    assert ended.status == 2
    assert "'at-once', 'patient', 'never'" in ended.err


@pytest.mark.parametrize("name", ["history", "conversation", "fallback", "interruption", "policy"])
def test_what_has_an_option_of_its_own(run: Run, speech: Path, name: str) -> None:
    ended = run("ask", speech, "-b", "scripted", "--option", f"{name}=x")
    assert ended.status == 2
    assert "it has an option of its own: --" in ended.err


@pytest.mark.parametrize("command", ["ask", "talk"])
def test_the_help_teaches(run: Run, command: str) -> None:
    ended = run(command, "--help")
    for word in ("--fallback", "--history", "--conversation", "--interruption", "--disclosure", "sqlite:///calls.db"):
        assert word in ended.out


def test_a_setting_of_one_stage_is_named_with_its_seat() -> None:
    more = ["tts.voice=eve", "llm.temperature=0.5", "stt.2.base_url=http://127.0.0.1:9/v1", 'stt=["a/x", "b/y"]']
    given = Settings(backend="a/x+b/y+c/z", instructions=None, voice=None, silence_ms=None, more=more).arguments()
    assert given["tts.voice"] == "eve"
    assert given["llm.temperature"] == 0.5
    assert given["stt.2.base_url"] == "http://127.0.0.1:9/v1"
    assert given["stt"] == ["a/x", "b/y"]


@pytest.mark.parametrize(
    "wrong", ["tts.=eve", ".voice=eve", "tts voice=eve", "tts..voice=eve", "2.voice=eve", "tts.voice"]
)
def test_what_is_no_name_is_refused(wrong: str) -> None:
    with pytest.raises(BadOption, match="is no option: write NAME=VALUE"):
        Settings(backend="local", instructions=None, voice=None, silence_ms=None, more=[wrong]).arguments()
