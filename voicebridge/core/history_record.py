"""An entry of a history as a store keeps it, and a piece of a voice that belongs to one."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.items import Item
from voicebridge.contract.message import Message

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["AudioChunk", "DamagedRecord", "Record", "load_record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Message):
    """An entry of a history: `voicebridge.contract.lines.dump` writes it as JSON, `load_record` reads it."""

    place: int
    """Its number in the conversation. Entries are told in the order of their places; a place is never given twice."""
    key: str | None = None
    """The turn, response or command that it came from; of a call, `call ` and its id. In a store it is the only one of
    its name in the conversation, and the name of its audio. None: nothing will change it."""
    item: Item | None
    """None: it was withdrawn and is none of the conversation. A message without text and images holds its place for
    words that are not known yet, or of which nothing was heard."""
    said: str = ""
    """All that the agent said, of which `item` holds what was heard."""
    heard_ms: float | None = None
    """Milliseconds of the agent's audio that were heard. None: not known, or not cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRecord(Record):
    """An entry that a store has but can't read. It is none of the conversation, and its place stays taken."""

    item: Item | None = None
    why: str
    """Where it is, and what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioChunk:
    """A piece of the audio of one entry."""

    key: str
    """Of the entry."""
    offset: int
    """Bytes from the beginning of that entry's audio."""
    pcm: bytes
    format: AudioFormat


@functools.cache
def _adapter() -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(Record)


def load_record(line: str | bytes) -> Record:
    """The record that `dump` wrote. Fields that this version does not know are passed over.

    Raises:
        ConfigError: the line is no record.
    """
    try:
        record: Record = _adapter().validate_json(line)
    except ValueError as error:
        raise ConfigError(f"This line is no entry of a history: {_reason(error)}.", code="bad_record") from error
    return record


def _reason(error: ValueError) -> str:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(one) for one in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
