"""One wheel brings the core and the bundled plugins, and the project files agree with one another."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PLUGINS = sorted((ROOT / "plugins").glob("*/pyproject.toml"))
SAMPLE = ROOT / "tests" / "sample_plugin" / "pyproject.toml"
OWN = {"bench": "voicebridge_bench", "replay": "voicebridge.observe.replay_plugin"}
"""Plugins that are no distribution of their own; the root alone names their entry points."""


def read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


ROOT_FILE = read(ROOT / "pyproject.toml")


def entry_points(project_file: dict[str, Any]) -> dict[str, str]:
    points: dict[str, str] = project_file["project"].get("entry-points", {}).get("voicebridge", {})
    return points


def requirements(project_file: dict[str, Any]) -> list[Requirement]:
    project = project_file["project"]
    lines = [*project.get("dependencies", ()), *project_file["build-system"]["requires"]]
    lines += [line for extra in project.get("optional-dependencies", {}).values() for line in extra]
    lines += [line for group in project_file.get("dependency-groups", {}).values() for line in group]
    return [Requirement(line) for line in lines]


def by_folder(path: Path) -> str:
    return path.parent.name


def test_the_root_repeats_every_entry_point() -> None:
    assert PLUGINS
    union = dict(OWN)
    for path in PLUGINS:
        points = entry_points(read(path))
        assert points, f"{path.parent.name} has no entry point"
        assert not points.keys() & union.keys(), "two plugins share the name of an entry point"
        union |= points
    assert entry_points(ROOT_FILE) == union


@pytest.mark.parametrize("path", PLUGINS, ids=by_folder)
def test_a_plugin_has_the_roots_version_licence_and_python(path: Path) -> None:
    project = read(path)["project"]
    assert project["name"] == path.parent.name
    for key in ("version", "license", "requires-python"):
        assert project[key] == ROOT_FILE["project"][key], key


@pytest.mark.parametrize("path", PLUGINS, ids=by_folder)
def test_the_root_asks_for_all_that_a_plugin_needs(path: Path) -> None:
    root: dict[str, set[str]] = {}
    for wanted in requirements(ROOT_FILE):
        root.setdefault(canonicalize_name(wanted.name), set()).add(str(wanted.specifier))
    for needed in requirements(read(path)):
        name = canonicalize_name(needed.name)
        assert str(needed.specifier) in root.get(name, set()), f"{needed} is not what the root asks for"


@pytest.mark.parametrize("path", PLUGINS, ids=by_folder)
def test_a_plugins_package_is_in_the_wheel_and_under_the_checkers(path: Path) -> None:
    tool = ROOT_FILE["tool"]
    for module in entry_points(read(path)).values():
        package = module.partition(":")[0].partition(".")[0]
        folder = path.parent.relative_to(ROOT) / package
        assert (ROOT / folder / "__init__.py").is_file()
        assert (ROOT / folder / "py.typed").is_file()
        assert folder.as_posix() in tool["hatch"]["build"]["targets"]["wheel"]["packages"]
        assert package in tool["mypy"]["packages"]
        assert f"$MYPY_CONFIG_FILE_DIR/{path.parent.relative_to(ROOT).as_posix()}" in tool["mypy"]["mypy_path"]
        assert package in tool["importlinter"]["root_packages"]


def test_what_the_wheel_names_is_there() -> None:
    for package in ROOT_FILE["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert (ROOT / package / "__init__.py").is_file(), package
        assert (ROOT / package / "py.typed").is_file(), package


@pytest.mark.parametrize("path", [ROOT / "pyproject.toml", *PLUGINS, SAMPLE], ids=by_folder)
def test_no_requirement_names_what_is_not_published(path: Path) -> None:
    """Whoever registered such a name on the public index would be installed in its place."""
    project_file = read(path)
    for needed in requirements(project_file):
        # The root may name its own extras: an installer takes those from the project that it is installing.
        own = path.parent == ROOT and needed.name == project_file["project"]["name"] and needed.extras
        assert own or not canonicalize_name(needed.name).startswith("voicebridge"), str(needed)


def strangers(text: str) -> list[str]:
    """What a text would install from the public index under a name that is not ours there."""
    found = []
    installers = r"(?:pip3? install|uv add|uv tool install|pipx install|pipx run|uvx)\s+([^`#;&|\n]*)"
    for command in re.findall(installers, text.replace("\\\n", " ")):
        words = [word.strip("\"'(),:") for word in command.split()]
        found += [word for word in words if re.match(r"voicebridge(?![\w/]*[/.])[\w.-]*(\[|[=<>~!]|$)", word)]
    return found


def documents() -> Iterator[Path]:
    for folder in (ROOT, ROOT / "plugins", ROOT / "benchmarks", ROOT / "voicebridge"):
        for ending in ("*.md", "*.py", "*.toml", "*.html"):
            found = folder.glob(ending) if folder == ROOT else folder.rglob(ending)
            yield from (path for path in found if not any(part.startswith(".venv") for part in path.parts))


def test_no_document_installs_a_strangers_package() -> None:
    for path in documents():
        text = path.read_text(encoding="utf-8")
        assert not strangers(text), f"{path.relative_to(ROOT)}: {strangers(text)}"


@pytest.mark.parametrize(
    ("line", "caught"),
    [
        ("pip install voicebridge", True),
        ("python -m pip install -q voicebridge", True),
        ("Run `pip install voicebridge[local]` now", True),
        ("pip install 'voicebridge>=0.1'", True),
        ("pip install voicebridge-sdk", True),
        ("uv pip install numpy voicebridge-openai", True),
        ("pip install \\\n    voicebridge", True),
        ("print('pip install voicebridge')", True),
        ("pip install .", False),
        ("pip install '.[local]' && voicebridge ask x.wav", False),
        (". .venv/bin/activate; pip install -e . ; voicebridge talk", False),
        ("pip install ./plugins/voicebridge-local", False),
        ("pip install plugins/voicebridge-local", False),
        ("pip uninstall voicebridge-parrot", False),
    ],
)
def test_the_search_for_strangers_finds_them(line: str, caught: bool) -> None:
    assert bool(strangers(line)) is caught
