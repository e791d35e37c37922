"""The manifest of a corpus: which clips, which turns in them, where speech begins and ends, and what is said.

A manifest is one JSON file. It names audio by place and hash and never holds any. Positions are samples of the clip at
its own rate, from 0; a range ends before its `end`, so `speech_end` is the moment at which the last speech sample has
passed: the zero of the turn's latencies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voicebridge.contract.errors import ConfigError
from voicebridge_bench.text_file import read_text, write_text
from voicebridge_bench.words.slots import Kind

from .annotation import RULE

__all__ = ["FILE_NAME", "Clip", "Manifest", "Turn", "TurnSlot", "bundled", "load", "save"]

FILE_NAME = "manifest.json"
_BUNDLED = Path(__file__).parent

Name = Annotated[str, Field(min_length=1)]
Sample = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Clip(_Part):
    """A recording."""

    id: Name
    path: Name
    """Of the file: inside `package` where that is given, else absolute or relative to the manifest."""
    package: str | None = None
    """The installed Python package that carries it."""
    encoding: Literal["file", "pcm16"] = "file"
    """`file`: the file says itself how it is laid out. `pcm16`: bare little-endian samples, mono."""
    rate: Annotated[int, Field(ge=4_000, le=192_000)]
    """Samples a second."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """Of the whole file."""
    speaker: Name
    """A label: the same for the same voice."""


class TurnSlot(_Part):
    """Something in a turn that must be understood exactly."""

    kind: Kind
    value: Name
    """As it is written, such as `(415) 555-0132`, `$12.50`, `2026-03-15` or `S M I T H`."""


class Turn(_Part):
    """What a user says before the agent answers."""

    id: Name
    conversation: Name
    clip: Name
    start: Sample
    """Where the turn's audio begins; some room before the speech."""
    end: Sample
    """Where it ends; some room after the speech. Silence follows."""
    speech_start: Sample
    """The first speech sample."""
    speech_end: Sample
    """The sample after the last speech sample."""
    longest_pause_ms: int = 0
    """Milliseconds of the longest pause inside the speech: a shorter end-of-turn silence is bound to cut it."""
    text: str | None = None
    """The words, exactly. None: not known for certain, so the turn is timed and its words are not scored."""
    accent: str | None = None
    slots: tuple[TurnSlot, ...] = ()
    note: str | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Turn:
        if not self.start <= self.speech_start < self.speech_end <= self.end:
            raise ValueError(f"turn {self.id}: start <= speech_start < speech_end <= end does not hold")
        return self


class Manifest(_Part):
    """A corpus."""

    format: Literal["voicebridge-corpus"] = "voicebridge-corpus"
    version: Literal[1] = 1
    name: Name
    source: Name
    """Where the recordings come from."""
    licence: Name
    """Of the recordings and of the words."""
    obtain: str = ""
    """What to do when the clips are missing."""
    annotation: str = RULE
    """How `speech_start` and `speech_end` were found."""
    clips: Annotated[tuple[Clip, ...], Field(min_length=1)]
    turns: Annotated[tuple[Turn, ...], Field(min_length=1)]
    """In the order in which they are spoken; turns of one conversation stand together."""

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        clips = {clip.id for clip in self.clips}
        ids = [turn.id for turn in self.turns]
        if len(clips) < len(self.clips) or len(set(ids)) < len(ids):
            raise ValueError("two clips or two turns have the same id")
        for turn in self.turns:
            if turn.clip not in clips:
                raise ValueError(f"turn {turn.id}: there is no clip {turn.clip!r}")
        runs = [turn.conversation for turn, before in zip(self.turns, (None, *self.turns), strict=False)
                if before is None or before.conversation != turn.conversation]  # fmt: skip
        if len(set(runs)) < len(runs):
            raise ValueError("the turns of one conversation do not stand together")
        return self


def bundled() -> Sequence[str]:
    """The names of the corpora that come with voicebridge."""
    return sorted(path.stem for path in _BUNDLED.glob("*.json"))


def load(name_or_path: str) -> tuple[Manifest, Path]:
    """The manifest of a bundled corpus, of a folder or of a file, and the folder that its paths are relative to.

    Raises:
        ConfigError: there is none, it can't be read, or it is no manifest.
    """
    path = _BUNDLED / f"{name_or_path}.json" if name_or_path in bundled() else Path(name_or_path)
    if os.path.isdir(path):
        path = path / FILE_NAME
        if not os.path.exists(path):
            raise ConfigError(
                f"{path.parent} has no {FILE_NAME}. For a folder of wav and txt files, write one with: "
                f"voicebridge bench manifest {path.parent}"
            )
    if not os.path.exists(path):  # unlike Path.exists, it takes any name
        raise ConfigError(f"There is no corpus {name_or_path!r}: name a folder, or one of {', '.join(bundled())}.")
    text = read_text(path)
    try:
        return Manifest.model_validate_json(text), path.parent
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path} is no corpus manifest: {where}: {first['msg']}.") from None


def save(manifest: Manifest, path: Path) -> None:
    """Write a manifest, one clip or turn a line.

    Raises:
        ConfigError: the file can't be written.
    """
    fields = manifest.model_dump(mode="json", exclude_none=True)
    for turn in fields["turns"]:
        if not turn["slots"]:
            del turn["slots"]
    clips, turns = ([json.dumps(part, ensure_ascii=False) for part in fields.pop(key)] for key in ("clips", "turns"))
    head = json.dumps(fields, indent=1, ensure_ascii=False)[:-2]
    lists = (f' "{key}": [\n  ' + ",\n  ".join(rows) + "\n ]" for key, rows in (("clips", clips), ("turns", turns)))
    write_text(path, f"{head},\n" + ",\n".join(lists) + "\n}\n")
