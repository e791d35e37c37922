"""What the vendor takes as an upload, before anything is heard."""

from __future__ import annotations

from pathlib import PurePath

from voicebridge.contract.errors import BadAudio
from voicebridge.testing.simulator.upload import Upload, read_upload

from .api_error import ApiError

__all__ = ["LARGEST_FILE", "checked_upload"]

LARGEST_FILE = 25 * 1024 * 1024
"""Bytes, as documented."""
_SHORTEST_S = 0.1
_ENDINGS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
"""What a file may be called, as the vendor's refusal lists them."""


def checked_upload(filename: str, content: bytes) -> Upload:
    """The audio of a file; it is read by its contents, but the ending of its name must be one of those that are taken.

    Raises:
        ApiError: it is too large, too short, has the wrong name, or can't be read.
    """
    if len(content) > LARGEST_FILE:
        message = f"Maximum content size limit ({LARGEST_FILE}) exceeded ({len(content)} bytes read)"
        raise ApiError(413, message, kind="server_error")
    if PurePath(filename).suffix.lower().removeprefix(".") not in _ENDINGS:
        listed = ", ".join(f"'{one}'" for one in _ENDINGS)
        raise ApiError(400, f"Invalid file format. Supported formats: [{listed}]", param="file")
    try:
        upload = read_upload(content)
    except BadAudio:
        message = "Audio file might be corrupted or unsupported"
        raise ApiError(400, message, code="invalid_value", param="file") from None
    if upload.seconds < _SHORTEST_S:
        message = f"Audio file is too short. Minimum audio length is {_SHORTEST_S} seconds."
        raise ApiError(400, message, code="audio_too_short", param="file")
    return upload
