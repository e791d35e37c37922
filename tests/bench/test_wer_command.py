import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.registry.registry import Registry, use_registry
from voicebridge_bench.commands import app
from voicebridge_bench.results import ResultsFolder
from voicebridge_bench.words.bench_speech import mode_of
from voicebridge_bench.words.four_numbers import SpeechRow
from voicebridge_bench.words.speech_run import Arm, Judge, run_speech
from voicebridge_bench.words.utterances import Utterance

CLI = [sys.executable, "-c", "from voicebridge_bench.commands import app; app()"]


@pytest.fixture
def here(tmp_path, recordings, parrot_path, monkeypatch):
    """A folder to work in, with a corpus in it, and the recogniser of the tests on the path of child processes."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(parrot_path), *filter(None, sys.path)]))
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["manifest", str(recordings)]).exit_code == 0
    return tmp_path


def _wer(*arguments):
    return subprocess.run([*CLI, "wer", *arguments], capture_output=True, text=True, timeout=100)


def test_a_recogniser_is_scored_on_a_folder(here):
    done = _wer("--set", ".", "--stt", "bench-ear", "--out", "found", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    (ear,) = summary["recognisers"]
    assert ear["words"]["pooled"]["value"] == pytest.approx(1 / 6)  # `this is one` of `this is one`, `this is two`
    assert ear["words"]["normaliser"].startswith("whisper-normalizer")
    assert summary["set"]["utterances"] == 2
    rows = [json.loads(line) for line in (here / "found" / "results.jsonl").read_text().splitlines()]
    assert [row["transcript"] for row in rows] == ["this is one"] * 2
    assert json.loads((here / "found" / "summary.json").read_text())["recognisers"] == summary["recognisers"]


def test_what_fails_is_counted_and_said(here):
    done = _wer("--set", ".", "--stt", "bench-ear", "-O", "text=fail", "--markdown")
    assert done.returncode == 1, done.stderr
    assert "| word error rate, pooled | 100.0%" in done.stdout
    assert "2 of 2, 2 failed" in done.stdout
    assert "The parrot is busy." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stt", "bench-ear", "-O", "colour=red"], "no option 'colour'"),
        (["--stt", "bench-ear", "-O", "text=deaf"], "The ear is deaf."),
        (["--stt", "nobody"], "nobody"),
        (["--stt", ","], "Name one or more"),
        (["--simulate", "nobody"], "--simulate takes"),
    ],
    ids=["option", "deaf", "unknown", "none", "simulator"],
)
def test_what_can_not_be_measured_is_usage(here, arguments, words):
    done = _wer("--set", ".", *arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


class _EarOfTheJudge:
    """What the judge's recogniser does, without a model."""

    name = "judge"

    async def transcribe(self, pcm, source=DOOR_FORMAT):
        assert pcm
        return "polly wants a cracker"


@pytest.fixture
def found_by_name(parrot):
    """The parrot, found by name: by a registry that looks for plugins now."""
    before = use_registry(Registry())
    yield parrot
    use_registry(before)


async def test_a_backend_is_heard_and_judged(found_by_name, tmp_path):
    options = {"text": "hello there", "reply_ms": 200, "turns": {"silence_ms": 200}}
    tone = found_by_name.tone(500)
    spoken = Utterance(id="u", speaker="s", text="Hello there.", pcm=tone + bytes(DOOR_FORMAT.size(100)))
    with ResultsFolder[SpeechRow](tmp_path / "found") as results:
        arm = Arm(backend="bench-parrot", mode="local", options=options)
        await run_speech(arm, [spoken], Judge(_EarOfTheJudge(), None), results, lambda what, passed: None)
        deaf = Arm(backend="bench-parrot", mode="simulated", options=options, hears=False, speaks=False, thinks=False)
        await run_speech(deaf, [spoken], Judge(_EarOfTheJudge(), None), results, lambda what, passed: None)
    real, simulated = results.rows[:4], results.rows[4:]
    by_number = {row.number: row for row in real}
    assert by_number["W1"].errors.errors == 0
    assert (by_number["W4"].reference, by_number["W4"].errors.errors) == ("Polly wants a cracker.", 0)
    assert by_number["W2"].errors.errors > 0  # it does not repeat
    assert by_number["W3"].blank == "the model answers nothing out of band"
    assert {row.number for row in simulated} == {"W1", "W2", "W3", "W4"}
    assert all(row.errors is None and row.blank.startswith("simulated") for row in simulated)


def test_the_mode_is_told_from_what_is_asked_for(parrot):
    assert mode_of("openai/gpt-realtime", {}) == "live"
    assert mode_of("openai/gpt-realtime", {"base_url": "ws://127.0.0.1:8080/v1"}) == "own server"
