"""Where conversations are kept: one small protocol, a store in memory, and stores by their URL.

store = open_store("sqlite:///calls.db?audio=true")
for kept in await store.conversations():
    for record in await store.load(kept.name):
        print(record.item)
        if record.key is not None:
            pcm, format = await store.audio(kept.name, record.key)   # the voice of that entry
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, unquote

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.errors import ConfigError
from voicebridge.core.history_record import AudioChunk, Record
from voicebridge.core.writer_claim import Claim, check_claim, check_writer

__all__ = [
    "Conversation",
    "HistoryStore",
    "MemoryHistoryStore",
    "assembled",
    "new_conversation",
    "open_store",
]

_SILENCE = {"pcm16": b"\x00", "ulaw": b"\xff", "alaw": b"\xd5"}
_FORMS = '"memory:", "sqlite:///calls.db" (beside the program), "sqlite:////var/calls.db" (from the root)'


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One that a store has."""

    name: str
    began: datetime
    """When it was first written to, in UTC."""
    changed: datetime
    """When it was last written to."""


class HistoryStore(Protocol):
    """Keeps conversations. Every method may be called from any task, and none holds up the event loop.

    Each raises `ConfigError` where the store can't be what was asked for, and else a `VoiceBridgeError` with a
    retryable fault. What failed may be called again unchanged: to write the same twice is to write it once.
    """

    keeps_audio: bool
    """Whether sessions are to give it their audio, too."""

    async def load(self, conversation: str) -> list[Record]:
        """The entries in their order. None where there is no such conversation: it may begin.

        One that can't be read is a `DamagedRecord` at its place; the store keeps it as it is.
        """
        ...

    async def claim(self, conversation: str, writer: str) -> None:
        """From now on, only this call writes to it. See `voicebridge.core.writer_claim`.

        Args:
            writer: a name of the call that no other one has.

        Raises:
            ConfigError: another call has it (`conversation_in_use`).
        """
        ...

    async def write(
        self,
        conversation: str,
        records: Sequence[Record] = (),
        audio: Sequence[AudioChunk] = (),
        forget: Sequence[str] = (),
        *,
        writer: str | None = None,
    ) -> None:
        """Write all of it or nothing: records at their places, instead of what was there; audio at its offsets.

        A withdrawn record leaves nothing, neither does its audio, nor that of the keys to `forget`.

        Args:
            writer: who claimed the conversation; a batch of nothing tells that it is still there. None: it is not
                asked who has it, for programs that have the store to themselves.

        Raises:
            VoiceBridgeError: another call has taken the conversation (`conversation_taken`). Nothing is written.
        """
        ...

    async def release(self, conversation: str, writer: str) -> None:
        """The call that claimed it has ended. Nothing happens if another one has it."""
        ...

    async def audio(self, conversation: str, key: str) -> tuple[bytes, AudioFormat]:
        """The voice of an entry, by the `key` of its record. What is missing in its middle is silent; nothing of it is
        b"". Only where the store keeps audio."""
        ...

    async def conversations(self) -> list[Conversation]:
        """What there is, the one that was changed last first."""
        ...

    async def delete(self, conversation: str) -> None:
        """Leave nothing of a conversation. Nothing happens if there is none of that name."""
        ...

    async def aclose(self) -> None:
        """Let go of files and threads. Safe to call again."""
        ...


@dataclass(slots=True)
class _Kept:
    began: datetime
    changed: datetime
    records: dict[int, Record] = field(default_factory=dict)
    audio: dict[str, dict[int, AudioChunk]] = field(default_factory=dict)
    """By key and offset."""


