"""The audio of an upload: read whole, as mono PCM16."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from voicebridge.contract.audio import AudioFormat

from .api_error import ApiError

__all__ = ["LARGEST_FILE", "Upload", "read_upload"]

LARGEST_FILE = 25 * 1024 * 1024
"""Bytes, as documented."""
_SHORTEST_S = 0.1
_ENDINGS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
"""What a file may be called, as the vendor's refusal lists them."""
_PCM, _EXTENSIBLE = 1, 0xFFFE


@dataclass(frozen=True, slots=True)
class Upload:
    """What was uploaded."""

    pcm: bytes
    """PCM16, mono."""
    rate: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.pcm) / 2 / self.rate

    @property
    def format(self) -> AudioFormat:
        """Of `pcm`."""
        return AudioFormat(rate=self.rate)


def read_upload(filename: str, content: bytes) -> Upload:
    """Read a file by its contents; the ending of its name must be one of those that are taken.

    WAV with 16-bit PCM needs nothing; anything else is read by `soundfile`, where that is installed.

    Raises:
        ApiError: it is too large, too short, has the wrong name, or can't be read.
    """
    if len(content) > LARGEST_FILE:
        message = f"Maximum content size limit ({LARGEST_FILE}) exceeded ({len(content)} bytes read)"
        raise ApiError(413, message, kind="server_error")
    if PurePath(filename).suffix.lower().removeprefix(".") not in _ENDINGS:
        listed = ", ".join(f"'{one}'" for one in _ENDINGS)
        raise ApiError(400, f"Invalid file format. Supported formats: [{listed}]", param="file")
    upload = _wav(content) or _decoded(content)
    if upload is None:
        message = "Audio file might be corrupted or unsupported"
        raise ApiError(400, message, code="invalid_value", param="file")
    if upload.seconds < _SHORTEST_S:
        message = f"Audio file is too short. Minimum audio length is {_SHORTEST_S} seconds."
        raise ApiError(400, message, code="audio_too_short", param="file")
    return upload


def _wav(content: bytes) -> Upload | None:
    """A WAV file of 16-bit PCM; a length in its header that is a lie ends at the end of the file."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return None
    place, layout = 12, None
    while place + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, place)
        chunk = content[place + 8 : place + 8 + size]
        if name == b"fmt " and len(chunk) >= 16:
            layout = struct.unpack_from("<HHIIHH", chunk)
        elif name == b"data" and layout is not None:
            kind, channels, rate, _, _, bits = layout
            if kind not in (_PCM, _EXTENSIBLE) or bits != 16 or channels not in (1, 2):
                return None
            return _mono(chunk, channels, rate)
        place += 8 + size + size % 2
    return None


def _mono(data: bytes, channels: int, rate: int) -> Upload | None:
    if not 4_000 <= rate <= 192_000:
        return None
    whole = data[: len(data) - len(data) % (2 * channels)]
    if channels == 2:
        pairs = np.frombuffer(whole, "<i2").reshape(-1, 2)
        whole = pairs.mean(axis=1).astype("<i2").tobytes()
    return Upload(whole, rate)


def _decoded(content: bytes) -> Upload | None:
    try:
        import soundfile
    except (ImportError, OSError):
        return None
    try:
        samples, rate = soundfile.read(io.BytesIO(content), dtype="int16", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, ValueError, TypeError):
        return None
    if not 4_000 <= rate <= 192_000:
        return None
    return Upload(samples.mean(axis=1).astype("<i2").tobytes(), int(rate))
