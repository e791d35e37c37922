"""Recordings that somebody made to do harm: each is refused in a line, at once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from voicebridge import BadRecording
from voicebridge.observe.recording import Recording

HEADER = '{"recording": 1, "capabilities": {}, "began": "x"}'


def recording(folder: Path, *lines: str) -> Recording:
    (folder / "call.jsonl").write_text("\n".join([HEADER, *lines]) + "\n")
    return Recording(folder)


def audio(at: Any = 0, size: Any = 4) -> str:
    event = {"type": "output_audio", "response_id": "r", "pcm": "", "offset_ms": 0}
    return json.dumps({"event": event, "t": 0, "audio": {"file": "agent.wav", "at": at, "bytes": size}})


def whole(folder: Path, *lines: str) -> list[Any]:
    made = recording(folder, *lines)
    return [made.whole(line) for line in made.lines()]


@pytest.mark.parametrize("t", ["1e300", "Infinity", "-Infinity", "NaN", "-1", "1" + "0" * 400, "1e9"])
def test_a_time_that_cannot_be(tmp_path: Path, t: str) -> None:
    with pytest.raises(BadRecording, match=r"can't be read|its time is"):
        list(recording(tmp_path, f'{{"close": true, "t": {t}}}').lines())


@pytest.mark.parametrize(
    ("at", "size"),
    [(10**26, 4), (2**32, 4), (-1, 4), (float("inf"), 4), (float("nan"), 4), (0, 10**26), (0, float("inf"))],
)
def test_a_place_that_cannot_be(tmp_path: Path, at: Any, size: Any) -> None:
    (tmp_path / "agent.wav").write_bytes(bytes(100))
    with pytest.raises(BadRecording):
        whole(tmp_path, audio(at, size))


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes among the files, and links need a right")
@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(100))
    folder = tmp_path / "call"
    folder.mkdir()
    made = recording(folder, audio())
    odd(folder / "agent.wav", kind, secret)
    with pytest.raises(BadRecording, match="is a link, a pipe or a folder"):
        made.whole(next(made.lines()))
    (folder / "call.jsonl").unlink()
    odd(folder / "call.jsonl", kind, secret)
    with pytest.raises(BadRecording, match="is a link, a pipe or a folder"):
        Recording(folder)


def odd(path: Path, kind: str, target: Path) -> None:
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(target)
    else:
        path.mkdir()
