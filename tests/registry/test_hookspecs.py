"""The hooks stay on one screen, and the documentation shows each as it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voicebridge.registry import hookspecs

ROOT = Path(__file__).parents[2]
HOOKS: dict[str, Callable[..., Any]] = {
    name: function
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
    if hasattr(function, f"{hookspecs.PROJECT}_spec")
}


def test_the_whole_surface_fits_on_one_screen() -> None:
    assert len(Path(hookspecs.__file__).read_text(encoding="utf-8").splitlines()) < 80
    assert {"register_backends", "register_stages", "register_commands"} <= HOOKS.keys()


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_one_sentence(name: str) -> None:
    said = inspect.getdoc(HOOKS[name]) or ""
    assert said.endswith(".")
    assert "\n" not in said


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_documented_with_its_signature(name: str) -> None:
    signature = f"{name}({', '.join(inspect.signature(HOOKS[name]).parameters)})"
    assert signature in (ROOT / "plugins" / "README.md").read_text(encoding="utf-8")
