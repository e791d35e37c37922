"""The clients that others wrote do, as arms of the realtime benchmark, what it counts: audio both ways, responses."""

import sys

import pytest

from voicebridge_bench.realtime.arms.arm import ARMS
from voicebridge_bench.realtime.plan import PEERS
from voicebridge_bench.realtime.processes import ServerProcess, run_arm
from voicebridge_bench.realtime.run import installed

pytestmark = pytest.mark.judges


@pytest.fixture(scope="module")
def here():
    return installed(sys.executable, PEERS)


def _job(server, kind, arm, **more):
    return {"kind": kind, "arm": arm, "port": server.port, "cpu": None, "seed": 1} | more


@pytest.mark.parametrize("arm", PEERS)
def test_every_frame_arrives_once_and_both_ways(here, arm):
    if arm not in here:
        pytest.skip(f"{arm} is in the extra `judges`")
    seen = {}

    def on_row(kind):
        seen[kind] = server.report() if kind == "end" else server.watch()

    with ServerProcess(None) as server:
        found = run_arm(_job(server, "steady", arm, sessions=2, warm_s=0.2, seconds=1.0), sys.executable, on_row)
    assert found["heard"] > 0
    assert (found["missing"], found["repeated"], found["unstamped"], found["broken"]) == (0, 0, 0, 0)
    assert found["errors"] == []
    assert seen["end"]["connections"] == 2
    assert seen["end"]["audio_bytes"] > 0


@pytest.mark.parametrize("arm", [name for name in PEERS if ARMS[name].asks])
def test_a_response_comes_when_it_is_asked_for(here, arm):
    if arm not in here:
        pytest.skip(f"{arm} is in the extra `judges`")
    with ServerProcess(None) as server:
        server.behave(answers_speech=False, frames=2, paced=False)
        found = run_arm(_job(server, "first_audio", arm, pairs=3), sys.executable)
    assert len(found["bare_ms"]) == len(found["arm_ms"]) == 3
