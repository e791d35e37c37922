"""What the contract says of itself, held to what it is: names, units, the error tree."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import voicebridge.contract
import voicebridge.core
from voicebridge.contract import errors

MODULES = [
    importlib.import_module(f"{package.__name__}.{module.name}")
    for package in (voicebridge.contract, voicebridge.core)
    for module in pkgutil.iter_modules(package.__path__)
]
PRIVATE_TO_THE_HOUSE = {
    "contract.audio": {"Encoding"},  # says nothing that `AudioFormat.encoding` does not
    "contract.config": {"checked"},  # the door's own; everybody else gives options to `connect`
    "contract.stages": {"PCM_16K"},  # a shorthand, not a word
}
UNITS = {"ms": r"[Mm]illiseconds", "s": r"[Ss]econds", "at": r"[Ss]econds"}


def _name(module: ModuleType) -> str:
    return module.__name__.removeprefix("voicebridge.")


def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))


def _public(tree: ast.Module) -> set[str]:
    """The names that a module makes, and does not mark as its own."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_all_is_complete(module: ModuleType) -> None:
    names = getattr(module, "__all__", None)
    assert names is not None
    assert len(names) == len(set(names))
    left_out = PRIVATE_TO_THE_HOUSE.get(_name(module), set())
    assert set(names) == _public(_tree(module)) - left_out
    assert not left_out & set(names)


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_every_public_name_has_its_words(module: ModuleType) -> None:
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


def _unitless(cls: ast.ClassDef) -> list[str]:
    """Fields that are an amount of time, of which neither their own words nor their class's name the unit."""
    missing = []
    for field, after in zip(cls.body, [*cls.body[1:], None], strict=True):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        unit = UNITS.get(field.target.id.rpartition("_")[2])
        words = ast.get_docstring(cls) or ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            words += str(after.value.value)
        if unit and not re.search(rf"\b{unit}\b", words):
            missing.append(f"{cls.name}.{field.target.id}")
    return missing


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_fields_of_time_name_their_unit(module: ModuleType) -> None:
    classes = [node for node in _tree(module).body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
    assert [field for cls in classes for field in _unitless(cls)] == []


def test_a_field_without_a_unit_is_noticed() -> None:
    [good, bad] = ast.parse(
        "class Good:\n    at: float\n    'Seconds.'\n    gap_ms: float\n    'In Milliseconds'\n"
        "class Bad:\n    at: float\n    gap_ms: float = 0\n    'How long'\n    wait_s: float\n    'In milliseconds.'\n"
    ).body
    assert isinstance(good, ast.ClassDef)
    assert isinstance(bad, ast.ClassDef)
    assert _unitless(good) == []
    assert _unitless(bad) == ["Bad.at", "Bad.gap_ms", "Bad.wait_s"]


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_plain_data_is_frozen_and_slotted(module: ModuleType) -> None:
    """All but what a class of its own keeps up to date."""
    for name in set(module.__all__) - {"ResponsePlayback"}:
        cls = getattr(module, name)
        if isinstance(cls, type) and dataclasses.is_dataclass(cls):
            assert cls.__dataclass_params__.frozen, name
            assert "__slots__" in vars(cls), name


def _printed_tree(text: str) -> dict[str, tuple[str | None, str]]:
    """Of each class in a drawn tree: what it hangs from, and what is said of it."""
    found: dict[str, tuple[str | None, str]] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        if not (match := re.fullmatch(r"([ │├└─]*)([A-Z]\w+)(?:\s{2,}(.+))?", line)):
            continue
        depth, name = len(match[1]), match[2]
        above = [(other, parent) for other, parent in above if other < depth]
        found[name] = (above[-1][1] if above else None, match[3] or "")
        above.append((depth, name))
    return found


def test_the_error_tree_is_as_printed() -> None:
    real = {
        cls.__name__: cls.__base__.__name__ if cls.__base__ is not Exception else None
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, Exception)
    }
    printed = _printed_tree(errors.__doc__ or "")
    assert {name: parent for name, (parent, _) in printed.items()} == real
    assert all(words for _, (parent, words) in printed.items() if parent)
    assert sorted(printed) == sorted(errors.__all__)
