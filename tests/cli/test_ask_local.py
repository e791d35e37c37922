"""`voicebridge ask` with the open models of this machine and a real human voice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from voicebridge.cli import main
from voicebridge.registry.registry import Registry, use_registry

voicebridge_local = pytest.importorskip("voicebridge_local", reason="comes with voicebridge")
moonshine_voice = pytest.importorskip("moonshine_voice", reason="comes with the extra local")
pytest.importorskip("xllamacpp", reason="comes with the extra local")

RECORDING = Path(moonshine_voice.__file__).parent / "assets" / "beckett.wav"


@pytest.fixture(autouse=True)
def local() -> Iterator[None]:
    """Only this plugin, whether or not it is installed."""
    registry = Registry(allow=[])
    registry.join(voicebridge_local, "local")
    before = use_registry(registry)
    yield
    use_registry(before)


def test_a_human_is_heard_and_answered_with_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples, rate = soundfile.read(RECORDING)
    file, reply = tmp_path / "voice.wav", tmp_path / "reply.wav"
    soundfile.write(file, samples[: 3 * rate], rate)
    assert main(["ask", str(file), "--json", "--silence-ms", "700", "-o", str(reply)]) == 0
    document = json.loads(capsys.readouterr().out)
    heard = " ".join(turn["heard"] for turn in document["turns"])
    assert re.sub(r"[^a-z ]", "", heard.lower()).startswith("ever tried ever failed")
    last = document["turns"][-1]
    assert last["status"] == "completed"
    assert last["answer"]
    steps = last["latency_ms"]
    assert steps["pause_noticed"] < steps["released"] <= steps["first_audible_sample"]
    spoken, rate = soundfile.read(reply)
    assert rate == 24_000
    assert abs(spoken).max() > 0.05
    assert len(spoken) / rate == pytest.approx(sum(turn["answer_ms"] for turn in document["turns"]) / 1000, abs=0.01)