class MemoryHistoryStore:
    """A `HistoryStore` that is gone with its object.

    Args:
        keeps_audio: in memory, too: two minutes of one voice take 5.8 MB.
        clock: seconds, by which calls are taken for gone.
    """

    def __init__(self, *, keeps_audio: bool = False, clock: Callable[[], float] = time.time) -> None:
        self.keeps_audio = keeps_audio
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._claims: dict[str, Claim] = {}

    async def load(self, conversation: str) -> list[Record]:
        """See `HistoryStore`."""
        kept = self._kept.get(conversation)
        return [record for _, record in sorted(kept.records.items())] if kept else []

    async def write(
        self,
        conversation: str,
        records: Sequence[Record] = (),
        audio: Sequence[AudioChunk] = (),
        forget: Sequence[str] = (),
        *,
        writer: str | None = None,
    ) -> None:
        """See `HistoryStore`."""
        if writer is not None:
            check_writer(conversation, self._claims.get(conversation), writer)
            self._claims[conversation] = Claim(writer=writer, told_at=self._clock())
        if not (records or audio or forget):
            return
        now = datetime.now(UTC)
        kept = self._kept.setdefault(conversation, _Kept(now, now))
        kept.changed = now
        for chunk in audio:
            kept.audio.setdefault(chunk.key, {})[chunk.offset] = chunk
        for record in records:
            if record.item is not None:
                kept.records[record.place] = record
                continue
            kept.records.pop(record.place, None)
            if record.key is not None:
                kept.audio.pop(record.key, None)
        for key in forget:
            kept.audio.pop(key, None)

    async def claim(self, conversation: str, writer: str) -> None:
        """See `HistoryStore`."""
        now = self._clock()
        check_claim(conversation, self._claims.get(conversation), writer, now)
        self._claims[conversation] = Claim(writer=writer, told_at=now)

    async def release(self, conversation: str, writer: str) -> None:
        """See `HistoryStore`."""
        claim = self._claims.get(conversation)
        if claim is None or claim.writer != writer:
            return
        if conversation in self._kept:
            self._claims[conversation] = replace(claim, ended=True)
        else:
            del self._claims[conversation]

    async def audio(self, conversation: str, key: str) -> tuple[bytes, AudioFormat]:
        """See `HistoryStore`."""
        kept = self._kept.get(conversation)
        chunks = kept.audio.get(key, {}) if kept else {}
        return assembled(chunk for _, chunk in sorted(chunks.items()))

    async def conversations(self) -> list[Conversation]:
        """See `HistoryStore`."""
        found = [Conversation(name=name, began=k.began, changed=k.changed) for name, k in self._kept.items()]
        return sorted(found, key=lambda conversation: conversation.changed, reverse=True)

    async def delete(self, conversation: str) -> None:
        """See `HistoryStore`."""
        self._kept.pop(conversation, None)
        self._claims.pop(conversation, None)

    async def aclose(self) -> None:
        """See `HistoryStore`. What it has, it keeps."""


def assembled(chunks: Iterable[AudioChunk]) -> tuple[bytes, AudioFormat]:
    """One piece of audio from chunks in the order of their offsets: for stores. Holes become silence."""
    joined, format = bytearray(), DOOR_FORMAT
    for chunk in chunks:
        format = chunk.format
        joined += _SILENCE[format.encoding] * (chunk.offset - len(joined))
        joined[chunk.offset : chunk.offset + len(chunk.pcm)] = chunk.pcm
    return bytes(joined), format


def new_conversation() -> str:
    """A name for a new conversation, which nobody can guess: its time, and 32 hex digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex}"


def open_store(url: str) -> HistoryStore:
    """The store that a URL names; it is looked at when it is first used.

    Args:
        url: `memory:`, or `sqlite:///` and the path of a file, which is made if its folder is there.
            `?audio=true` behind it has sessions keep their audio, too.

    Raises:
        ConfigError: no store has such a URL.
    """
    from .sqlite_store import SqliteHistoryStore

    address, _, query = url.partition("?")
    keeps_audio = _keeps_audio(url, query)
    if address == "memory:":
        return MemoryHistoryStore(keeps_audio=keeps_audio)
    path = unquote(address.removeprefix("sqlite:///"))
    if address.startswith("sqlite:///") and path.strip("/") and not path.startswith(":"):
        return SqliteHistoryStore(Path(path), keeps_audio=keeps_audio)
    raise ConfigError(f"No history can be kept in {_shown(url)!r}. Write one of {_FORMS}.", code="bad_history_url")


def _keeps_audio(url: str, query: str) -> bool:
    options = dict(parse_qsl(query, keep_blank_values=True))
    kept = options.pop("audio", "false")
    if options or kept not in ("true", "false"):
        named = ", ".join(options) or "audio"
        raise ConfigError(
            f"The history {_shown(url)!r} has an option that does not exist ({named}): the only one is `audio=true` or "
            "`audio=false`.",
            code="bad_history_url",
        )
    return kept == "true"


def _shown(url: str) -> str:
    """The URL without what may be secret in it: who logs in, by which password."""
    return re.sub(r"^(\w+:/*)?.*@", r"\1...@", url.partition("?")[0])
