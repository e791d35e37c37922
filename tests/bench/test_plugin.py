import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import typer

import voicebridge_bench
from voicebridge.registry.plugins import Registrar, enrol

PACKAGE = Path(find_spec("voicebridge_bench").submodule_search_locations[0])


def test_it_joins_the_command_line_as_bench():
    registrar = Registrar("bench", "voicebridge-sdk")
    enrol(voicebridge_bench, registrar)
    ((kind, name), row) = next(iter(registrar.rows.items()))
    assert (kind, name, len(registrar.rows)) == ("command", "bench", 1)
    assert isinstance(row.load(), typer.Typer)


def test_importing_it_costs_next_to_nothing():
    program = "import sys, voicebridge_bench; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"numpy", "pydantic", "rich", "typer", "jiwer", "soundfile", "soxr", "onnxruntime", "websockets"}
    assert not heavy & set(done.stdout.split())


def test_it_reaches_backends_by_name_alone():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                strangers = [name for name in names if name.startswith("voicebridge_")]
                assert all(name.startswith("voicebridge_bench") for name in strangers), path


def test_files_and_functions_stay_small():
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text()
        assert len(source.splitlines()) <= 400, path
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < 45, f"{path.name}: {node.name}"
