"""`--record`, and `voicebridge replay` of what it made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from voicebridge.registry.registry import Registry, use_registry

from .conftest import Ended

Run = Callable[..., Ended]


@pytest.fixture
def call(run: Run, speech: Path, tmp_path: Path) -> Path:
    """What `ask --record` made."""
    folder = tmp_path / "calls" / "7"
    ended = run("ask", speech, "-b", "scripted", "--fast", "--record", folder)
    assert ended.status == 0
    return folder


def test_a_recorded_conversation_is_printed_again(run: Run, call: Path, tmp_path: Path) -> None:
    ended = run("replay", call, "-o", tmp_path / "agent.wav")
    assert (ended.status, ended.out) == (0, "You: hello there\nAgent: Hi, nice to meet you.\n")
    assert "s, complete" in ended.err
    assert soundfile.info(tmp_path / "agent.wav").duration == pytest.approx(1.32, abs=0.1)


@pytest.mark.parametrize("out", ["agent.wav", "user.wav", "call.jsonl", "new.wav", "../7/agent.wav", "link.wav"])
def test_the_voice_is_not_written_into_what_is_read(run: Run, call: Path, tmp_path: Path, out: str) -> None:
    before = {path.name: path.read_bytes() for path in call.iterdir()}
    place = call / out
    if out == "link.wav":
        place = tmp_path / out
        place.symlink_to(call / "agent.wav")
    ended = run("replay", call, "-o", place)
    assert (ended.status, ended.out) == (2, "")
    assert "lies in the recording that is read. Name a file outside of" in ended.err
    assert {path.name: path.read_bytes() for path in call.iterdir()} == before


def test_the_voice_takes_the_place_of_an_older_file_once_it_is_whole(run: Run, call: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "agent.wav"
    out.parent.mkdir()
    out.write_text("older")
    with (call / "call.jsonl").open("a") as log:
        log.write('{"what": 1, "t": 9}\n{"close": true, "t": 9}\n')
    ended = run("replay", call, "-o", out)
    assert ended.status == 2
    assert out.read_text() == "older"
    log_lines = (call / "call.jsonl").read_text().splitlines(keepends=True)
    (call / "call.jsonl").write_text("".join(log_lines[:-2]))
    assert run("replay", call, "-o", out).status == 0
    assert soundfile.info(out).duration > 1
    assert [path.name for path in out.parent.iterdir()] == ["agent.wav"]


def test_the_voice_does_not_take_the_place_of_a_folder(run: Run, call: Path, tmp_path: Path) -> None:
    ended = run("replay", call, "-o", tmp_path)
    assert ended.status == 2
    assert "is no file. Name another one" in ended.err


def test_as_lines_of_json(run: Run, call: Path) -> None:
    ended = run("replay", call, "--json")
    kinds = [json.loads(line)["type"] for line in ended.out.splitlines()]
    assert kinds.index("session_ready") < kinds.index("user_turn")
    assert {"user_turn", "input_transcript", "response_started", "response_ended"} <= set(kinds)
    assert not {"send_audio", "output_audio"} & set(kinds)


def test_the_recording_answers_as_a_backend(
    run: Run, call: Path, speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VOICEBRIDGE_PLUGINS")
    use_registry(Registry(allow=["replay"]))
    ended = run("ask", speech, "-b", f"replay/{call}", "--fast", "-O", "pace=instant")
    assert "answer  Hi, nice to meet you." in ended.out


def test_a_recording_is_not_written_over(run: Run, call: Path, speech: Path) -> None:
    for command in (("ask", speech), ("talk",)):
        ended = run(*command, "-b", "scripted", "--record", call)
        assert ended.status == 2
        assert "holds a recording already" in ended.err


@pytest.mark.parametrize("command", ["ask", "talk"])
@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("", "--record needs the name of a new folder"),
        ("afile", "is no folder: name another place"),
        ("afile/in/it", "is no folder: name another place"),
        ("x" * 300, "can't be a folder for a recording"),
    ],
)
def test_where_no_recording_can_go_is_said_before_the_backend_is_set_up(
    run: Run, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, folder: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "afile").write_text("mine")
    before = sorted(path.name for path in tmp_path.iterdir())
    asked = ("ask", speech) if command == "ask" else ("talk",)
    ended = run(*asked, "-b", "no-such-backend", "--record", folder)
    assert ended.status == 2
    assert said in ended.err
    assert "no-such-backend" not in ended.err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_recording_does_not_command_the_terminal(run: Run, tmp_path: Path) -> None:
    attack = "a\x1b[2J\x1b]0;pwned\x07\x9b2J\x7f\r\u202eb\td"
    header = {"recording": 1, "capabilities": {}, "began": attack}
    said = {"type": "input_transcript", "turn_id": "t", "text": attack, "final": True}
    text = {"type": "output_text", "response_id": "r", "delta": attack}
    written = {"type": "send_text", "text": attack}
    lines: list[object] = [
        header,
        {"event": said, "t": 0},
        {"command": written, "t": 0},
        {"event": text, "t": 0},
        {"end": {"complete": False, "problem": attack}, "t": 0},
    ]
    (tmp_path / "call.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    plain = "a?[2J?]0;pwned??2J???b\td"
    ended = run("replay", tmp_path)
    assert ended.out == f"You: {plain}\nYou (in writing): {plain}\nAgent: {plain}\n"
    assert ended.err.count(plain) == 2
    ended = run("replay", tmp_path, "--json")
    assert [character for character in ended.out if not character.isprintable()] == ["\n"] * 3
    assert [json.loads(line).get("text") for line in ended.out.splitlines()][:2] == [attack, attack]
    (tmp_path / "call.jsonl").write_text(json.dumps({"recording": 1} | {attack: 1}) + "\n" + attack + "\n")
    assert "\x1b" not in run("replay", tmp_path, "--json").err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("nowhere",), "does not exist"), ((".", "--pace", "slow"), "recorded or instant, not 'slow'")],
)
def test_mistakes_are_a_line(run: Run, arguments: tuple[str, ...], said: str) -> None:
    ended = run("replay", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1


def test_its_help_teaches(run: Run) -> None:
    ended = run("replay", "--help")
    assert "Example: voicebridge replay" in ended.out
    assert "--record" in ended.out
