import dataclasses
import itertools

import pytest

from voicebridge.contract.errors import ConfigError
from voicebridge_bench.bench import Output, bench, exit_status
from voicebridge_bench.corpus.folder import FolderLabels, manifest_of_folder
from voicebridge_bench.corpus.manifest import FILE_NAME, save
from voicebridge_bench.live.load_probe import Machine, Spread, spread
from voicebridge_bench.measures import TurnMeasures
from voicebridge_bench.plan import Plan
from voicebridge_bench.rows import SessionRow, TurnRow, parse_row, read_rows
from voicebridge_bench.summary import summarise
from voicebridge_bench.word_errors import score

MACHINE = Machine(
    loop_lag_ms=Spread(0.1, 2.0, 5.0),
    start_lag_ms=700.0,
    load_before=0.5,
    load_after=1.5,
    own_cores=0.6,
    others_cores=0.1,
    stolen=0.0,
    rss_mb=400.0,
    peak_rss_mb=500.0,
    own_memory_mb=300.0,
)


def turn(
    v2v_ms=300.0, session="1-a", kind="later", name="t", outcome="answered", transcript="ten of clubs", **measures
):
    return TurnRow(
        backend="x",
        silence_ms=200,
        session=session,
        kind=kind,
        conversation="a",
        turn="t",
        index=1,
        longest_pause_ms=measures.pop("pause_ms", 0),
        reference="ten of clubs",
        speaker="1",
        measures=TurnMeasures(outcome=outcome, v2v_ms=v2v_ms, transcript=transcript, **measures),
        word_errors=score("ten of clubs", transcript),
        lateness_ms=None,
    )


def session(name="1-a", cold=False, machine=MACHINE, **fields):
    plain = {
        "backend": "x",
        "silence_ms": 200,
        "conversation": "a",
        "model": "a/b+c/d",
        "ready_ms": 900.0,
        "process_ready_ms": 1500.0,
        "failure": None,
        "lateness_ms": Spread(0.5, 3.0, 9.0),
        "delivery_ms": 1.0,
    }
    return SessionRow(session=name, cold=cold, machine=machine, **(plain | fields))


def test_cold_first_and_later_are_apart():
    rows = [turn(2000.0, kind="cold"), *(turn(400.0, kind="first") for _ in range(6)), *(turn() for _ in range(36))]
    (column,) = summarise(rows, 1)
    assert column.cold.p50 is None
    assert (column.cold.n, column.cold.smallest) == (1, 2000.0)
    assert column.first.p50.value == 400
    assert column.later.p90.value == 300
    assert column.warm.n == 42
    assert column.warm.p95 is None


def test_failures_are_counted_and_never_timed():
    rows = [turn(), turn(None, outcome="silent", transcript=""), turn(-300.0, outcome="talked_over")]
    (column,) = summarise(rows, 1)
    assert column.outcomes == {"answered": 1, "silent": 1, "talked_over": 1}
    assert (column.warm.n, column.warm.smallest) == (1, 300.0)
    assert column.words.pooled.value == pytest.approx(3 / 9)
    assert column.words.untranscribed == 1


def test_shares_are_over_the_turns_that_were_spoken():
    rows = [
        turn(cut_off=True, talked_over=True, pause_ms=340),
        turn(session="2-a"),
        turn(None, outcome="not_reached", transcript=""),
    ]
    (column,) = summarise(rows, 1)
    assert (column.cut_off.count, column.cut_off.of, column.cut_off.clusters) == (1, 2, 2)
    assert column.talked_over.value == 0.5
    assert column.bound_to_be_cut == 1


def test_each_setting_is_a_column():
    rows = [turn(), turn().model_copy(update={"silence_ms": 500}), turn().model_copy(update={"backend": "y"})]
    assert [(column.backend, column.silence_ms) for column in summarise(rows, 1)] == [
        ("x", 200),
        ("x", 500),
        ("y", 200),
    ]


def test_medians_of_stages_leave_out_what_was_not_told():
    (column,) = summarise([turn(eou_ms=200.0, first_byte_ms=290.0), turn(eou_ms=220.0)], 1)
    assert column.waterfall.eou == 210
    assert column.waterfall.first_byte == 290
    assert column.waterfall.transcript is None


