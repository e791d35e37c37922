"""`voicebridge ask` over scripted backends, with good recordings and bad ones."""

from __future__ import annotations

import importlib
import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from voicebridge.cli.ask import Asking, ask
from voicebridge.cli.report import JsonReport
from voicebridge.cli.settings import Settings
from voicebridge.testing.clock import run_in_virtual_time

from .conftest import RATE, ROOT, Ended, silence, tone, write

Run = Callable[..., Ended]


def asked(run: Run, file: Path, *more: object, backend: str = "scripted", status: int = 0) -> dict[str, Any]:
    """What `ask --fast --json` says."""
    ended = run("ask", file, "--backend", backend, "--fast", "--json", *more)
    assert ended.status == status, ended.err
    document: dict[str, Any] = json.loads(ended.out)
    return document


def test_a_recording_is_heard_and_answered(run: Run, speech: Path, tmp_path: Path) -> None:
    reply = tmp_path / "reply.wav"
    ended = run("ask", speech, "--backend", "scripted", "--fast", "-o", reply)
    assert ended.status == 0
    assert "heard   hello there" in ended.out
    assert "answer  Hi, nice to meet you." in ended.out
    assert "first audible sample" in ended.out
    assert "Getting scripted ready" in ended.err
    assert f"is in {reply}" in ended.err
    samples, rate = soundfile.read(reply)
    assert rate == 24_000
    assert len(samples) == round(len("Hi, nice to meet you.") * 0.06 * rate)


def test_json_is_one_document_and_nothing_else(run: Run, speech: Path, tmp_path: Path) -> None:
    ended = run("ask", speech, "--backend", "scripted", "--fast", "--json", "-o", tmp_path / "reply.wav")
    assert ended.err == ""
    document = json.loads(ended.out)
    [turn] = document["turns"]
    assert turn["heard"] == "hello there"
    assert turn["answer"] == "Hi, nice to meet you."
    assert turn["status"] == "completed"
    assert turn["answer_ms"] == 1260
    assert document["reply"] == {"file": str(tmp_path / "reply.wav"), "duration_s": 1.26}
    assert document["speech_ms"] == [[200, 700]]
    assert document["faults"] == []
    assert set(document["warm_s"]) == {"stt", "detector", "llm", "tts"}


@pytest.mark.parametrize("fast", [True, False])
def test_every_turn_is_answered_before_the_next_is_spoken(site: None, tmp_path: Path, fast: bool) -> None:
    pause = silence(0.4)  # shorter than any answer
    file = write(tmp_path / "turns.wav", tone(0.5), pause, tone(0.5), pause, tone(0.5))
    asking = asking_for(file, backend="scripted/turns", silence_ms=200, fast=fast)
    run_in_virtual_time(asking.run())
    turns = asking.dialogue.turns
    assert [(turn.heard, turn.answer, turn.status) for turn in turns] == [
        (word, f"You said {word}.", "completed") for word in ("one", "two", "three")
    ]


def test_a_backend_that_takes_a_short_pause_for_the_end_is_let_finish_too(site: None, tmp_path: Path) -> None:
    pause = silence(0.24)  # too short for the user to have meant it, long enough for the backend
    file = write(tmp_path / "turns.wav", tone(0.5), pause, tone(0.5), silence(0.1))
    asking = asking_for(file, backend="scripted/turns", silence_ms=200)
    run_in_virtual_time(asking.run())
    assert len(asking.spans) == 1
    turns = asking.dialogue.turns
    assert [(turn.heard, turn.status) for turn in turns] == [("one", "completed"), ("two", "completed")]


def asking_for(file: Path, *, backend: str = "scripted", fast: bool = False, silence_ms: int | None = None) -> Asking:
    settings = Settings(backend=backend, instructions=None, voice=None, silence_ms=silence_ms, more=[])
    return Asking(file, settings, JsonReport(file, backend), out=None, fast=fast)


