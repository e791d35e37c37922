import json
import os
import queue
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from voicebridge.contract.errors import ConfigError
from voicebridge_bench.command_line import command_line
from voicebridge_bench.commands import app
from voicebridge_bench.corpus.manifest import FILE_NAME
from voicebridge_bench.corpus.speech import open_corpus
from voicebridge_bench.intervals import order_ranks
from voicebridge_bench.job import Job
from voicebridge_bench.options import backend_options, names
from voicebridge_bench.options import silences as read_silences
from voicebridge_bench.plan import Plan, Setting, jobs, turns_of
from voicebridge_bench.rows import SessionRow, TurnRow, read_rows
from voicebridge_bench.worker import ALIVE
from voicebridge_bench.worker_process import WorkerFailed, rows_of
from voicebridge_bench.worker_process import _rows as read_lines

CLI = [sys.executable, "-c", "from voicebridge_bench.commands import app; app()"]


@pytest.fixture
def here(tmp_path, recordings, parrot_path, monkeypatch):
    """A folder to work in, with a corpus in it, and the parrot on the path of child processes."""
    path = os.pathsep.join([str(parrot_path), *filter(None, sys.path)])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["manifest", str(recordings)])
    assert result.exit_code == 0, result.output
    return tmp_path


def _bench(*arguments, **options):
    return subprocess.run([*CLI, *arguments], capture_output=True, text=True, timeout=120, **options)


def test_manifest_describes_what_it_wrote(recordings):
    result = CliRunner().invoke(app, ["manifest", str(recordings), "--speaker", "me", "--accent", "scots"])
    assert "2 turns in 1 conversations, 1 speaker" in result.output
    fields = json.loads((recordings / FILE_NAME).read_text())
    assert fields["turns"][0]["accent"] == "scots"
    again = CliRunner().invoke(app, ["manifest", str(recordings)])
    assert again.exit_code == 2
    assert "--force" in again.output
    assert CliRunner().invoke(app, ["manifest", str(recordings), "--force"]).exit_code == 0


