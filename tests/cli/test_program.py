"""The program as a whole: its help, its plugins' commands, what it loads, how it ends."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import voicebridge
from voicebridge.cli import main
from voicebridge.cli.ending import ended, status_of
from voicebridge.registry.registry import Registry, use_registry

from .conftest import SITE, Ended

Run = Callable[..., Ended]
COMMANDS = ("ask", "talk", "history", "replay", "backends", "doctor")


def test_help_lists_our_commands_and_those_of_plugins(run: Run) -> None:
    for arguments in ((), ("--help",), ("-h",)):
        ended = run(*arguments)
        assert ended.status == 0
        for name in (*COMMANDS, "hello", "unloadable"):
            assert name in ended.out
        assert "Greet somebody." in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_ends_in_an_example(run: Run, command: str) -> None:
    ended = run(command, "--help")
    assert ended.status == 0
    assert f"Example: voicebridge {command}" in ended.out


def loaded_by(*arguments: str, path: str) -> set[str]:
    """The top-level modules that a command has loaded when it ends."""
    code = (
        "import sys; from voicebridge.cli import main; main(sys.argv[1:]);"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_help_loads_nothing_heavy_nor_any_app_of_a_plugin() -> None:
    root = Path(voicebridge.__file__).parents[1]
    loaded = loaded_by("--help", path=f"{SITE}:{root}")
    assert "voicebridge_scripted" in loaded
    heavy = {"numpy", "onnxruntime", "soundfile", "soxr", "websockets", "httpx", "pydantic", "asyncio"}
    assert not loaded & heavy


def test_version(run: Run) -> None:
    assert run("--version") == Ended(0, f"voicebridge {voicebridge.__version__}\n", "")


def test_a_command_of_a_plugin_runs_as_if_it_were_ours(run: Run) -> None:
    assert run("hello", "--name", "you") == Ended(0, "hello you\n", "")
    assert run("hello", "--status", 5).status == 5
    ended = run("hello", "--nme", "you")
    assert ended.status == 2
    assert "voicebridge hello --help" in ended.err
    assert "Greet." in run("hello", "--help").out


def test_a_command_that_can_not_be_loaded_says_so(run: Run) -> None:
    ended = run("unloadable")
    assert ended.status == 2
    assert "no module named greeting" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_broken_plugin_breaks_nothing_else(run: Run, speech: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICEBRIDGE_PLUGINS")
    use_registry(Registry(allow=["scripted", "sick"]))
    assert run("--help").status == 0
    assert run("hello").status == 0
    assert run("ask", speech, "--backend", "scripted", "--fast").status == 0
    for arguments in (("sick",), ("ask", speech, "--backend", "sick")):
        ended = run(*arguments)
        assert ended.status == 2
        assert "the sick plugin has a fever" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("tlak",),
        ("ask",),
        ("ask", "a.wav", "--silence-ms", "x"),
        ("ask", "a.wav", "b.wav"),
        ("--nothing",),
        ("talk", "x"),
    ],
)
def test_a_wrong_command_line_is_one_line(run: Run, arguments: tuple[str, ...]) -> None:
    ended = run(*arguments)
    assert ended.status == 2
    assert ended.out == ""
    [line] = ended.err.splitlines()
    assert line.startswith("voicebridge: ")
    assert "--help`" in line


def test_a_misspelt_command_names_the_nearest(run: Run) -> None:
    assert "Did you mean 'talk'?" in run("tlak").err
    assert "Did you mean 'hello'?" in run("helo").err


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (voicebridge.BadAudio("x"), 2),
        (voicebridge.BackendNotFound("x"), 2),
        (voicebridge.Unsupported("x"), 2),
        (voicebridge.NoSoundDevice("x"), 3),
        (voicebridge.SessionFailed(voicebridge.Fault(category="network", message="x")), 3),
        (voicebridge.SessionFailed(voicebridge.Fault(category="auth", message="x")), 2),
        (voicebridge.SessionFailed(voicebridge.Fault(category="protocol", message="x")), 1),
    ],
)
def test_the_status_tells_what_kind_of_failure_it_was(error: voicebridge.VoiceBridgeError, status: int) -> None:
    assert status_of(error) == status


def test_every_ending_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for error, status in (
        (voicebridge.BadAudio("two\nlines", code="why"), 2),
        (KeyboardInterrupt(), 130),
        (OSError(), 70),
    ):
        assert ended(error) == status
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert ended(SystemExit(4)) == 4
    assert ended(SystemExit(None)) == 0
    assert ended(SystemExit("words")) == 2


# What there is


def test_backends_lists_what_is_there_and_what_is_missing(run: Run) -> None:
    ended = run("backends")
    assert ended.status == 0
    assert "Follows a script" in ended.out
    assert "turns by manual or semantic" in " ".join(ended.out.split())
    assert "! 'unmet' needs no_such_module_here" in ended.out
    assert "pip install '.[local]'" in ended.out


def test_backends_with_licences(run: Run) -> None:
    out = " ".join(run("backends", "--licences").out.split())
    assert "scripted MIT these tests" in out
    assert "buggy not stated" in out


def test_backends_as_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICEBRIDGE_PLUGINS")
    use_registry(Registry(allow=["scripted", "sick"]))
    ended = run("backends", "--json")
    assert ended.err == ""
    document = json.loads(ended.out)
    assert {row["name"]: row["ready"] for row in document["backends"]} == {
        "scripted": True,
        "buggy": True,
        "unmet": False,
    }
    assert [row["name"] for row in document["stages"]] == ["scripted/unwarmed"]
    assert [row["name"] for row in document["commands"]] == ["hello", "unloadable"]
    plugins = {row["name"]: row for row in document["plugins"]}
    assert plugins["sick"]["status"] == "broken"
    assert "has a fever" in plugins["sick"]["reason"]


def test_backends_shows_broken_and_blocked_plugins(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICEBRIDGE_PLUGINS")
    use_registry(Registry(allow=["sick"]))
    ended = run("backends")
    assert ended.status == 0
    assert "has a fever" in ended.out
    assert "'scripted' is kept from loading" in ended.out
    assert "Nothing is installed" in ended.out


def test_doctor_finds_what_is_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    ended = run("doctor", "--json")
    assert ended.status == 1
    document = json.loads(ended.out)
    assert document["ok"] is False
    checks = {check["check"]: check for check in document["checks"]}
    assert checks["python"]["state"] == "ok"
    assert checks["plugin scripted"]["state"] == "ok"
    assert checks["tts scripted/unwarmed"]["state"] == "problem"
    assert "no weights here" in checks["tts scripted/unwarmed"]["text"]
    assert checks["microphone"]["state"] == "warning"
    assert "voicebridge ask FILE.wav" in checks["speaker"]["text"]
    assert checks["self-test of local"]["state"] == "warning"
    assert "problem" in run("doctor").out


def test_doctor_hears_local_answer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from voicebridge.cli import doctor

    monkeypatch.setattr(doctor, "_SELF_TEST", "scripted")
    assert "'Hi, nice to meet you.': 1.3 s of sound" in run("doctor").out


@pytest.mark.parametrize("debug", ["", "1"])
def test_what_is_logged_is_a_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], debug: str
) -> None:
    def backends(**_: object) -> int:
        try:
            raise ValueError("two\nlines\x1b[31m")
        except ValueError:
            logging.getLogger("voicebridge.wire").exception("It went %s", "wrong")
        logging.getLogger("voicebridge").warning("Only so.")
        return 0

    monkeypatch.setattr("voicebridge.cli.backends.backends", backends)
    monkeypatch.setenv("VOICEBRIDGE_DEBUG", debug)
    assert main(["backends"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2:] == ["voicebridge: It went wrong (lines?[31m)", "voicebridge: Only so."]
    assert ("Traceback (most recent call last):" in lines) == bool(debug)
    assert not [one for one in logging.getLogger("voicebridge").handlers if type(one).__name__ == "_LogLines"]
