"""`voicebridge contract`: what it says of a backend that keeps its promises, and of one that doesn't."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from voicebridge import About, ConfigError, hookimpl
from voicebridge.contract.items import Item
from voicebridge.registry.registry import registry
from voicebridge.testing.contract import CHECKS
from voicebridge.testing.script import SCRIPTED_CAPABILITIES, Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend

from .conftest import Ended, tone, write

Run = Callable[..., Ended]
FEW = ("--only", "opens", "--only", "text_turn", "--only", "unknown_option")


class Deaf(ScriptedBackend):
    """Takes commands and does nothing."""

    @asynccontextmanager
    async def connect(self, *given: Any, **more: Any) -> AsyncIterator[Any]:
        async with super().connect(*given, **more) as session:
            session._carry_out = lambda command: None
            yield session


class Shut(ScriptedBackend):
    @asynccontextmanager
    async def connect(self, *given: Any, **more: Any) -> AsyncIterator[Any]:
        raise ConfigError("The key is missing: set TEST_KEY.")
        yield


class Stopped(ScriptedBackend):
    """Ctrl-C is pressed in the middle of a turn."""

    @asynccontextmanager
    async def connect(self, *given: Any, **more: Any) -> AsyncIterator[Any]:
        async with super().connect(*given, **more) as session:
            session._carry_out = lambda command: os.kill(os.getpid(), signal.SIGINT)
            yield session


class Looks(ScriptedBackend):
    """Looks at what is written whenever it is opened."""

    look: Callable[[], None] = staticmethod(lambda: None)

    @asynccontextmanager
    async def connect(self, *given: Any, **more: Any) -> AsyncIterator[Any]:
        type(self).look()
        async with super().connect(*given, **more) as session:
            yield session


def paper(reply: str) -> ScriptedBackend:
    return ScriptedBackend(reply, capabilities=replace(SCRIPTED_CAPABILITIES, resume="native"))


def clever(reply: str) -> ScriptedBackend:
    """Calls tools, and remembers."""

    def answer(items: tuple[Item, ...]) -> Reply:
        last = getattr(items[-1], "text", "")
        if count := {"call": 1, "call twice": 2}.get(last, 0):
            return Reply(calls=(Call("look_up_weather"),) * count)
        return Reply(" ".join(getattr(item, "text", "") for item in items) if last == "What is my name?" else reply)

    return ScriptedBackend(answer)


BACKENDS: dict[str, Callable[[str], ScriptedBackend]] = {
    "kept": ScriptedBackend,
    "deaf": Deaf,
    "shut": Shut,
    "stopped": Stopped,
    "looks": Looks,
    "paper": paper,
    "clever": clever,
}


class Plugin:
    @hookimpl
    def register_backends(self, register: Any) -> None:
        for name, backend in BACKENDS.items():
            register(name, lambda model, backend=backend: backend("Hello."), About(summary="x"))
        register("paid", lambda model: ScriptedBackend("Hello."), About(summary="x", key="TEST_KEY"))


@pytest.fixture
def contract(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    registry().join(Plugin())
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: run("contract", *arguments)


def test_a_backend_that_keeps_its_promises(contract: Run) -> None:
    ended = contract("kept", *FEW, "--only", "hostile_server")
    assert ended.status == 0
    assert "text_turn" in ended.out
    assert "give `Subject.hostile`" in ended.out
    assert "kept: 3 pass, 1 skipped" in ended.out


def test_one_that_does_not_is_told_with_what_went_in_and_came_out(
    contract: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicebridge.cli.contract.Subject", _impatient)
    ended = contract("deaf", *FEW)
    assert ended.status == 1
    assert "no CommandSettled" in ended.out
    assert "-> SendText(id=" in ended.out
    assert "deaf: 2 pass, 1 fail" in ended.out


def _impatient(**given: Any) -> Any:
    from voicebridge.testing.contract import Subject

    return Subject(patience_s=0.3, **given)


def test_of_a_backend_that_does_not_open_no_more_is_asked(contract: Run) -> None:
    ended = contract("shut", "--json")
    assert ended.status == 1
    report = json.loads(ended.out)
    assert report["counts"] == {"fail": 1, "skipped": len(CHECKS) - 1}
    assert "set TEST_KEY" in report["checks"][0]["reason"]


def test_json_is_all_that_is_on_stdout(contract: Run) -> None:
    ended = contract("kept", *FEW, "--json")
    report = json.loads(ended.out)
    assert (report["backend"], report["counts"]) == ("kept", {"pass": 3})
    assert report["checks"][1]["check"] == "unknown_option"
    assert report["checks"][1]["promise"] == CHECKS["unknown_option"].promise


def test_money_is_not_spent_without_a_yes(contract: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = contract("paid", *FEW)
    assert ended.status == 2
    assert "may cost money" in ended.err
    assert "--yes" in ended.err
    assert contract("paid", *FEW, "--yes").status == 0
    assert contract("kept", *FEW, "-O", "api_key=x").status == 2
    monkeypatch.setattr("sys.stdin", _Terminal("n\n"))
    assert contract("paid", *FEW).status == 130
    monkeypatch.setattr("sys.stdin", _Terminal("y\n"))
    assert contract("paid", *FEW).status == 0


class _Terminal:
    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.answer


def test_questions_make_it_do_what_a_check_is_about(contract: Run) -> None:
    given = ("--tool-prompt", "call", "--parallel-prompt", "call twice")
    recall = ("--recall", "My name is Ada.", "What is my name?", "Ada")
    checks = ("--only", "tool_round", "--only", "parallel_tools", "--only", "seeding")
    assert "clever: 3 pass" in contract("clever", *given, *recall, *checks).out
    assert "clever: 3 skipped" in contract("clever", *checks).out
    assert contract("clever", *recall[:3], *checks).status == 2


def test_what_was_not_looked_at_stands_in_the_row(contract: Run) -> None:
    ended = contract("paper", "--only", "opens")
    assert ended.status == 0
    assert "not checked: resume 'native'" in ended.out


def test_a_stop_reports_what_was_done(contract: Run) -> None:
    ended = contract("stopped", *FEW)
    assert ended.status == 130
    assert "text_turn" not in ended.out
    assert "stopped: 2 pass, 1 not run: stopped" in ended.out
    report = json.loads(contract("stopped", *FEW, "--json").out)
    assert (report["complete"], report["counts"]) == (False, {"pass": 2})


def test_rows_come_one_by_one(
    contract: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(Looks, "look", lambda: seen.append(capsys.readouterr().out))
    contract("looks", *FEW)
    assert any("opens" in out and "text_turn" not in out for out in seen)


def test_the_user_says_what_is_in_a_recording(contract: Run, tmp_path: Path) -> None:
    ended = contract("kept", "--only", "spoken_turn", "--wav", write(tmp_path / "speech.wav", tone(0.4)))
    assert ended.status == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("kept", "--only", "text_trun"), "Did you mean 'text_turn'"),
        (("no-such-backend",), "no backend"),
        (("kept", "--wav", "no-such-file.wav"), "no-such-file.wav"),
        (("kept", "-O", "speed=99"), "speed"),
        (("kept", "-O", "model=x"), "vendor/model"),
    ],
)
def test_what_does_not_fit_is_said_at_once(contract: Run, arguments: tuple[str, ...], words: str) -> None:
    ended = contract(*arguments)
    assert ended.status == 2
    assert words in ended.err
    assert not ended.out
