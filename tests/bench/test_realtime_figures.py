"""From what the processes saw to what is reported."""

import pytest

from voicebridge_bench.realtime import figures
from voicebridge_bench.realtime.arms.arm import ARMS
from voicebridge_bench.realtime.figures import Range, loads, memory_kb, paired, recovery, targets
from voicebridge_bench.realtime.histogram import Histogram
from voicebridge_bench.realtime.plan import PEERS, Cell, RealtimePlan, Run, cells, plan_of
from voicebridge_bench.realtime.table import Report, lines, markdown, rich_tables


def _delays(*milliseconds):
    found = Histogram()
    for value in milliseconds:
        found.add(int(value * 1e6))
    return found


def _run(arm, sessions=10, number=0, cpu_s=1.0, delays=(1.0,), own_kb=1000, late=(0.1,), **more):
    """A measurement of ten seconds in which nothing went wrong."""
    found = {
        "seconds": 10.0,
        "cpu_s": cpu_s,
        "heard": sessions * 500,
        "delays_10us": _delays(*delays).to_json(),
        "own_kb": own_kb,
        "loop_lag_ms": {"p50": 0.5, "p99": 1.5, "max": 2.0},
        "others_cores": 0.3,
        "stolen": 0.0,
    } | more
    server = {
        "seconds": 10.0,
        "cores": 0.2,
        "lateness_10us": _delays(*late).to_json(),
        "audio_bytes": sessions * 480_000,
    }
    return Run(Cell(arm, sessions, number), found, server)


def test_a_histogram_gives_the_order_statistics_and_adds_up():
    found = _delays(*range(1, 101))
    assert found.n == 100
    assert [found.quantile_ms(p) for p in (0.5, 0.99, 1.0)] == pytest.approx([50.01, 99.01, 100.01])
    both = found + _delays(*[1000.0] * 100)
    assert both.n == 200
    assert both.quantile_ms(0.75) == pytest.approx(1000.01)
    assert Histogram.from_json(both.to_json()).counts == both.counts
    assert Histogram().quantile_ms(0.5) is None
    assert _delays(-0.5).quantile_ms(0.5) == pytest.approx(-0.49)


def test_cpu_time_is_compared_within_a_round_only():
    runs = [
        _run("bare", number=0, cpu_s=1.0),
        _run("voicebridge", number=0, cpu_s=1.2),
        _run("bare", number=1, cpu_s=2.0),
        _run("voicebridge", number=1, cpu_s=2.2),
        _run("voicebridge", number=2, cpu_s=9.0),
    ]
    ours = next(row for row in loads(runs) if row.arm == "voicebridge")
    assert ours.cpu_ratio is not None
    assert (ours.cpu_ratio.low, ours.cpu_ratio.high) == (pytest.approx(1.1), pytest.approx(1.2))
    assert ours.cpu_ms == Range(22.0, 12.0, 90.0)
    assert ours.rounds == 3


def test_delays_of_all_rounds_are_pooled_and_their_range_is_kept():
    runs = [_run("bare", number=0, delays=[1.0] * 99 + [5.0]), _run("bare", number=1, delays=[1.0] * 98 + [9.0] * 2)]
    [row] = loads(runs)
    assert row.p50_ms == pytest.approx(1.01)
    assert row.p99_range_ms is not None
    assert (row.p99_range_ms.low, row.p99_range_ms.high) == (pytest.approx(1.01), pytest.approx(9.01))


def test_a_client_that_hears_or_says_too_little_falls_behind():
    [good] = loads([_run("bare")])
    assert (good.heard, good.spoken, good.behind) == (1.0, 1.0, False)
    slow = _run("bare", heard=4000)
    assert loads([slow])[0].behind
    mute = _run("bare")
    mute.server["audio_bytes"] //= 2
    assert loads([mute])[0].behind


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"late": [6.0]}, "the server sent 6.0 ms late"),
        ({"others_cores": 0.9}, "other processes kept 0.7 cores busy"),
        ({"stolen": 0.1}, "the host took 10% of the time"),
        ({"missing": 2, "unstamped": 1}, "3 frames were lost"),
        ({"broken": 1}, "1 calls broke off"),
    ],
)
def test_what_makes_a_measurement_doubtful(more, words):
    good, bad = _run("bare"), _run("bare", number=1, **more)
    assert figures.doubts([good]) == []
    [doubt] = figures.doubts([bad])
    assert words in doubt
    assert figures.doubts([good, bad, bad]) == [f"{doubt} (in 2 of 3 rounds)"]


def test_a_doubt_of_several_rounds_is_told_once_at_its_worst():
    runs = [_run("bare", number=n, others_cores=0.9 + n) for n in range(3)]
    assert figures.doubts(runs) == ["other processes kept 2.7 cores busy (in 3 of 3 rounds)"]


def test_a_run_without_measurements_says_nothing_of_the_server():
    assert figures.server_load([Run(Cell("bare", 1, 0), problem="it is not there")]) is None


def test_memory_is_the_slope():
    runs = [_run("voicebridge", sessions=n, own_kb=20_000 + 45 * n) for n in (1, 50, 200)]
    assert memory_kb(runs, "voicebridge") == pytest.approx(45)
    assert memory_kb(runs[:1], "voicebridge") is None
    assert memory_kb(runs, "bare") is None
    assert memory_kb([_run("bare", sessions=n, own_kb=None) for n in (1, 50)], "bare") is None


def test_first_audio_is_the_median_of_differences_not_the_difference_of_medians():
    found = paired([1.0, 2.0, 3.0] * 10, [1.5, 2.5, 4.5] * 10)
    assert found.difference is not None
    assert found.difference.value == 0.5
    assert paired([1.0], [2.0]).difference is None


def test_targets_are_reached_missed_or_not_measured():
    runs = [_run(arm, sessions=50, cpu_s=cpu, delays=[11.0]) for arm, cpu in (("bare", 1.0), ("voicebridge", 1.25))]
    found = {target.name: target for target in targets(loads(runs), 310.0, None, 499.0)}
    assert [target.met for target in found.values()] == [False, True, False, None, True]
    assert found["delivery at 50 sessions, p99"].measured == pytest.approx(11.01)


def test_every_arm_has_its_turn_in_each_round():
    plan = RealtimePlan(sessions=(1, 50), peers=("livekit",), rounds=3, peer_rounds=2)
    planned = list(cells(plan))
    own = [cell for cell in planned if cell.arm in ("bare", "voicebridge")]
    assert len(own) == 2 * 2 * 3
    assert len(set(planned)) == len(planned)
    assert [cell.round for cell in planned] == sorted(cell.round for cell in planned)
    assert {(cell.sessions, cell.round) for cell in planned if cell.arm == "livekit"} == {
        (n, number) for n in (1, 50) for number in (0, 1)
    }
    assert planned == list(cells(plan))
    orders = {tuple(cell.arm for cell in own if (cell.sessions, cell.round) == (50, n)) for n in range(3)}
    assert len(orders) == 2, "the order changes from round to round"


def test_a_command_line_becomes_a_plan():
    assert plan_of(True, None, (), 7, True).rounds == 1
    plan = plan_of(False, (100, 20, 20), PEERS, 7, False)
    assert (plan.sessions, plan.peer_sessions, plan.pinned) == ((20, 100), (20,), False)
    assert plan_of(False, (200,), (), 7, True).peer_sessions == (200,)


def _report(rows, **more):
    return Report(
        **(
            {
                "loads": rows,
                "memory_kb": {"bare": 40.0, "voicebridge": None},
                "first_audio": {"voicebridge": paired([1.0] * 10, [1.3] * 10), "livekit": "it hung up"},
                "recovery": recovery({"restarted_ms": [200.0] * 10, "audio_ms": [270.0] * 10}),
                "server": figures.server_load([_run("bare", late=[0.5]), _run("bare", late=[2.0])]),
                "targets": targets(rows, None, 0.3, 270.0),
                "versions": {"bare": {"python": "3.11.7", "packages": {"websockets": "17.4"}}},
                "environment": {
                    "cpu": "a CPU",
                    "cores": 2,
                    "kernel": "Linux",
                    "python": "CPython 3.11.7",
                    "revision": None,
                    "utc": "now",
                    "load_average": None,
                },
                "command": "voicebridge bench realtime",
            }
            | more
        )
    )


def test_the_report_says_what_was_measured_what_failed_and_what_is_doubtful():
    rows = loads([
        _run("bare", sessions=50),
        _run("voicebridge", sessions=50, cpu_s=1.2, late=[7.0]),
        _run("pipecat", sessions=50, heard=100),
        Run(Cell("ag2", 50, 0), problem="it is not there"),
    ])  # fmt: skip
    text = markdown(_report(rows, interrupted=True))
    for words in (
        "| 50 | voicebridge | 1.01 ms |",
        "| 1.20 |",
        "the server sent 7.0 ms late",
        "falls behind: heard 0%",
        "failed: it is not there",
        "bare client 40 KB",
        "+0.30 ms [+0.30 to +0.30], n 10",
        "it hung up",
        "next sound after 270 ms",
        "at worst 2.0 ms late (p99 of a measurement), 0.20 cores",
        "at most 1.3 x: 1.20, reached, but the server",
        "memory of one more session at most 300 KB: not measured",
        "websockets 17.4",
        "(interrupted)",
    ):
        assert words in text
    assert lines(_report(rows, recovery="no network"))[3].endswith("no network.")
    assert rich_tables(_report(rows))


def test_an_arm_is_known_by_what_it_needs():
    for name, spec in ARMS.items():
        assert spec.packages, name
        assert spec.needs, name
