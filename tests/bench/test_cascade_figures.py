"""The figures of `bench cascade`: bounds by hand, what is drawn, what is paired, and what a target means."""

import random
from dataclasses import replace

import numpy as np
import pytest

from voicebridge_bench.cascade.arms.arm import ARMS, FLOORS, OWN
from voicebridge_bench.cascade.arms.level_gate import LevelGate
from voicebridge_bench.cascade.clips import sharpened
from voicebridge_bench.cascade.figures import faster, row_of, rows, targets
from voicebridge_bench.cascade.ideal import STRATEGIES, Path, StageTimes, bound_ms
from voicebridge_bench.cascade.plan import GROUPS, CascadeCell, cells, plan_of
from voicebridge_bench.cascade.run import seconds
from voicebridge_bench.cascade.settings import REPLY, SETTINGS, text_ms
from voicebridge_bench.cascade.stage_log import drawn, taken
from voicebridge_bench.cascade.table import Report, lines, markdown
from voicebridge_bench.realtime.plan import Run

TIMES = StageTimes(hear_ms=350, think_ms=350, speak_ms=300)
PATH = Path(round_trip_ms=50, silence_ms=500, text_ms=100, guess_ms=60)
CELL = CascadeCell(
    arm="voicebridge", sessions=1, round=0, group="bounds", setting="constants", turns=80, silence_ms=500
)
ENVIRONMENT = {
    "cpu": "a CPU",
    "cores": 2,
    "kernel": "Linux",
    "python": "CPython 3.12",
    "revision": "abc",
    "utc": "2026-01-01T00:00:00+00:00",
    "load_average": [0.5],
}


@pytest.mark.parametrize(
    ("strategy", "silence_ms", "expected"),
    [
        ("commit-driven", 500, 500 + 400 + 400 + 100 + 350),
        ("commit-driven", 0, 400 + 400 + 100 + 350),
        ("overlapped", 500, 500 + 400 + 100 + 350),  # 60 + 400 are over before the silence is
        ("overlapped", 300, 460 + 400 + 100 + 350),  # the text comes after it
        ("speculative", 500, 60 + 400 + 400 + 100 + 350),
        ("speculative", 2000, 2000),  # all is made within the silence
    ],
)
def test_bounds_by_hand(strategy, silence_ms, expected):
    assert bound_ms(strategy, TIMES, replace(PATH, silence_ms=silence_ms)) == expected


def test_the_rest_of_a_frame_comes_on_top():
    for strategy in STRATEGIES:
        assert bound_ms(strategy, TIMES, replace(PATH, rest_ms=10)) == bound_ms(strategy, TIMES, PATH) + 10


def test_a_better_strategy_is_never_bounded_higher():
    for hear in (0, 100, 2000):
        for silence in (0, 200, 900):
            times, path = replace(TIMES, hear_ms=hear), replace(PATH, silence_ms=max(silence, 60))
            bounds = [bound_ms(strategy, times, path) for strategy in STRATEGIES]
            assert bounds == sorted(bounds, reverse=True)


def test_the_text_to_be_spoken_first():
    assert REPLY.startswith("I can help you with that,")
    assert text_ms(REPLY, whole=False) == pytest.approx(6 / 60 * 1000)
    assert text_ms(REPLY, whole=True) == pytest.approx(15 / 60 * 1000)
    assert text_ms("Yes", whole=False) == text_ms("Yes", whole=True)


def _record(turn, cause, drawn_ms, asked, first=None, **more):
    """One request: asked at so many ms of its turn, its first output so many ms later."""
    at = turn * 10 + asked / 1000
    stamps = {"requested": at}
    if first is not None:
        name, ms = first
        stamps[name] = at + ms / 1000
    record = {"vendor": "openai", "caller": "bench-0-0", "turn": turn, "cause": cause, "drawn_ms": drawn_ms}
    return record | {"stamps": stamps} | more


