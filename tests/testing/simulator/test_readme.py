"""The README's wire works as it stands, and its fault lines are understood."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from voicebridge.testing.simulator import engine
from voicebridge.testing.simulator.fault_script import read_script

README = (Path(engine.__file__).parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("CountingWire", "[{'type': 'hello'}, {'type': 'count', 'frames': 1}, {'type': 'count', 'frames': 3}]\n"),
        (
            "EchoVendor",
            "one three\nfour\n[(1, 'completed', {'first_token': 20.0}), (2, 'completed', {'first_token': 20.0})]\n",
        ),
    ],
    ids=["websocket", "http"],
)
async def test_a_wire_of_the_readme(capsys: pytest.CaptureFixture[str], name: str, shown: str) -> None:
    [code] = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if f"class {name}" in block]
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    await names["main"]()
    assert capsys.readouterr().out == shown


def test_the_faults_of_the_readme() -> None:
    lines = re.findall(r"^\| (`[^|]*) \|", README, re.MULTILINE)
    found = [quoted for line in lines for quoted in re.findall(r"`([^`]+)`", line)]
    whens = ("on", "after", "at", "occurrence", "every", "chance", "connection")
    for one in found:
        plain = one.replace("[text, truncated, binary, utf8]", "").replace("[", "").replace("]", "").strip()
        if plain.split()[0] in whens:
            plain = ("reset " if plain.startswith("at") else "stall ") + plain
        assert len(read_script([plain])) == 1, one
    assert len(found) > 18