def test_sessions_give_start_memory_and_load():
    rows = [
        session(),
        session("2-a", process_ready_ms=None),
        session("cold-1", cold=True, process_ready_ms=2500.0),
        turn(),
    ]
    (column,) = summarise(rows, 1)
    assert column.ready_ms == (900.0, 900.0)
    assert column.process_ready_ms == (1500.0, 2500.0)
    assert column.peak_rss_mb == 500
    assert column.load_average == (0.5, 1.5)
    assert column.models == ("a/b+c/d",)
    assert column.unreliable == ()


@pytest.mark.parametrize(
    ("fields", "machine", "doubt"),
    [
        ({"lateness_ms": Spread(1.0, 25.0, 40.0)}, {}, "up to 25 ms late"),
        ({}, {"others_cores": 1.5}, "other processes kept 1.5 cores busy"),
        ({}, {"stolen": 0.1}, "took away 10%"),
        ({"cold": True}, {"others_cores": 1.5}, "other processes kept 1.5 cores busy during cold starts"),
        ({"cold": True}, {"stolen": 0.1}, "took away 10% of the time during cold starts"),
    ],
)
def test_what_disturbs_a_run_is_told(fields, machine, doubt):
    (column,) = summarise([session(machine=dataclasses.replace(MACHINE, **machine), **fields), turn()], 1)
    assert doubt in column.unreliable[0]
    assert exit_status([column]) == 5


def test_late_audio_while_the_backend_loads_is_no_doubt():
    (column,) = summarise([session(cold=True, lateness_ms=Spread(1.0, 900.0, 1500.0)), turn()], 1)
    assert column.unreliable == ()


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (["answered", "talked_over"], 0),
        (["answered", "silent"], 1),
        (["failed"], 1),
        (["answered", "not_reached"], 1),
        (["not_reached", "not_reached"], 3),
    ],
)
def test_the_exit_status_tells_what_went_wrong(outcomes, status):
    rows = [turn(None if outcome != "answered" else 300.0, outcome=outcome) for outcome in outcomes]
    assert exit_status(summarise(rows, 1)) == status


def test_a_disturbed_run_says_that_all_was_measured_and_what_5_means(recordings, monkeypatch, capsys):
    save(manifest_of_folder(recordings, FolderLabels(name="mine")), recordings / FILE_NAME)
    rows = [turn(), session(machine=dataclasses.replace(MACHINE, others_cores=1.5))]

    def run(plan, corpus, results, tell):
        for row in rows:
            results.add(row)

    monkeypatch.setattr("voicebridge_bench.bench.run", run)
    assert bench(Plan(corpus=str(recordings)), Output(folder=recordings / "results", json=True)) == 5
    err = " ".join(capsys.readouterr().err.split())
    assert "Everything was measured, but other processes kept 1.5 cores busy. That is what exit status 5 says" in err


def test_rows_survive_the_file(tmp_path):
    rows = [turn(underruns_ms=(12.5,), eou_ms=None), session()]
    path = tmp_path / "results.jsonl"
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows))
    assert read_rows(path) == rows
    assert parse_row(rows[0].model_dump_json()) == rows[0]


def test_words_may_hold_a_line_separator(tmp_path):
    row = turn(transcript="ten\u2028clubs")
    path = tmp_path / "results.jsonl"
    path.write_text(row.model_dump_json() + "\n", encoding="utf-8")
    assert read_rows(path) == [row]


def test_a_line_that_a_crash_cut_short_is_left_out_but_a_bad_one_inside_is_told(tmp_path):
    path = tmp_path / "results.jsonl"
    line = session().model_dump_json()
    path.write_text(f"{line}\n{line[:40]}")
    assert len(read_rows(path)) == 1
    path.write_bytes(f"{line}\n{line[:40]}é".encode()[:-1])
    assert len(read_rows(path)) == 1
    path.write_text(f"{line[:40]}\n{line}\n")
    with pytest.raises(ConfigError, match="line 1 is no result"):
        read_rows(path)
    with pytest.raises(ConfigError, match="There is no"):
        read_rows(tmp_path / "nowhere")


def test_a_spread_of_none_is_none():
    assert spread([]) is None
    assert spread([3.0]) == Spread(3.0, 3.0, 3.0)
    assert spread(list(itertools.chain(range(100)))) == Spread(50, 99, 99)
