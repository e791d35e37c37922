"""The rooms stay apart: which may import which is written in pyproject.toml, and this holds it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "voicebridge"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
VENDORS = re.compile(
    r"openai|azure|gemini|elevenlabs|deepgram|anthropic|cartesia|assemblyai|hume\b|ultravox|bedrock|nova.?sonic",
    re.IGNORECASE,
)
SPEAKS_A_VENDORS_WIRE = {"gateway"}
"""Rooms whose work it is to look like a vendor's server to the outside."""


def test_every_room_has_its_place() -> None:
    [layers] = [contract["layers"] for contract in CONTRACTS if contract["type"] == "layers"]
    placed = {room.strip() for layer in layers for room in layer.split("|")}
    rooms = {f"voicebridge.{path.parent.name}" for path in SOURCE.glob("*/__init__.py")}
    assert placed == rooms


def test_imports_keep_to_the_rooms() -> None:
    pytest.importorskip("importlinter", reason="comes with the extra dev")
    folders = [ROOT, ROOT / "benchmarks", *(ROOT / "plugins").glob("*/")]
    path = os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")])
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_core_names_no_vendor(path: Path) -> None:
    """In code: names and strings. Prose may explain where a rule comes from."""
    if path.relative_to(SOURCE).parts[0] in SPEAKS_A_VENDORS_WIRE:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        words = [getattr(node, field, None) for field in ("id", "attr", "name", "module", "arg")]
        if isinstance(node, ast.Constant) and id(node) not in prose:
            words.append(node.value)
        for word in words:
            if isinstance(word, str):
                assert not VENDORS.search(word), f"line {getattr(node, 'lineno', '?')}: {word!r}"
