"""What the plugin registers, and what a person is told of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date

import voicebridge_openai
from voicebridge.cli.backends import shutdowns
from voicebridge.registry.registry import Registry
from voicebridge.registry.rows import About, BackendRow, ModelAbout
from voicebridge_openai.dialects import DIALECTS


def test_a_backend_for_each_dialect() -> None:
    registry = Registry(allow=["openai"])
    names = [row.name for row in registry.rows().backends]
    assert set(names) == set(DIALECTS)
    assert registry.backend("openai", "gpt-realtime-2").capabilities.truncate == "ms"
    assert registry.backend("xai").capabilities.truncate == "none"


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    code = "import sys, voicebridge_openai; print([m for m in ('orjson', 'httpx', 'websockets') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert voicebridge_openai.__all__


def test_models_that_shut_down_are_warned_about() -> None:
    models = (ModelAbout(name="old", shuts_down=date(2027, 1, 20)), ModelAbout(name="new"))
    row = BackendRow(name="v", factory=lambda model: None, about=About(summary="", models=models), plugin="v")  # type: ignore[arg-type, return-value]  # it is never made
    assert shutdowns([row], date(2026, 1, 1)) == []
    assert shutdowns([row], date(2026, 11, 24)) == ["v/old shuts down on 2027-01-20: choose another model of v."]
    assert shutdowns([row], date(2027, 1, 20)) == ["v/old was shut down on 2027-01-20: choose another model of v."]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return subprocess.run(
        [sys.executable, "-m", "voicebridge.cli", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )


def test_the_command_line_lists_models() -> None:
    rows = json.loads(_run("backends", "--json").stdout)["backends"]
    (row,) = [row for row in rows if row["name"] == "openai"]
    shut = {model["name"]: model["shuts_down"] for model in row["models"]}
    assert shut["gpt-realtime"] == "2027-01-20"
    assert shut["gpt-realtime-2"] is None


def test_no_key_is_told_without_a_traceback(tmp_path: object) -> None:
    import soundfile

    path = f"{tmp_path}/a.wav"
    soundfile.write(path, [0.0] * 2400, 24_000)
    done = _run("ask", path, "--backend", "openai/gpt-realtime-2")
    assert done.returncode == 2
    assert "api_key" in done.stderr
    assert "OPENAI_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr
