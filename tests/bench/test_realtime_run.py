"""The processes of the realtime benchmark: what they tell, and what becomes of them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from voicebridge_bench.commands import app
from voicebridge_bench.realtime.processes import ArmFailed, ServerProcess, run_arm
from voicebridge_bench.realtime.run import installed

CLI = [sys.executable, "-c", "from voicebridge_bench.commands import app; app()", "realtime"]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the benchmark needs one monotonic clock and POSIX")


@pytest.fixture
def server():
    with ServerProcess(None) as process:
        yield process


def _job(server, kind, arm, **more):
    return {"kind": kind, "arm": arm, "port": server.port, "cpu": None, "seed": 1} | more


def _steady(server, arm, told=None):
    told = [] if told is None else told
    job = _job(server, "steady", arm, sessions=3, warm_s=0.1, seconds=0.4)
    return run_arm(job, sys.executable, told.append)


@pytest.mark.parametrize("arm", ["bare", "bare-tuned", "voicebridge"])
def test_under_steady_load_every_frame_arrives_once_and_both_ways(server, arm):
    told, seen = [], {}

    def on_row(kind):
        told.append(kind)
        seen[kind] = server.report() if kind == "end" else server.watch()

    found = run_arm(_job(server, "steady", arm, sessions=3, warm_s=0.1, seconds=0.4), sys.executable, on_row)
    assert told == ["begin", "end"]
    assert found["heard"] == sum(found["delays_10us"].values()) > 0
    assert (found["missing"], found["repeated"], found["unstamped"], found["broken"]) == (0, 0, 0, 0)
    assert found["errors"] == []
    assert min(map(int, found["delays_10us"])) >= 0, "one clock for both processes"
    assert found["cpu_s"] > 0
    assert seen["end"]["connections"] == 3
    assert seen["end"]["frames_sent"] > 0
    assert seen["end"]["audio_bytes"] == seen["end"]["appends"] * 960
    assert sum(seen["end"]["lateness_10us"].values()) == seen["end"]["frames_sent"]


@pytest.mark.parametrize("arm", ["bare", "voicebridge"])
def test_first_audio_comes_in_pairs(server, arm):
    server.behave(answers_speech=False, frames=2, paced=False)
    found = run_arm(_job(server, "first_audio", arm, pairs=4), sys.executable)
    assert len(found["bare_ms"]) == len(found["arm_ms"]) == 4
    assert all(value > 0 for value in found["bare_ms"] + found["arm_ms"])


def test_a_reset_is_recovered_from_and_no_round_trip_is_forgotten(server):
    server.behave(answers_speech=False)
    found = run_arm(_job(server, "recovery", "voicebridge", recoveries=2), sys.executable)
    assert len(found["restarted_ms"]) == 2
    # Of TCP, of the handshake, of the session; and one more for the response.
    assert all(value >= 3 * found["round_trip_ms"] for value in found["restarted_ms"])
    for restarted, audio in zip(found["restarted_ms"], found["audio_ms"], strict=True):
        assert audio >= restarted + found["round_trip_ms"]


def test_the_server_outlives_a_client_that_speaks_nonsense(server):
    greeting = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: a\r\n\r\n"
    no_json = b"\x81\x84\0\0\0\0what"
    for words in (b"GET / HTTP/1.1\r\n\r\n", greeting + b"\x81\x04what", greeting + no_json):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(words)
            client.settimeout(5)
            with contextlib.suppress(ConnectionError):
                while client.recv(4096):
                    pass
    assert _steady(server, "bare")["heard"] > 0


def test_what_an_arm_dies_of_is_told(server, tmp_path):
    with pytest.raises(ArmFailed, match="KeyError: 'nobody'"):
        run_arm(_job(server, "steady", "nobody", sessions=1), sys.executable)
    with pytest.raises(ArmFailed, match="can't be started: No such file"):
        run_arm({"kind": "versions", "arms": ["openai"]}, str(tmp_path / "nowhere"))
    mute = tmp_path / "mute"
    mute.write_text("#!/bin/sh\nread job\necho 'out of order' >&2\n")
    mute.chmod(0o755)
    with pytest.raises(ArmFailed, match="without a result: out of order"):
        run_arm({"kind": "versions", "arms": ["openai"]}, str(mute))
    stuck = tmp_path / "stuck"
    stuck.write_text("#!/bin/sh\nexec sleep 60\n")
    stuck.chmod(0o755)
    with pytest.raises(ArmFailed, match=r"after 0\.3 s without"):
        run_arm({"kind": "versions", "arms": ["openai"]}, str(stuck), limit_s=0.3)


def test_an_arm_that_prints_does_not_disturb_its_rows(server, tmp_path):
    loud = tmp_path / "loud"
    loud.write_text(f'#!/bin/sh\necho loud >&2\nexec {sys.executable} "$@"\n')
    loud.chmod(0o755)
    found = run_arm({"kind": "versions", "arms": ["openai"]}, str(loud))
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_what_is_not_installed_is_left_out():
    found = installed(sys.executable, ("bare", "voicebridge"))
    assert found["voicebridge"]["packages"]["websockets"] == found["bare"]["packages"]["websockets"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sessions", "0"], "between 1 and 1000"),
        (["--sessions", "many"], "between 1 and 1000"),
        (["--json", "nowhere/at/all.json"], "can't be written"),
        (["--quick", "--peers", "--peers-python", "/nowhere/python"], "can't be started"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["realtime", *arguments])
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


def test_ctrl_c_keeps_what_was_measured_and_leaves_no_process(tmp_path):
    out = tmp_path / "out.json"
    process = subprocess.Popen(
        [*CLI, "--quick", "--json", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        for line in process.stderr:
            if "2 sessions" in line or "50 sessions" in line:
                break
        children = _children(process.pid)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    found = json.loads(out.read_text())
    assert found["interrupted"]
    assert {row["sessions"] for row in found["loads"]} == {1}
    assert children
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def _children(pid):
    found = Path(f"/proc/{pid}/task/{pid}/children")
    if not found.exists():
        pytest.skip("this system does not tell a process's children")
    return [int(word) for word in found.read_text().split() if os.path.exists(f"/proc/{word}")]
