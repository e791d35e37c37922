"""Every example in the README of `voicebridge.testing` runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import voicebridge.testing
from voicebridge.cli.app import program
from voicebridge.testing.contract import CHECKS

FOLDER = Path(voicebridge.testing.__file__).parent
TEXT = (FOLDER / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize("example", [example for example in PROGRAMS if "BackendContract" not in example])
def test_an_example_runs(example: str, tmp_path: Path) -> None:
    done = run("-W", "error", "-c", example, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_examples_of_the_suite_are_test_files_that_pass(tmp_path: Path) -> None:
    examples = [example for example in PROGRAMS if "BackendContract" in example]
    for number, example in enumerate(examples):
        (tmp_path / f"test_example_{number}.py").write_text(example)
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    passed, skipped = (int(re.search(rf"(\d+) {word}", done.stdout)[1]) for word in ("passed", "skipped"))  # type: ignore[index]  # else it fails here
    assert len(examples) == 2
    assert passed + skipped == 2 * len(CHECKS)


def test_its_commands_exist() -> None:
    for line in "".join(COMMANDS).splitlines():
        words = line.split()
        assert words[0] == "voicebridge"
        command = program().get_command(None, words[1])
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known
        for name in re.findall(r"--only (\S+)", line):
            assert name in CHECKS


def test_its_links_lead_somewhere() -> None:
    headings = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\(#(.*?)\)", TEXT)) <= anchors


def test_every_module_of_it_is_named() -> None:
    """Whoever adds one tells of it."""
    told = set(re.findall(r"voicebridge\.testing\.(\w+)", TEXT)) | set(re.findall(r"testing/(\w+)\.py", TEXT))
    modules = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    inner = {"scripted_responses", "scripted_turns"}
    assert modules - inner <= told
    assert voicebridge.testing.BackendContract.__module__.startswith("voicebridge.testing.contract")
    with pytest.raises(AttributeError, match="no attribute 'BackendContrcat'"):
        _ = voicebridge.testing.BackendContrcat