def _log(turns):
    """Of turns with a guess that was thrown away."""
    found = []
    for turn in turns:
        found += [
            _record(turn, "transcription", {"transcription": 350.0}, 0, status="cancelled"),
            _record(turn, "transcription", {"transcription": 350.0}, 85, ("first_text", 351.0)),
            _record(turn, "chat", {"first_token": 350.0}, 486, ("first_token", 352.0)),
            _record(turn, "speech", {"speech": 300.0}, 988, ("first_audio", 300.5)),
            _record(turn, "speech", {"speech": 300.0}, 1100, ("first_audio", 306.0)),
        ]
    return found


def test_what_the_vendors_drew_is_read_from_their_log():
    log = [*_log([1, 2]), _record(3, "transcription", {"transcription": 350.0}, 0, ("first_text", 350.0))]
    random.Random(1).shuffle(log)  # they are logged as they end
    turns = {("bench-0-0", turn) for turn in (1, 2)}
    assert drawn(SETTINGS["constants"], log) == dict.fromkeys(turns, TIMES)
    found = taken(SETTINGS["constants"], log)
    assert set(found) == turns
    for one in found.values():
        assert (one.hear_ms, one.think_ms, one.speak_ms) == pytest.approx((351.0, 352.0, 300.5))


def test_a_chain_that_broke_has_no_times():
    log = _log([1])
    assert taken(SETTINGS["constants"], [one for one in log if one["cause"] != "speech"]) == {}
    assert taken(SETTINGS["constants"], [one for one in log if one["cause"] != "chat"]) == {}
    late = _record(1, "transcription", {"transcription": 350.0}, 480, ("first_text", 351.0))
    assert taken(SETTINGS["constants"], [late, *log[2:]]) == {}


def _run(times, cell=CELL, **more):
    turns = [
        {
            "key": "bench-0-0",
            "turn": number,
            "ms": ms,
            "late_ms": {"guess": 0.5, "end": 0.25},
            "guesses": {"guesses": 2, "guesses_used": 1, **more},
        }
        for number, ms in enumerate(times, 1)
    ]
    server = {"turns": _log(range(1, len(times) + 1)), "cores": 0.1}
    found = {"turns": turns, "cpu_s": 1.0, "seconds": 100.0, "own_kb": 1000, "round_trip_ms": 51.0}
    return Run(cell, found=found, server=server)


def test_a_row_counts_what_was_answered_and_measures_from_the_bound():
    row = row_of(CELL, [_run([1322.0] * 60 + [1330.0] * 20 + [None, -100.0], wasted_characters=8)])
    assert (row.n, row.unanswered, row.early) == (80, 1, 1)
    assert row.bound == 1320
    assert (row.middle.value, row.middle.n) == (1322, 80)
    assert row.over.value == pytest.approx(2)
    # As it was: three round trips 1 ms longer each, 3.5 ms in the stages, a frame that came 0.5 ms late.
    assert row.own.value == pytest.approx(2 - 3 - 3.5 - 0.5)
    assert row.own_p95.value == pytest.approx(10 - 7)
    assert row.own_p99 is None  # too few
    assert row.cpu_ms == 10
    assert (row.guesses, row.discarded, row.wasted_characters) == (2, 0.5, 8)


def test_a_clip_as_it_was_recorded_has_a_bound_and_no_distance_in_ms_to_it():
    row = row_of(replace(CELL, sharp=False), [_run([1322.0] * 80)])
    assert row.bound == 1320
    assert (row.over, row.own) == (None, None)


def test_too_few_turns_have_no_percentile():
    row = row_of(CELL, [_run([1312.0] * 5)])
    assert (row.n, row.middle, row.p90, row.over, row.own_p95) == (5, None, None, None, None)


def test_a_client_that_failed_has_a_row_that_says_so():
    [row] = rows([Run(CELL, problem="It broke.")])
    assert (row.n, row.problem) == (0, "It broke.")
    report = Report(
        rows=[row], targets=targets([row]), memory_kb=None, versions={}, environment=ENVIRONMENT, command="x"
    )
    assert "failed: It broke." in markdown(report)