def test_in_real_time_every_stage_is_timed_from_the_last_sample_of_speech(site: None, tmp_path: Path) -> None:
    from voicebridge.cascade.backend import CascadeBackend
    from voicebridge.cascade.energy import EnergyDetector
    from voicebridge.registry.registry import registry
    from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

    class Plugin:
        from voicebridge import About, hookimpl

        @hookimpl
        def register_backends(self, register: Any) -> None:
            def make(model: str | None) -> CascadeBackend:
                return CascadeBackend(
                    stt=ScriptedRecogniser(["hello there"], final_s=0.05),
                    llm=ScriptedModel(["Hi,", " nice to meet you."], first_s=0.3, piece_s=0.1),
                    tts=ScriptedVoice(first_s=0.07),
                    detector=EnergyDetector(frame_ms=20, eager_ms=60),
                )

            register("timed", make, self.About(summary="Takes its time"))

    registry().join(Plugin(), "timed")
    file = write(tmp_path / "hello.wav", silence(0.2), tone(1.0), silence(0.1))
    asking = asking_for(file, backend="timed", silence_ms=200)
    run_in_virtual_time(asking.run())
    asking._report.finish(asking.dialogue, None)
    [turn] = asking._report._turns
    assert turn["guessed"]
    assert turn["latency_ms"] == {
        "pause_noticed": pytest.approx(60, abs=1),
        "transcript": pytest.approx(110, abs=1),
        "released": pytest.approx(200, abs=1),
        "first_token": pytest.approx(410, abs=1),
        "first_clause": pytest.approx(410, abs=1),
        "first_speech": pytest.approx(480, abs=1),
        "first_audible_sample": pytest.approx(480, abs=1),
    }


def test_a_voice_cut_in_the_middle_is_answered_all_the_same(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "cut.wav", tone(0.53))
    assert [turn["heard"] for turn in asked(run, file)["turns"]] == ["hello there"]


def test_a_backend_that_finds_no_turns_is_told_when_the_user_has_finished(
    run: Run, speech: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from voicebridge.registry.registry import registry

    monkeypatch.syspath_prepend(ROOT / "tests" / "sample_plugin")
    registry().join(importlib.import_module("voicebridge_parrot"), "parrot")
    document = asked(run, speech, "-o", tmp_path / "reply.wav", backend="parrot")
    assert document["reply"]["duration_s"] == pytest.approx(0.7, abs=0.01)  # it says the same again
    assert [turn["status"] for turn in document["turns"]] == ["completed"]
    by_hand = ("--option", 'turns={"mode": "manual"}')
    assert [turn["heard"] for turn in asked(run, speech, *by_hand)["turns"]] == ["hello there"]


# Recordings of every kind


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "DOUBLE", "ULAW"])
def test_every_kind_of_sample_works(run: Run, tmp_path: Path, subtype: str) -> None:
    file = write(tmp_path / "a.wav", tone(0.5), subtype=subtype)
    assert len(asked(run, file)["turns"]) == 1


def test_48_khz_stereo_works(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "stereo.wav"
    voice = np.sin(np.arange(24_000) * 0.03) * 0.3
    soundfile.write(file, np.stack([voice, voice * 0.5], axis=1), 48_000)
    assert len(asked(run, file)["turns"]) == 1


def test_nan_and_infinite_samples_are_zeroed_counted_and_told(run: Run, tmp_path: Path) -> None:
    voice = tone(0.5)
    voice[100:103] = np.nan
    voice[200] = np.inf
    file = write(tmp_path / "nan.wav", voice, subtype="FLOAT")
    document = asked(run, file)
    assert document["repaired"] == {"nan": 3, "infinite": 1, "clipped": 0}
    assert len(document["turns"]) == 1
    assert "4 samples" in run("ask", file, "--backend", "scripted", "--fast").err


def test_an_odd_byte_at_the_end_works(run: Run, speech: Path) -> None:
    data = bytearray(speech.read_bytes() + b"\x01")
    data[40:44] = struct.pack("<I", len(data) - 44)
    speech.write_bytes(data)
    assert len(asked(run, speech)["turns"]) == 1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_text("hello, I am a text"), "no audio that can be read"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: soundfile.write(path, np.empty(0), RATE), "no samples"),
    ],
)
def test_what_is_no_recording_is_said_in_a_line(
    run: Run, tmp_path: Path, make: Callable[[Path], object], told: str
) -> None:
    file = tmp_path / "bad.wav"
    make(file)
    ended = run("ask", file, "--backend", "scripted", "--fast")
    assert ended.status == 2
    assert ended.out == ""
    [line] = ended.err.splitlines()
    assert line.startswith("voicebridge: ")
    assert told in line
    assert str(file) in line


def test_silence_is_said_to_hold_nothing(run: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "quiet.wav", silence(1.0))
    ended = run("ask", file, "--backend", "scripted", "--fast", "--json")
    assert ended.status == 1
    assert "Nothing was heard" in ended.err
    assert json.loads(ended.out)["turns"] == []


def test_ten_minutes_of_silence_are_never_all_in_memory(site: None, tmp_path: Path) -> None:
    file = write(tmp_path / "long.wav", silence(600.0))
    asking = asking_for(file, fast=True)
    tracemalloc.start()
    run_in_virtual_time(asking.run())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not asking.dialogue.turns
    # They are 19 MB of samples. What grows is a level each 10 ms and two numbers each frame.
    assert peak < 8_000_000


