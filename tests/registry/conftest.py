"""A site of the test's own, where a plugin is installed by writing its files: no pip, no build, milliseconds."""

from __future__ import annotations

import importlib.metadata
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Install = Callable[..., None]

SAMPLE = Path(__file__).parents[1] / "sample_plugin"

WORKING = """
    from voicebridge import About, hookimpl

    class Backend:
        capabilities = None
        def __init__(self, model=None):
            self.model = model
        def connect(self, config, history=(), resume=None):
            ...

    @hookimpl
    def register_backends(register):
        register("{name}", Backend, About(summary="{name}"))
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path. Only what is installed there is found, whatever this machine has."""
    everywhere = importlib.metadata.distributions
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: everywhere(path=[str(tmp_path)]))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("VOICEBRIDGE_PLUGINS", raising=False)
    monkeypatch.delenv("VOICEBRIDGE_BLOCK_PLUGINS", raising=False)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Install:
    """`install(name, source)`: a distribution `voicebridge-NAME` whose entry point NAME is the module made of source.

    Without a source it is a plugin that works, with one backend of its name.
    """

    def install(
        name: str, source: str | None = None, *, distribution: str | None = None, value: str | None = None
    ) -> None:
        distribution = distribution or f"voicebridge-{name}"
        module = distribution.replace("-", "_")
        source = WORKING.replace("{name}", name) if source is None else source
        (site / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", encoding="utf-8")
        points = f"[voicebridge]\n{name} = {value or module}\n"
        (info / "entry_points.txt").write_text(points, encoding="utf-8")

    return install


@pytest.fixture
def parrot(site: Path) -> None:
    """The sample plugin, as if pip had installed it."""
    info = site / "voicebridge_parrot-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: voicebridge-parrot\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[voicebridge]\nparrot = voicebridge_parrot\n")
    (site / "voicebridge_parrot").symlink_to(SAMPLE / "voicebridge_parrot", target_is_directory=True)
