"""The processes of `bench handover`: calls on real sockets that are cut, moved and failed over, and a long one."""

import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from voicebridge_bench.commands import app
from voicebridge_bench.handover.figures import lost_samples
from voicebridge_bench.handover.run import Results, run
from voicebridge_bench.handover.scenarios import SCENARIOS
from voicebridge_bench.realtime.processes import ServerProcess, run_arm

CLI = [sys.executable, "-c", "from voicebridge_bench.commands import app; app()", "handover"]
CALLS = ("drop, RST", "realtime to cascade, user", "cascade to realtime, agent", "voice, idle", "start, 401")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the benchmark needs one monotonic clock and POSIX")


@pytest.fixture
def server():
    with ServerProcess(None, "voicebridge_bench.handover.simulators") as process:
        yield process


def test_calls_are_held_and_each_sample_of_the_user_is_found(server):
    assert set(CALLS) <= set(SCENARIOS)
    job = {"kind": "handover_calls", "cpu": None, "urls": server.urls, "together": 5, "seed": 1}
    told = []
    found = run_arm(job | {"calls": dict.fromkeys(CALLS, 1)}, sys.executable, told.append)
    heard = server.report()["heard"]
    assert told == ["call"] * len(CALLS)
    assert [row["problem"] for row in found["calls"]] == [None] * len(CALLS)
    for row in found["calls"]:
        assert 0 <= row["ms"] < 10_000, row["scenario"]
        assert row["sent"] > 24_000
        assert lost_samples(row, heard.get(row["key"])) == 0, row["scenario"]


def test_a_call_that_can_not_be_held_says_why(server):
    urls = dict(server.urls) | {"long": "ws://127.0.0.1:9/v1"}  # nobody is there
    job = {"kind": "handover_calls", "cpu": None, "urls": urls, "together": 1, "seed": 1}
    found = run_arm(job | {"calls": {"drop, RST": 1}}, sys.executable)
    [row] = found["calls"]
    assert row["ms"] is None
    assert row["problem"]


def test_a_long_call_is_counted_and_leaves_nothing(server):
    job = {"kind": "long_call", "cpu": None, "urls": server.urls, "minutes": 1, "faster": 40.0}
    found = run_arm(job, sys.executable)
    assert found["answers"] >= 8
    assert found["captured"] == found["delivered"] == server.report()["heard"]["call-long"]["samples"] == 60 * 24_000
    assert (found["balanced"], found["tasks_left"], found["files_left"]) in ((True, 0, 0), (True, 0, None))


def test_wrong_use_is_one_line_and_status_2():
    result = CliRunner().invoke(app, ["handover", "--seeds", "1"])
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_ctrl_c_ends_it_and_reports(tmp_path):
    process = subprocess.Popen([*CLI, "--quick"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        process.stderr.readline()
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Nothing was measured." in out


def test_results_hold_what_was_measured_before_it_was_interrupted(monkeypatch):
    from voicebridge_bench.handover import run as module
    from voicebridge_bench.handover.plan import plan_of

    def interrupted(*arguments, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_arm", lambda *given, **more: {"calls": []})
    monkeypatch.setattr(module, "steady", interrupted)
    results = Results()
    with pytest.raises(KeyboardInterrupt):
        run(plan_of(True, None, 7, False), results, lambda what, seconds: None)
    assert results.calls == {"calls": []}