def test_corpora_tells_what_is_there():
    result = CliRunner().invoke(app, ["corpora", "--json"])
    names = [row["name"] for row in json.loads(result.output)]
    assert names == ["default", "pocketsphinx"]
    assert "A Tale of Two Cities" in CliRunner().invoke(app, ["corpora"]).output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--corpus", "nowhere"], "There is no corpus 'nowhere'"),
        (["--silence-ms", "soon"], "whole number of milliseconds"),
        (["--silence-ms", "200,200"], "different things"),
        (["--backend", ","], "Name one or more"),
        (["--option", "colour"], "name=value"),
        (["--write-readme", "--readme", "nowhere.md"], "nowhere.md"),
        (["--sessions", "0", "--cold", "0"], "nothing to measure"),
        (["--corpus", "x" * 300], "There is no corpus"),
        (["--out", "x" * 300], "can't be written"),
        (["--write-readme", "--readme", "x" * 300], "There is no"),
        (["--write-readme", "--readme", "latin.md"], "latin.md is not UTF-8 text"),
        (["--corpus", "latin.md"], "latin.md is not UTF-8 text"),
        (["report", "x" * 300], "holds no finished run"),
        (["manifest", "x" * 300], "no folder"),
        (["report", "nowhere"], "holds no finished run"),
        (["manifest", "nowhere"], "no folder"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(here, arguments, words):
    (here / "latin.md").write_bytes(b"caf\xe9")
    known = arguments[0] in ("report", "manifest")
    corpus = [] if known or "--corpus" in arguments else ["--corpus", str(here)]
    result = CliRunner().invoke(app, [*arguments, *corpus])
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output
    assert not (here / "bench-results").exists()


def test_a_run_measures_reports_and_can_be_reported_again(here):
    (here / "README.md").write_text("<!-- bench:begin -->\n<!-- bench:end -->\n")
    done = _bench(
        *("--backend", "bench-parrot", "--corpus", str(here), "--sessions", "1", "--cold", "1", "--out", "results"),
        *("--option", "reply_ms=100", "--option", "text=this is one", "--json", "--write-readme"),
    )
    assert done.returncode in (0, 5), done.stderr
    summary = json.loads(done.stdout)
    (column,) = summary["columns"]
    assert column["outcomes"] == {"answered": 2}
    assert column["cold_outcomes"] == {"answered": 1}
    assert column["words"]["pooled"]["value"] == pytest.approx(1 / 6)
    assert column["models"] == ["bench/parrot"]
    assert summary["environment"]["cores"]
    assert summary["corpus"]["words"] == 6
    rows = read_rows(here / "results" / "results.jsonl")
    assert [row.kind for row in rows if isinstance(row, TurnRow)] == ["cold", "first", "later"]
    assert [row.cold for row in rows if isinstance(row, SessionRow)] == [True, False]
    assert "bench-parrot" in (here / "README.md").read_text()
    again = _bench("report", "results", "--json")
    assert json.loads(again.stdout)["columns"] == summary["columns"]
    assert "| word error rate | 16.7%" in _bench("report", "results", "--markdown").stdout
    assert "word error rate" in _bench("report", "results").stdout
    taken = _bench("--backend", "bench-parrot", "--corpus", str(here), "--out", "results")
    assert (taken.returncode, "already holds" in taken.stderr) == (2, True)


def test_a_backend_that_refuses_ends_with_status_2_and_its_reason(here):
    done = _bench("--backend", "bench-parrot/shy", "--corpus", str(here), "--cold", "2", "--out", "results")
    assert done.returncode == 2
    assert "does not talk to strangers" in done.stdout
    assert "Traceback" not in done.stderr
    outcomes = {
        row.measures.outcome for row in read_rows(here / "results" / "results.jsonl") if isinstance(row, TurnRow)
    }
    assert outcomes == {"not_reached"}


def test_an_unknown_backend_is_told_once(here):
    done = _bench("--backend", "bench-parott", "--corpus", str(here), "--out", "results")
    assert done.returncode == 2
    assert "bench-parrot" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_missing_replies_end_with_status_1(here):
    done = _bench(
        *("--backend", "bench-parrot/mute", "--corpus", str(here), "--sessions", "1", "--cold", "0"),
        *("--reply-s", "1", "--out", "results"),
    )
    assert done.returncode == 1
    assert "2 of 2 (2 silent)" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent the POSIX way")
def test_ctrl_c_keeps_what_was_measured_and_says_where(here):
    command = [
        *CLI,
        "--backend",
        "bench-parrot",
        "--corpus",
        str(here),
        "--cold",
        "0",
        "--out",
        "results",
        "--sessions",
        "9",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if ": one " in line or ": two " in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Interrupted. What was measured until then is in results" in err
    assert "Traceback" not in out + err
    assert json.loads((here / "results" / "summary.json").read_text())["interrupted"]
    assert len(read_rows(here / "results" / "results.jsonl")) >= 1


def _job(here, **fields):
    return Job(**({"backend": "bench-parrot", "corpus": str(here), "sessions": (("1", "part-1"),)} | fields))


def test_a_backend_that_blocks_its_event_loop_is_ended(here):
    with pytest.raises(WorkerFailed, match="blocked its event loop"):
        list(rows_of(_job(here, options={"stall": True}), here / "log", stuck_s=4))


def test_a_worker_that_dies_is_told_with_its_last_words(here, monkeypatch):
    monkeypatch.setenv("VOICEBRIDGE_PLUGINS", "none-of-them")
    with pytest.raises(WorkerFailed, match="no corpus"):
        list(rows_of(_job(here, corpus="nowhere"), here / "log"))


def test_what_is_no_row_is_told():
    lines = queue.Queue()
    for line in (ALIVE + "\n", "Loading weights: 100 %\n", None):
        lines.put(line)
    with pytest.raises(WorkerFailed, match="no result: 'Loading weights"):
        list(read_lines(lines, 1.0))


def test_leaving_the_rows_ends_the_worker(here):
    rows = rows_of(_job(here, sessions=(("1", "part-1"), ("2", "part-1"))), here / "log")
    assert next(rows).turn == "one"
    rows.close()


def test_a_plan_is_the_same_for_the_same_seed():
    plan = Plan(rounds=5, cold=2, seed=3)
    talks = ["a", "b", "c"]
    first, again = (jobs(plan, Setting("x", 200), talks) for _ in range(2))
    assert first == again
    assert [job.cold for job in first] == [True, True, False]
    assert [conversation for job in first if job.cold for _, conversation in job.sessions] == ["a", "b"]
    warm = first[-1].sessions
    assert len(warm) == 15
    assert len({name for name, _ in warm}) == 15
    assert warm != jobs(Plan(rounds=5, cold=2, seed=4), Setting("x", 200), talks)[-1].sessions
    assert jobs(Plan(rounds=0, cold=0), Setting("x", 200), talks) == []


def test_the_command_line_is_what_one_would_type():
    assert command_line(Plan()) == "voicebridge bench"
    plan = Plan(
        backends=("a", "b/c"), silences_ms=(200, None), rounds=5, options={"speed": 2}, corpus="/some/where/mine"
    )
    expected = "voicebridge bench --backend a,b/c --silence-ms 200,own --corpus mine --sessions 5 --option speed=2"
    assert command_line(plan) == expected
    more = Plan(instructions="Say 'yes'; $HOME", reply_s=2.5, options={"name": "a b", "n": "1", "deep": {"x": [1]}})
    words = shlex.split(command_line(more))
    assert words[2:6] == ["--reply-s", "2.5", "--instructions", "Say 'yes'; $HOME"]
    assert backend_options(words[7::2]) == more.options


@pytest.mark.parametrize("name", ["api_key", "apiKey", "token", "CLIENT_SECRET", "password", "Authorization", "tokens"])
@pytest.mark.parametrize("value", ["hunter2", 70707, {"hunter2": 1}, ["hunter2"]])
def test_secrets_are_not_part_of_the_command_line(name, value):
    plain = command_line(Plan(options={name: value, "max_output_tokens": 50, "keywords": ["Ann"]}))
    nested = command_line(Plan(options={"headers": [{name: value}], "colour": "green"}))
    for text in (plain, nested):
        assert "hunter2" not in text
        assert "70707" not in text
    assert f"--option {name}=... --option max_output_tokens=50" in plain
    assert "Ann" in plain
    assert "colour=green" in nested


def test_a_plain_run_has_enough_turns_for_a_p90_of_later_ones():
    corpus = open_corpus("default")
    (job,) = jobs(Plan(cold=0), Plan().settings()[0], [talk.name for talk in corpus.conversations])
    turns = turns_of(job, corpus)
    assert order_ranks(len(turns), 0.9)
    assert order_ranks(len(turns) - len(job.sessions), 0.9)


def test_help_lists_every_exit_status():
    text = " ".join(CliRunner().invoke(app, ["--help"]).output.split())
    for status in ("0 measured", "1 some", "2 usage", "3 no connection", "5 everything", "130 interrupted"):
        assert status in text


def test_a_folder_is_annotated_although_some_samples_are_no_numbers(recordings, speech):
    samples = speech(16_000, 1.0)
    samples[:3] = [np.nan, np.inf, -np.inf]
    soundfile.write(recordings / "one.wav", samples, 16_000, subtype="FLOAT")
    result = CliRunner().invoke(app, ["manifest", str(recordings)])
    assert result.exit_code == 0
    assert "3 samples of one.wav were NaN or infinite: set to zero." in " ".join(result.output.split())
    note = json.loads((recordings / FILE_NAME).read_text())["turns"][0]["note"]
    assert note == "3 samples of one.wav were NaN or infinite: set to zero."


def test_a_file_that_cannot_be_read_or_written_is_named(here, monkeypatch):
    def refusing(name, real):
        def method(path, *arguments, **options):
            if path.name == name:
                raise PermissionError(13, "Permission denied")
            return real(path, *arguments, **options)

        return method

    (here / "README.md").write_text("<!-- bench:begin -->\n<!-- bench:end -->\n")
    for method, name, arguments in (
        ("read_text", "one.txt", ["manifest", str(here), "--force"]),
        ("read_text", "README.md", ["--write-readme", "--corpus", str(here)]),
        ("read_text", FILE_NAME, ["--corpus", str(here)]),
        ("write_text", FILE_NAME, ["manifest", str(here), "--force"]),
        ("open", "one.wav", ["--corpus", str(here)]),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, refusing(name, getattr(Path, method)))
            result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2, (name, result.output)
        assert name in result.output


def test_words_of_the_command_line():
    assert names("a, b") == ("a", "b")
    assert read_silences("200,own") == (200, None)
    assert backend_options(["a=1", "b=x=y", 'c="1"']) == {"a": 1, "b": "x=y", "c": "1"}
    with pytest.raises(ConfigError):
        read_silences("-5")
