"""The figures of `bench handover`: tags, the virtual player, what counts as lost, and what a target means."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from voicebridge_bench.handover.figures import (
    call_doubts,
    call_figures,
    load_figures,
    long_call_figures,
    lost_samples,
)
from voicebridge_bench.handover.plan import cells, plan_of
from voicebridge_bench.handover.player import Player
from voicebridge_bench.handover.run import weights
from voicebridge_bench.handover.table import Report, markdown
from voicebridge_bench.handover.tagged_audio import FRAME_SAMPLES, TaggedVoice, TagReader, covered
from voicebridge_bench.realtime.plan import Cell, Run

TONE = (np.sin(np.arange(2400) / 5) * 8000).astype("<i2").tobytes()
"""100 ms."""
ROW = {
    "scenario": "drop, RST",
    "key": "call-1",
    "ms": 300.0,
    "problem": None,
    "sent": 4800,
    "captured": 4800,
    "delivered": 4800,
    "dropped": 0,
    "balanced": True,
    "late": 0,
    "runs": [],
    "strange": 0,
}
HEARD = {"call-1": {"runs": [[0, 4800]], "strange": 0, "samples": 4800}}


def _voice(frames, loud=False):
    voice = TaggedVoice()
    return b"".join(voice.frame(loud=loud) for _ in range(frames))


@pytest.mark.parametrize("loud", [False, True])
def test_a_voice_is_known_again_however_it_was_cut(loud):
    pcm, reader, chance = _voice(50, loud), TagReader(), random.Random(1)
    at = 0
    while at < len(pcm):
        size = chance.randrange(32, 2000) * 2
        reader.take(pcm[at : at + size])
        at += size
    assert reader.runs == [[0, 50 * FRAME_SAMPLES]]
    assert reader.strange == 0


def test_what_came_twice_counts_once_and_a_hole_is_a_hole():
    pcm, reader = _voice(10), TagReader()
    frame = FRAME_SAMPLES * 2
    reader.take(pcm[: 4 * frame])
    reader.take(pcm[2 * frame + 100 : 5 * frame])  # another connection hears it again
    reader.take(pcm[7 * frame :])
    assert reader.samples == (4 + 3 + 3) * FRAME_SAMPLES - 50
    assert covered(reader.runs) == 8 * FRAME_SAMPLES


def test_what_is_no_copy_is_strange():
    reader = TagReader()
    reader.take(np.random.default_rng(1).integers(-900, 900, 480).astype("<i2").tobytes())
    reader.take(_voice(1)[:20])  # too short to be anywhere but where it is expected
    assert reader.strange == 480
    assert covered(reader.runs) == 10


def test_quiet_frames_are_quiet_and_loud_ones_are_not():
    quiet, loud = (np.abs(np.frombuffer(_voice(1, loud), "<i2")).max() for loud in (False, True))
    assert quiet <= 1
    assert loud > 5000


def test_the_player_plays_at_once_and_one_after_the_other():
    player = Player()
    answer = player.take("r1", bytes(2400) + TONE[2400:], 10.0)
    assert answer.audible_at == pytest.approx(10.05, abs=0.001)
    player.take("r1", TONE, 10.02)  # early: it waits
    assert (answer.silence_s, answer.ends_at) == (0, pytest.approx(10.2))
    player.take("r1", TONE, 10.5)
    assert answer.silence_s == pytest.approx(0.3)
    other = player.take("r2", TONE, 10.55)
    assert other.starts_at == pytest.approx(10.6)
    assert player.late == 0
    player.take("r1", TONE, 10.8)
    assert player.late == 1


@pytest.mark.parametrize(
    ("change", "heard", "lost"),
    [
        ({}, {}, 0),
        ({}, {"runs": [[0, 4000]]}, 800 + 800),  # nobody had them, and the account says that somebody did
        ({"delivered": 4000, "dropped": 800}, {"runs": [[0, 4000]]}, 800),
        ({"captured": 4320}, {}, 480 + 480),
        ({"balanced": False}, {}, 1),
        ({"runs": [[4000, 4800]]}, {"runs": [[0, 4000]]}, 0),  # a cascade had the rest
        ({}, {"strange": 7}, 7),
    ],
)
def test_lost_samples(change, heard, lost):
    assert lost_samples(ROW | change, HEARD["call-1"] | heard) == lost


def test_lost_connections_are_told_together_and_by_how_they_were_lost():
    rows = [ROW | {"ms": float(ms)} for ms in range(100, 200)]
    rows += [ROW | {"scenario": "drop, half-open", "ms": 1500.0}]
    every, rst, dead = sorted(call_figures(rows, HEARD), key=lambda one: -one.n)
    assert (every.n, every.name, every.worst) == (101, "all", 1500)
    assert (rst.n, rst.name, rst.p95, rst.met) == (100, "RST", 194, True)
    assert dead.name == "half-open"


def test_a_target_is_missed_by_time_by_samples_and_by_failure():
    def met(**change):
        [_, one] = call_figures([ROW | change], HEARD)
        return one.met

    assert met()
    assert not met(ms=2001.0)
    assert not met(captured=0)
    assert not met(late=1)
    assert not met(ms=None, problem="NothingCame: an answer: not within 15 s")
    [_, failed] = call_figures([ROW | {"ms": None, "problem": "it broke"}], HEARD)
    assert failed.judged == math.inf
    assert failed.note == "1 of 1 failed: it broke"


def _run(arm, number, cpu_s, ms, sessions=50):
    found = {
        "seconds": 2.0,
        "cpu_s": cpu_s,
        "heard": 5000,
        "delays_10us": {str(int(ms * 100)): 5000},
        "own_kb": 1,
        "loop_lag_ms": None,
    }
    server = {"audio_bytes": 50 * 2 * 48000, "seconds": 2.0, "lateness_10us": {}, "cores": 0.1}
    return Run(Cell(arm, sessions, number), found, server)


def test_the_price_is_of_the_same_round():
    runs = []
    for number, load in enumerate((1.0, 2.0, 4.0)):  # a machine that gets slower
        runs += [_run("voicebridge", number, 1.1 * load, 0.4), _run("voicebridge-raw", number, load, 0.3)]
    cpu, delay = load_figures(runs)
    assert (cpu.p50, cpu.met, cpu.n) == (pytest.approx(1.1), True, 3)
    assert (delay.p50, delay.met) == (pytest.approx(0.1), True)
    many = load_figures([_run("voicebridge", 0, 1.0, 16.0, sessions=100)])[0]
    assert (many.worst, many.met) == (pytest.approx(16.01), False)


def test_memory_has_a_slope_with_an_interval():
    found = {
        "minutes": 20,
        "memory_kb": [[n, 60_000 + 10 * n + (n % 2)] for n in range(3, 21)],
        "captured": 100,
        "delivered": 100,
        "heard": 100,
        "balanced": True,
        "files_left": 0,
        "tasks_left": 0,
        "answers": 3,
        "restarts": 0,
    }
    memory, left = long_call_figures(found)
    assert memory.p50 == pytest.approx(10, abs=0.1)
    assert memory.note.startswith("95 % interval: +9.")
    assert memory.met
    assert left.met
    assert not long_call_figures(found | {"heard": 99})[0].met
    assert not long_call_figures(found | {"tasks_left": 1})[1].met
    assert long_call_figures(found | {"memory_kb": []})[0].note == "not known on this system"


def test_what_makes_the_calls_doubtful():
    quiet = {"others_cores": 0.5, "stolen": 0.0, "loop_lag_ms": {"p99": 3.0}}
    assert call_doubts(quiet, 0.3) == ()
    [doubt] = call_doubts(quiet | {"others_cores": 1.4}, 0.3)
    assert doubt == "other processes kept 1.1 cores busy"


def test_the_plan_of_a_command_line():
    whole, quick = plan_of(False, None, 7, True), plan_of(True, None, 7, True)
    assert sum(count for name, count in whole.calls.items() if name.startswith("drop")) == 50
    assert sum(weights(whole).values()) < 6 * 60
    assert sum(weights(quick).values()) < 60
    order = [cell.arm for cell in cells(replace(whole, many=0))]
    assert order[:4] == ["voicebridge", "voicebridge-raw", "voicebridge-raw", "voicebridge"]
    assert sum(count for name, count in plan_of(True, 7, 7, True).calls.items() if name.startswith("drop")) == 7


def test_a_report_says_what_was_missed():
    environment = {"load_average": None, "cpu": "x", "cores": 2, "kernel": "k", "python": "p", "revision": "r"}
    report = Report(
        figures=call_figures([ROW | {"ms": 2500.0}], HEARD),
        doubts=["the host took 5 % of the time"],
        problems=[],
        environment=environment | {"utc": "now"},
        command="voicebridge bench handover",
    )
    text = markdown(report)
    assert "| RST | 1 | 2500 ms | 2500 ms | 2500 ms | 0 | p95 <= 2000 ms | NO |" in text
    assert "Disturbed: the host took 5 % of the time." in text
