"""The examples whose lines are counted run as they stand, and counting counts what it says."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from voicebridge.contract.errors import ConfigError
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import simulator
from voicebridge_bench.commands import app
from voicebridge_bench.setup_effort import (
    EXAMPLES,
    backend_of,
    changed_lines,
    effort,
    logical_lines,
    variables,
)

NAMES = ("hosted_cascade", "local", "openai_realtime")
SOUND = """
import asyncio, functools, json, sys
import voicebridge
from voicebridge.audio import device
from voicebridge.testing.simulator.bare_client import tone

HEARD = []

def speech():
    if sys.argv[2] == "tone":
        return tone(700)
    import moonshine_voice, numpy as np, pathlib, soundfile
    path = pathlib.Path(moonshine_voice.__file__).parent / "assets" / "beckett.wav"
    samples, rate = soundfile.read(path, dtype="int16", stop=48_000)
    at = np.arange(len(samples) * 24_000 // rate) * rate / 24_000
    return np.interp(at, np.arange(len(samples)), samples).astype("<i2").tobytes()

class Microphone:
    format = device.DOOR_FORMAT
    def __init__(self, *given, **also): pass
    async def __aenter__(self): return self
    async def __aexit__(self, *error): pass
    async def __aiter__(self):
        pcm = speech() + bytes(48_000 * 12)
        for start in range(0, len(pcm), 960):
            yield pcm[start : start + 960]
            await asyncio.sleep(0.02)
            if sum(HEARD) > 9600 and start > 48_000 * 2:
                return

class Speaker(Microphone):
    def play(self, pcm, response_id=""): HEARD.append(len(pcm))
    def end(self): pass
    def clear(self): return 0.0
    def played_ms(self, response_id=""): return sum(HEARD) / 48
    def progress(self): return {}

device.Microphone, device.Speaker = Microphone, Speaker
voicebridge.VoiceAgent = functools.partial(voicebridge.VoiceAgent, **json.loads(sys.argv[1]))
"""
"""In front of an example: no sound device, and where the simulators are. The example itself is not changed."""


@asynccontextmanager
async def simulated(name: str) -> AsyncIterator[dict[str, Any]]:
    """The options that lead an example to simulators of its vendors."""
    settings = SimulatorSettings(options={"transcripts": ("Good morning.",), "replies": ["Good day to you."]})
    async with AsyncExitStack() as stack:
        if name == "local":
            yield {}
        elif name == "openai_realtime":
            url = await stack.enter_async_context(simulator("openai-realtime").serve())
            yield {"base_url": url, "api_key": "any"}
        else:
            openai = await stack.enter_async_context(simulator("openai-http", settings).serve())
            eleven = await stack.enter_async_context(simulator("elevenlabs").serve())
            urls = {"stt": openai, "llm": openai, "tts": eleven}
            options = {f"{seat}.base_url": url for seat, url in urls.items()}
            yield options | {f"{seat}.api_key": "any" for seat in urls} | {"detector": "energy"}


@pytest.mark.parametrize("name", NAMES)
async def test_an_example_runs_and_answers(name: str) -> None:
    if name == "local":
        pytest.importorskip("moonshine_voice", reason="the local models come with the extra local")
    program = SOUND + (EXAMPLES / f"{name}.py").read_text() + "\nsys.exit(0 if sum(HEARD) > 9600 else 3)\n"
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
    async with simulated(name) as options, asyncio.timeout(50):
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, json.dumps(options), "speech" if name == "local" else "tone",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
        )  # fmt: skip
        try:
            out, errors = await done.communicate()
        finally:
            if done.returncode is None:
                done.kill()
    assert (done.returncode, errors.decode()) == (0, ""), out.decode()


def test_all_examples_are_run() -> None:
    assert tuple(sorted(path.stem for path in EXAMPLES.glob("*.py"))) == NAMES


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("", 0),
        ("x = 1; y = 2", 2),
        ("x = f(\n    1,\n    2,\n)\n", 1),
        ('"""Doc."""\n# a comment\n\nimport a\n', 1),
        ('def f():\n    """Doc."""\n    return 1\n', 2),
        ("for x in y:\n    if x:\n        print(x)\n", 3),
    ],
    ids=["nothing", "semicolon", "broken-line", "prose", "function", "nested"],
)
def test_a_statement_is_a_line(source: str, lines: int) -> None:
    assert logical_lines(source) == lines


def test_changes_are_of_lines_and_not_of_layout() -> None:
    assert changed_lines("a = 1\nb = 2\n", "a = (1)\n\nb = 2  # two\n") == 0
    assert changed_lines("a = 1\nb = 2\n", "a = 1\nb = 3\n") == 1
    assert changed_lines("a = 1\n", "a = 1\nb = 2\nc = 3\n") == 2
    assert changed_lines("a = 1\nb = 2\n", "") == 2


def test_the_backend_is_read_from_the_program() -> None:
    assert backend_of('A("x", backend="local")') == "local"
    for wrong in ('A("x")', "A(backend=name)", 'A(backend="a")\nA(backend="b")'):
        with pytest.raises(ConfigError, match="names its backend once"):
            backend_of(wrong)


def test_keys_are_those_that_the_stages_name() -> None:
    assert variables("local") == ()
    assert variables("openai/gpt-realtime-2") == ("OPENAI_API_KEY",)
    spec = "openai/whisper-1+openai/gpt-4o+elevenlabs/eleven_turbo_v2"
    assert variables(spec) == ("OPENAI_API_KEY", "ELEVENLABS_API_KEY")


def test_three_lines_and_one_to_change() -> None:
    found = effort()
    assert [one.example for one in found] == list(NAMES)
    assert {one.lines for one in found} == {3}
    assert {lines for one in found for lines in one.swaps.values()} == {1}


def test_a_broken_example_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("def (")
    with pytest.raises(ConfigError, match="The example odd is no Python"):
        effort(tmp_path)


def test_the_command_prints_it_beside_the_claims() -> None:
    told = json.loads(CliRunner().invoke(app, ["setup", "--json"]).stdout)
    assert {one["id"] for one in told["claims"]} >= {"set-up/cascade", "set-up/realtime", "lines/realtime"}
    assert {one["verdict"] for one in told["claims"]} == {"not testable here"}
    text = CliRunner().invoke(app, ["setup", "--markdown"])
    assert text.exit_code == 0
    assert "| openai_realtime | openai/gpt-realtime-2 | 3 | OPENAI_API_KEY |" in text.stdout
