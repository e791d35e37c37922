"""A clip's samples, from the file that its manifest names: found, checked against its hash, read."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from voicebridge.contract.errors import BadAudio, ConfigError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from voicebridge.audio.file import Recording

    from .manifest import Clip

    Samples = npt.NDArray[np.int16]

__all__ = ["digest", "locate", "read", "read_clip"]


def locate(clip: Clip, folder: Path, obtain: str = "") -> Path:
    """The file of a clip; `folder` is the manifest's.

    Raises:
        MissingExtra: its package is not installed.
        ConfigError: the file is not there.
    """
    root = folder
    if clip.package is not None:
        spec = importlib.util.find_spec(clip.package)
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtra(f"Clip {clip.id!r} comes with the package {clip.package}, which is missing. {obtain}")
        root = Path(spec.submodule_search_locations[0])
    path = root / clip.path
    if not os.path.isfile(path):
        raise ConfigError(f"The recording {path} is missing. {obtain}".strip())
    return path


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        ConfigError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}.") from error


def read_clip(clip: Clip, folder: Path, obtain: str = "") -> Samples:
    """The samples of a clip, mono.

    Raises:
        ConfigError: it is missing, or not the recording that was annotated.
        BadAudio: it is no audio.
    """
    path = locate(clip, folder, obtain)
    found = digest(path)
    if found != clip.sha256:
        raise BadAudio(
            f"{path} is not the recording that was annotated: its SHA-256 is {found[:12]}..., the manifest says "
            f"{clip.sha256[:12]}.... {obtain}".strip()
        )
    if clip.encoding == "pcm16":
        return _read_pcm(path)
    recording = read(path)
    if recording.rate != clip.rate:
        raise BadAudio(f"{path} has {recording.rate} samples a second, the manifest says {clip.rate}.")
    return recording.samples


def read(path: Path) -> Recording:
    """An audio file, channels averaged. Samples that are no numbers are zeroed, and counted in its `repaired`.

    Raises:
        BadAudio: it is empty, or no audio.
    """
    from voicebridge.audio.file import read_recording

    return read_recording(path)


def _read_pcm(path: Path) -> Samples:
    import numpy as np

    samples: Samples = np.fromfile(path, dtype="<i2")
    if not len(samples):
        raise BadAudio(f"{path} holds no samples.")
    return samples
