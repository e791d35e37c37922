"""The processes of `bench cascade`: simulators behind a network, and clients that speak recorded turns."""

import asyncio
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from voicebridge_bench.cascade.arms.arm import OWN
from voicebridge_bench.cascade.conversation import Conversation, SpokenClip
from voicebridge_bench.cascade.figures import row_of
from voicebridge_bench.cascade.microphone import FRAME_S, Microphone
from voicebridge_bench.cascade.plan import CascadeCell, plan_of
from voicebridge_bench.cascade.precise_loop import precise_loop
from voicebridge_bench.cascade.run import installed, measured
from voicebridge_bench.commands import app
from voicebridge_bench.realtime.processes import ServerProcess

CLI = [sys.executable, "-c", "from voicebridge_bench.commands import app; app()", "cascade"]
SIMULATORS = "voicebridge_bench.cascade.simulators"
TONE = (np.sin(np.arange(4800) / 5) * 8000).astype("<i2").tobytes()
"""200 ms."""
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the benchmark needs one monotonic clock and POSIX")


@pytest.fixture(scope="module")
def server():
    with ServerProcess(None, SIMULATORS) as process:
        yield process


def _cell(arm, **more):
    fields = {"group": "bounds", "setting": "constants", "turns": 1, "silence_ms": 500, "clips": ("wisdom",)} | more
    return CascadeCell(arm=arm, sessions=2, round=0, **fields)


@pytest.mark.parametrize("arm", ["bare", "plain-early", "voicebridge"])
def test_a_client_answers_each_turn_no_faster_than_its_bound(server, arm, tmp_path):
    pytest.importorskip("moonshine_voice", reason="the recording is in its wheel")
    run = measured(plan_of(True, (), 7, False), server, _cell(arm), sys.executable, None, tmp_path)
    assert run.problem is None
    turns = run.found["turns"]
    assert [(turn["key"], turn["turn"]) for turn in turns] == [(f"bench-0-{n}", turn) for n in (0, 1) for turn in (2,)]
    row = row_of(run.cell, [run])
    assert (row.n, row.unanswered, row.early) == (2, 0, 0)
    assert row.bound > 1000
    assert all(ms >= row.bound - 1 for ms in row.turns.values()), "nothing is faster than its bound"
    assert all(0 <= late < 1000 for turn in turns for late in turn["late_ms"].values())
    assert run.server["turns"]
    assert run.found["cpu_s"] > 0


def test_two_clients_meet_the_same_stage_times_in_the_same_turns(server, tmp_path):
    pytest.importorskip("moonshine_voice", reason="the recording is in its wheel")
    drawn = []
    for arm in ("plain", "voicebridge-commit"):
        cell = _cell(arm, setting="claimed", turns=1)
        run = measured(plan_of(True, (), 7, False), server, cell, sys.executable, None, tmp_path)
        assert run.problem is None
        drawn.append(
            {
                (one["caller"], one["turn"], stage): ms
                for one in run.server["turns"]
                for stage, ms in one["drawn_ms"].items()
            }
        )
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0].values())) == len(drawn[0]) == 6


def test_the_network_takes_its_round_trip_and_one_more_for_a_new_connection(server):
    vendor = {"simulator": "openai-http", "profile": "instant", "seed": 1, "options": {}, "scheme": "http"}
    urls = server.order({"do": "serve", "vendors": {"one": vendor}, "round_trip_ms": 80})["urls"]["one"]
    port = int(urls["far"].split(":")[2].split("/")[0])

    async def ask() -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        took = []
        for _ in range(2):
            began = time.monotonic()
            writer.write(b"GET /v1/models HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer x\r\n\r\n")
            await reader.read(1)
            took.append(time.monotonic() - began)
            await asyncio.sleep(0.1)
            reader._buffer.clear()
        writer.close()
        return took

    first, second = asyncio.run(ask())
    assert first >= 0.16
    assert 0.08 <= second < first


def test_a_client_that_fails_leaves_a_reason(server, tmp_path):
    pytest.importorskip("moonshine_voice", reason="the recording is in its wheel")
    cell = _cell("pipecat")
    run = measured(plan_of(True, (), 7, False), server, cell, "/nowhere/python", None, tmp_path)
    assert run.found is None
    assert "can't be started" in run.problem


class _Echo:
    """A client that answers some time after a loud frame was followed by silence."""

    def __init__(self, ears, delay_s):
        self._ears, self._delay_s = ears, delay_s
        self._loud = False
        self.frames = []

    async def send(self, pcm):
        self.frames.append(pcm)
        was, self._loud = self._loud, any(pcm)
        if was and not self._loud:
            asyncio.get_running_loop().call_later(self._delay_s, self._answer)

    def _answer(self):
        self._ears.hear(bytes(961))  # 20 ms of silence, and half a sample
        self._ears.hear(b"\0" + TONE)

    def guesses(self):
        return {"guesses": len(self.frames)}


def test_a_turn_is_measured_from_the_last_sample_of_speech_to_the_first_audible_one():
    async def converse():
        talk = Conversation("key", (), random.Random(1))
        call = _Echo(talk.ears(), 0.1)
        microphone = Microphone(call.send, 24_000, began=asyncio.get_running_loop().time() + 0.01)
        talking = asyncio.create_task(microphone.run())
        clip = SpokenClip("tone", TONE, 0.2)
        rows = await talk.hold(call, microphone, [clip], range(5, 7), {"end": 0.02})
        talking.cancel()
        return rows, call.frames

    with asyncio.Runner(loop_factory=precise_loop) as runner:
        rows, frames = runner.run(converse())
    assert [row["turn"] for row in rows] == [5, 6]
    for row in rows:
        # One frame until the silence is seen, the client's delay, and 20 ms of silence before the sound.
        assert row["ms"] >= 140
        assert row["first_byte_ms"] == pytest.approx(row["ms"] - 20, abs=0.5)
        assert row["heard_s"] == pytest.approx(0.22)
        assert row["guesses"]["guesses"] > 0
    assert b"".join(frames).count(TONE) == 2
    assert {len(frame) for frame in frames} == {960}


def test_timers_of_the_precise_loop_are_early_never():
    async def waits() -> list[float]:
        loop = asyncio.get_running_loop()
        found = []
        for _ in range(20):
            due = loop.time() + 0.0023
            await asyncio.sleep(0.0023)
            found.append(loop.time() - due)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)  # sockets wake it as well
        assert await reader.readexactly(2) == b"hi"
        writer.close()
        return found

    with ServerProcess(None, SIMULATORS):
        pass  # it also ends by itself
    with asyncio.Runner(loop_factory=precise_loop) as runner:

        async def all_of_it() -> list[float]:
            nonlocal port
            server = await asyncio.start_server(lambda _, writer: writer.write(b"hi"), "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            found = await waits()
            server.close()
            return found

        port = 0
        late = runner.run(all_of_it())
    assert min(late) > -1e-6
    assert FRAME_S == 0.02


def test_own_arms_are_there_with_their_versions():
    found = installed(sys.executable, OWN)
    assert set(found) == set(OWN)
    assert "voicebridge-sdk" in found["voicebridge"]["packages"]
    assert "httpx" in found["plain"]["packages"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--part", "everything"], "There is no part 'everything'"),
        (["--json", "nowhere/at/all.json"], "can't be written"),
        (["--quick", "--peers", "--peers-python", "/nowhere/python"], "can't be started"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["cascade", *arguments])
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_ctrl_c_ends_it_and_reports():
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
    assert "provider times are inputs" in out