# What can go wrong with the reply


def test_the_reply_never_replaces_the_recording(run: Run, speech: Path) -> None:
    before = speech.read_bytes()
    ended = run("ask", speech, "--backend", "scripted", "--fast", "-o", speech)
    assert ended.status == 2
    assert "is the recording itself" in ended.err
    assert speech.read_bytes() == before


def test_a_reply_that_can_not_be_written_is_said(run: Run, speech: Path, tmp_path: Path) -> None:
    ended = run("ask", speech, "--backend", "scripted", "--fast", "-o", tmp_path / "none" / "reply.wav")
    assert ended.status == 2
    assert "can't be written" in ended.err


def test_a_reply_of_before_is_kept_when_the_backend_can_not_be_had(run: Run, speech: Path, tmp_path: Path) -> None:
    reply = tmp_path / "reply.wav"
    reply.write_bytes(b"of before")
    for backend in ("nothing", "unmet", "scripted/unwarmed"):
        assert run("ask", speech, "--backend", backend, "--fast", "-o", reply).status != 0
    assert reply.read_bytes() == b"of before"


# Backends that fail


@pytest.mark.parametrize(
    ("backend", "status", "told"),
    [
        ("skripted", 2, "Did you mean 'scripted'?"),
        ("a+b", 2, "three stages"),
        ("unmet", 2, "pip install '.[local]'"),
        ("scripted/unwarmed", 1, "no weights here"),
        ("scripted/raises", 1, "the model broke"),
        ("scripted/deaf", 1, "no ears"),
    ],
)
def test_a_backend_that_fails_is_said_in_a_line(run: Run, speech: Path, backend: str, status: int, told: str) -> None:
    ended = run("ask", speech, "--backend", backend, "--fast", "--json")
    assert ended.status == status
    [line] = ended.err.splitlines()
    assert line.startswith("voicebridge: ")
    assert told in line
    document = json.loads(ended.out)
    assert "error" in document or document["faults"]


def test_a_model_that_hangs_is_given_up(run: Run, speech: Path) -> None:
    ended = run("ask", speech, "--backend", "scripted/hangs", "--fast", "--option", "timeout_s=0.3")
    assert ended.status == 1
    assert "did not answer in time" in ended.err
    assert "heard   hello there" in ended.out


def test_an_answer_that_never_comes_is_given_up(site: None, speech: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asking = asking_for(speech, backend="scripted/hangs")
    asking._settings.more.append("timeout_s=3600")
    run_in_virtual_time(asking.run())
    assert asking.out_of_patience


def test_a_bug_is_called_a_bug(run: Run, speech: Path) -> None:
    ended = run("ask", speech, "--backend", "buggy", "--fast")
    assert ended.status == 70
    assert "This is a bug" in ended.err
    assert "VOICEBRIDGE_DEBUG=1" in ended.err


def test_with_the_variable_a_bug_comes_with_its_traceback(
    site: None, speech: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from voicebridge.cli import main

    monkeypatch.setenv("VOICEBRIDGE_DEBUG", "1")
    assert main(["ask", str(speech), "--backend", "buggy", "--fast"]) == 70
    assert "ZeroDivisionError: a bug" in capfd.readouterr().err.split("Traceback", 1)[1]


# Settings


def test_settings_reach_the_backend(run: Run, speech: Path) -> None:
    ended = run("ask", speech, "--backend", "scripted", "--fast", "--option", "speculat=none")
    assert ended.status == 2
    assert "Did you mean 'speculate'" in ended.err


@pytest.mark.parametrize("option", ["timeout_s", "=3", "a b=3", "voice=x", "input_format=3", "provider_events=true"])
def test_what_is_no_option_is_said(run: Run, speech: Path, option: str) -> None:
    ended = run("ask", speech, "--backend", "scripted", "--fast", "--option", option)
    assert ended.status == 2
    assert "option" in ended.err


def test_options_are_json_or_text() -> None:
    settings = Settings(
        backend="x",
        instructions="Be kind.",
        voice=None,
        silence_ms=200,
        more=["a=1", "b=text", 'turns={"mode":"manual"}'],
    )
    assert settings.arguments() == {
        "a": 1,
        "b": "text",
        "turns": {"mode": "manual", "silence_ms": 200},
        "instructions": "Be kind.",
        "voice": None,
    }


def test_ask_is_usable_as_a_function(site: None, speech: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(backend="scripted", instructions=None, voice=None, silence_ms=None, more=[])
    assert ask(speech, settings, out=None, fast=True, json=True) == 0
    assert json.loads(capsys.readouterr().out)["turns"]
