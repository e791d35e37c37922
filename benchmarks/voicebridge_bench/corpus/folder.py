"""A manifest for a folder of recordings: each `name.wav` beside a `name.txt` that holds its words is one turn."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from voicebridge.contract.errors import BadAudio, ConfigError
from voicebridge_bench.text_file import read_text

from .annotation import speech
from .manifest import Clip, Manifest, Turn
from .recording import digest, read

__all__ = ["FolderLabels", "manifest_of_folder"]

_LEAD_MS = 300
_TAIL_MS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderLabels:
    """What the files do not tell."""

    name: str
    licence: str = "not stated"
    source: str = "a folder of recordings"
    speaker: str | None = None
    """The same for all; None: each sub-folder is a speaker, and files at the top are of one."""
    accent: str | None = None
    turns_each: int = 5
    """Turns in a conversation, where the folder has no sub-folders."""


def manifest_of_folder(folder: Path, labels: FolderLabels) -> Manifest:
    """Annotate a folder. Sub-folders are conversations; without any, every `turns_each` files in order of name are one.

    Raises:
        ConfigError: there are no wav files, words are missing, or a file can't be read.
        BadAudio: a file is no audio, or nothing is spoken in it.
    """
    if not os.path.isdir(folder):
        raise ConfigError(f"{folder} is no folder.")
    found = (path for path in folder.rglob("*") if path.suffix.lower() == ".wav")
    paths = sorted(found, key=lambda path: (path.parent, path.name))
    if not paths:
        raise ConfigError(f"There are no wav files in {folder}.")
    _check_words(paths)
    clips, turns = [], []
    for number, path in enumerate(paths):
        clip, turn = _entry(path, folder, number, labels)
        clips.append(clip)
        turns.append(turn)
    return Manifest(
        name=labels.name, source=labels.source, licence=labels.licence, clips=tuple(clips), turns=tuple(turns)
    )


def _check_words(paths: list[Path]) -> None:
    missing = [path.with_suffix(".txt").name for path in paths if not path.with_suffix(".txt").is_file()]
    if missing:
        named = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise ConfigError(f"Each wav file needs a txt file of the same name with its words. Missing: {named}.")


def _entry(path: Path, folder: Path, number: int, labels: FolderLabels) -> tuple[Clip, Turn]:
    recording = read(path)
    samples, rate = recording.samples, recording.rate
    spoken = speech(samples, rate)
    if spoken is None:
        raise BadAudio(f"Nothing is spoken in {path}.")
    text = _words(path.with_suffix(".txt"))
    place = path.relative_to(folder)
    group = place.parent.as_posix()
    ident = place.with_suffix("").as_posix()
    speaker = labels.speaker or (group if group != "." else "1")
    clip = Clip(id=ident, path=place.as_posix(), rate=rate, sha256=digest(path), speaker=speaker)
    turn = Turn(
        id=ident,
        conversation=group if group != "." else f"part-{number // labels.turns_each + 1}",
        clip=ident,
        start=max(0, spoken.start - _LEAD_MS * rate // 1000),
        end=min(len(samples), spoken.end + _TAIL_MS * rate // 1000),
        speech_start=spoken.start,
        speech_end=spoken.end,
        longest_pause_ms=spoken.longest_pause_ms,
        text=text,
        accent=labels.accent,
        note=" ".join(recording.notes).replace(str(path), place.as_posix()) or None,
    )
    return clip, turn


def _words(path: Path) -> str:
    text = " ".join(read_text(path).split())
    if not text:
        raise ConfigError(f"{path} holds no words.")
    return text
