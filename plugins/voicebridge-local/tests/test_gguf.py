"""Putting the model file together."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path
from types import ModuleType

import pytest

from voicebridge.contract.errors import ConfigError
from voicebridge_local import gguf

CONTENT = b"first part, second part"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package with the weights in two parts, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    paths = [tmp_path / "part00", tmp_path / "part01"]
    paths[0].write_bytes(CONTENT[:11])
    paths[1].write_bytes(CONTENT[11:])
    module = ModuleType("weights")
    module.chunk_paths = lambda: paths
    module.EXPECTED_SHA256 = hashlib.sha256(CONTENT).hexdigest()
    module.MODEL_NAME = "model.gguf"
    monkeypatch.setattr(gguf, "required", lambda name: module)
    return module


def test_it_is_written_once(package: ModuleType) -> None:
    path = gguf.assembled()
    assert path.read_bytes() == CONTENT
    assert path.name.endswith("model.gguf")
    written = path.stat().st_mtime_ns
    assert gguf.assembled() == path
    assert path.stat().st_mtime_ns == written
    assert list(path.parent.iterdir()) == [path]


def test_half_a_file_is_written_again(package: ModuleType) -> None:
    path = gguf.assembled()
    path.write_bytes(CONTENT[:5])
    assert gguf.assembled().read_bytes() == CONTENT


def test_damaged_parts_leave_nothing_behind(package: ModuleType) -> None:
    package.EXPECTED_SHA256 = "0" * 64
    with pytest.raises(ConfigError, match="damaged"):
        gguf.assembled()
    assert list(gguf.cache_folder().iterdir()) == []


def test_without_a_home_that_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    folder = gguf.cache_folder()
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(blocked))
    with pytest.raises(OSError, match="XDG_CACHE_HOME"):
        gguf.cache_folder()
