"""Ctrl-C in the middle: what was saved stays, the line and the status are right, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from .conftest import ROOT, SITE, silence, tone, write

Start = Callable[..., "subprocess.Popen[str]"]
SOUND = Path(__file__).parent / "sound"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT to send to a process")


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something holds, as long as a slow machine may need."""
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def stopped(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Send Ctrl-C, and check how it ends; what it printed."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in out + err
    assert "ResourceWarning" not in err
    assert "never retrieved" not in err
    assert "voicebridge: stopped." in err
    return out, err


def seconds(file: Path) -> float:
    """Of a recording that may still grow."""
    return float(soundfile.info(file).duration) if file.exists() and file.stat().st_size else 0.0


def test_ctrl_c_in_the_middle_of_an_answer_keeps_what_came(start: Start, speech: Path, tmp_path: Path) -> None:
    reply = tmp_path / "reply.wav"
    process = start("ask", speech, "-b", "scripted/long", "--fast", "-o", reply)
    wait_for(lambda: seconds(reply) > 0.5)
    out, err = stopped(process)
    assert "heard   hello there" in out
    assert "answer  word after word" in out
    kept = seconds(reply)
    assert kept > 0.5
    assert f"The reply so far ({kept:.1f} s) is in {reply}" in err


def test_ctrl_c_with_json_still_prints_the_document(start: Start, speech: Path, tmp_path: Path) -> None:
    reply = tmp_path / "reply.wav"
    process = start("ask", speech, "-b", "scripted/long", "--fast", "--json", "-o", reply)
    wait_for(lambda: seconds(reply) > 0.5)
    out, _ = stopped(process)
    document = json.loads(out)
    assert document["error"]["code"] == "KeyboardInterrupt"
    assert document["turns"][0]["heard"] == "hello there"
    assert document["reply"]["duration_s"] > 0.5


def test_ctrl_c_while_the_user_still_speaks(start: Start, tmp_path: Path) -> None:
    file = write(tmp_path / "long.wav", tone(60.0))
    process = start("ask", file, "-b", "scripted", "-o", tmp_path / "reply.wav")
    wait_for(lambda: (tmp_path / "reply.wav").exists())
    stopped(process)
    assert seconds(tmp_path / "reply.wav") == 0.0


def test_ctrl_c_while_a_model_hangs(start: Start, speech: Path, tmp_path: Path) -> None:
    process = start("ask", speech, "-b", "scripted/hangs", "--fast", "-o", tmp_path / "reply.wav")
    wait_for(lambda: (tmp_path / "reply.wav").exists())
    stopped(process)


def test_ctrl_c_while_a_fallback_answers(start: Start, speech: Path, tmp_path: Path) -> None:
    reply, url = tmp_path / "reply.wav", f"sqlite:///{tmp_path}/calls.db"
    arguments = ("-b", "scripted/raises", "--fallback", "scripted/long", "--history", url, "--conversation", "a")
    process = start("ask", speech, *arguments, "--fast", "-o", reply)
    wait_for(lambda: seconds(reply) > 0.5)
    stopped(process)
    out, _ = start("history", url, "a").communicate(timeout=60)
    assert "user   hello there" in out


def test_talk_records_both_sides_until_ctrl_c(start: Start, tmp_path: Path) -> None:
    process = start("talk", "-b", "scripted", "--record", tmp_path / "kept", extra=(SOUND,), FAKE_SOUND="speaks")
    agent = tmp_path / "kept" / "speaker.wav"

    def answered() -> bool:
        return seconds(agent) > 1.0 and bool(soundfile.read(agent)[0].any())

    wait_for(answered)
    out, err = stopped(process)
    assert "You: hello there\nAgent: Hi, nice to meet you." in out
    assert "of both sides are in" in err
    sides = [soundfile.read(tmp_path / "kept" / name)[0] for name in ("microphone.wav", "speaker.wav")]
    assert abs(len(sides[0]) - len(sides[1])) <= 24_000 // 2
    # The agent waits until the user has finished: its side begins after the other's ends.
    assert sides[1].nonzero()[0][0] > sides[0].nonzero()[0][-1]


def test_three_lines_of_python_end_at_ctrl_c_as_if_all_was_said() -> None:
    code = "from voicebridge import VoiceAgent; agent = VoiceAgent(backend='scripted'); agent.start(); print('after')"
    path = os.pathsep.join(map(str, (SOUND, SITE, ROOT)))
    environment = os.environ | {"PYTHONPATH": path, "VOICEBRIDGE_PLUGINS": "scripted", "FAKE_SOUND": "speaks"}
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", code]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Agent: Hi, nice to meet you."):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out.splitlines()[-1], err) == (0, "after", "")


def test_talk_with_json_prints_a_line_an_event(start: Start) -> None:
    process = start("talk", "-b", "scripted", "--json", extra=(SOUND,), FAKE_SOUND="speaks")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(json.loads(line))
        if lines[-1]["type"] == "response_ended":
            break
    stopped(process)
    assert "session_ready" in [line["type"] for line in lines]


def test_talk_keeps_a_history_until_ctrl_c(start: Start, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    arguments = ("-b", "scripted", "--history", url, "--conversation", "a", "--interruption", "patient")
    process = start("talk", *arguments, "--disclosure", "I am a machine.", extra=(SOUND,), FAKE_SOUND="speaks")
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Agent: Hi, nice"):
            break
    time.sleep(0.5)  # some of it is heard
    _, err = stopped(process)
    assert f"Read it with: voicebridge history {url} a" in err
    out, _ = start("history", url, "a").communicate(timeout=60)
    assert "agent  I am a machine." in out
    assert "user   hello there" in out
    assert "agent  Hi" in out


def test_talk_without_a_device_names_ask(start: Start) -> None:
    process = start("talk", "-b", "scripted", extra=(SOUND,), FAKE_SOUND="none")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    [line] = err.splitlines()
    assert line.startswith("voicebridge: ")
    assert "voicebridge ask FILE.wav" in line


def test_talk_to_an_unknown_backend_opens_no_device(start: Start) -> None:
    process = start("talk", "-b", "skripted", extra=(SOUND,), FAKE_SOUND="none")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Did you mean 'scripted'?" in err


def test_a_reader_that_has_had_enough(start: Start) -> None:
    process = start("backends")
    assert process.stdout is not None
    process.stdout.close()
    process.wait(timeout=60)
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


def test_silence_can_be_stopped_too(start: Start, tmp_path: Path) -> None:
    file = write(tmp_path / "quiet.wav", silence(30.0))
    process = start("ask", file, "-b", "scripted", "--json", "-o", tmp_path / "reply.wav")
    wait_for(lambda: (tmp_path / "reply.wav").exists())
    out, _ = stopped(process)
    assert json.loads(out)["turns"] == []
