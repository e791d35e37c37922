"""A clip's samples, from the file that its manifest names: found, checked against its hash, read."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from voicebridge.contract.errors import BadAudio, ConfigError, MissingExtra

if TYPE_CHECKING:
    from voicebridge_bench.gate import Samples

    from .manifest import Clip

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
    if not path.is_file():
        raise ConfigError(f"The recording {path} is missing. {obtain}".strip())
    return path


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_clip(clip: Clip, folder: Path, obtain: str = "") -> Samples:
    """The samples of a clip, mono, where 1 is full scale.

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
    samples, rate = _read_pcm(path, clip.rate) if clip.encoding == "pcm16" else read(path)
    if rate != clip.rate:
        raise BadAudio(f"{path} has {rate} samples a second, the manifest says {clip.rate}.")
    return samples


def read(path: Path) -> tuple[Samples, int]:
    """The samples of an audio file, channels averaged, where 1 is full scale; and how many there are a second.

    Raises:
        BadAudio: it is empty, or no audio, or holds values that are no numbers.
    """
    import numpy as np
    import soundfile

    if not path.stat().st_size:
        raise BadAudio(f"{path} is empty.")
    try:
        frames, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise BadAudio(f"{path} is no audio file that can be read here: {error.error_string}") from None
    if not len(frames):
        raise BadAudio(f"{path} holds no samples.")
    if not np.isfinite(frames).all():
        raise BadAudio(f"{path} holds values that are no numbers.")
    mono: Samples = frames.mean(axis=1, dtype=np.float32)
    return mono, int(rate)


def _read_pcm(path: Path, rate: int) -> tuple[Samples, int]:
    import numpy as np

    samples: Samples = np.fromfile(path, dtype="<i2").astype(np.float32) / np.float32(32768)
    if not len(samples):
        raise BadAudio(f"{path} holds no samples.")
    return samples, rate