def test_rounds_of_a_place_are_one_row_and_arms_are_paired_by_turn():
    plain = replace(CELL, arm="plain", setting="claimed")
    ours = replace(CELL, arm="voicebridge-overlapped", setting="claimed")
    slow = [1900.0 + number for number in range(80)]
    found = rows([_run(slow, plain), _run([ms - 400 for ms in slow], ours), _run(slow, replace(plain, round=1))])
    assert [(row.arm, row.n) for row in found] == [("plain", 80), ("voicebridge-overlapped", 80)]
    assert faster(*found).value == pytest.approx(400)
    goals = {goal.name: goal for goal in targets(found)}
    ahead = goals["voicebridge, overlapped, claimed: to the plain loop on the same turns, median"]
    assert ahead.met
    assert not replace(ahead, measured=-349.0).met


def test_targets_of_the_side_by_side_and_out_of_the_box():
    beside = replace(CELL, group="side by side", setting="calm voice", sessions=20)
    box = replace(CELL, group="out of the box", setting="calm voice", arm="voicebridge-box", silence_ms=None)
    other = replace(box, arm="pipecat")
    spread = [1340.0] * 70 + [1360.0] * 10
    goals = {
        goal.name: goal
        for goal in targets(rows([_run(spread, beside), _run([900.0] * 80, box), _run([1700.0] * 80, other)]))
    }
    assert goals["side by side, 20 sessions: median"].met
    assert not goals["side by side, 20 sessions: p90 above the median"].met
    assert goals["side by side, 20 sessions: CPU"].measured == pytest.approx(0.5)
    box_goal = goals["out of the box: median, against the best of the others"]
    assert (box_goal.limit, box_goal.measured, box_goal.met) == (1700, 900, True)


def test_every_simulated_row_says_that_times_are_inputs():
    found = rows([_run([1312.0] * 80), _run([1312.0] * 80, replace(CELL, group="many", sessions=100))])
    report = Report(
        rows=found, targets=targets(found), memory_kb=250.0, versions={}, environment=ENVIRONMENT, command="bench"
    )
    text = markdown(report)
    assert text.count("provider times are inputs") == 3
    assert "speculative, guesses at 60 ms" in text
    assert any("250 KB" in line for line in lines(report))
    assert "1312 [1312, 1312]" in text


def test_the_plan_compares_within_a_batch_and_callers_are_the_same():
    plan = plan_of(True, ("pipecat",), 7, True)
    found = list(cells(plan))
    assert [cell.group for cell in found] == sorted((cell.group for cell in found), key=GROUPS.index)
    bounds = [cell for cell in found if cell.group == "bounds" and cell.setting == "claimed"]
    assert {cell.arm for cell in bounds} == {"plain", *FLOORS, *FLOORS.values()}
    assert len({tuple(cell.keys) for cell in bounds}) == 1
    assert found == list(cells(plan)) != list(cells(replace(plan, seed=8)))
    assert {cell.arm for cell in found if cell.group == "side by side"} >= {"pipecat", "voicebridge", "plain-early"}
    assert seconds(plan) < seconds(plan_of(False, ("pipecat",), 7, True))


def test_arms_are_described():
    for name, spec in ARMS.items():
        assert spec.strategy
        assert spec.detector
        assert (spec.bound is None) or name in OWN


def test_a_sharp_clip_ends_in_a_loud_frame():
    loud = (np.sin(np.arange(4800) / 5) * 16_000).astype("<i2")
    faint = (loud * 0.01).astype("<i2")
    samples = np.concatenate([loud, faint, loud[:700], faint])
    cut, end = sharpened(samples, len(samples))
    assert end == len(cut) == 10_320  # the middle of the 22nd frame, the last one that is loud enough
    assert sharpened(samples, 9_000)[1] == 4_560
    with pytest.raises(ValueError, match="no loud frame"):
        sharpened(faint, len(faint))


def test_the_level_gate_finds_an_utterance_and_its_silence():
    gate = LevelGate()
    loud, quiet = (np.sin(np.arange(480) / 5) * 8000).astype("<i2").tobytes(), bytes(960)
    for frame in (*[quiet] * 30, loud, quiet, *[loud] * 4):
        gate.push(frame)
    assert gate.speaking
    for frame in (quiet, quiet, loud, quiet, quiet, quiet):
        gate.push(frame)
    assert gate.silence_ms == 60
    assert len(gate.audio()) % 960 == 0
    assert gate.audio().startswith(quiet)  # what came before is kept
    gate.reset()
    assert (gate.speaking, gate.audio()) == (False, b"")
