"""`voicebridge history`: the conversations that a store has kept, what was said in one, and the voices in it."""

from __future__ import annotations

import asyncio
import json as json_format
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from voicebridge.audio.file import WavWriter
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.items import MessageItem, ToolCallItem, ToolResultItem
from voicebridge.core.history_record import DamagedRecord, Record
from voicebridge.session.history_store import Conversation, HistoryStore, open_store
from voicebridge.session.plain_text import plain
from voicebridge.session.sqlite_store import SqliteHistoryStore

__all__ = ["history"]

_WHO = {"user": "user", "assistant": "agent", "system": "note"}


def history(
    url: str, conversation: str | None, *, delete: str | None, audio: str | None, out: Path | None, json: bool
) -> int:
    """Run the command; its exit status.

    Raises:
        ConfigError: no history is there, no such conversation in it, or no such sound.
        BadAudio: the file for the sound can't be written.
        VoiceBridgeError: it can't be read now.
    """
    if conversation is not None and delete is not None:
        raise ConfigError(f"Show {conversation} or delete {delete}: one at a time.", code="bad_option")
    if audio is not None or out is not None:
        if conversation is None or audio is None or out is None:
            raise ConfigError(
                "The sound of one entry: name the conversation, --audio KEY, as --json shows it, and --out FILE.wav.",
                code="bad_option",
            )
        asyncio.run(_saved(url, conversation, audio, out))
        return 0
    asyncio.run(_deleted(url, delete) if delete is not None else _shown(url, conversation, json=json))
    return 0


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[HistoryStore]:
    """The store, where there is one: to look at a history makes none."""
    store = open_store(url)
    if not isinstance(store, SqliteHistoryStore):
        raise ConfigError(f"{url} ends with its program, so nothing is in it. {_NAME_ONE}", code="no_history")
    try:
        size = store.path.stat().st_size
    except (OSError, ValueError):
        raise ConfigError(
            f"There is no history in {store.path}: no such file. {_NAME_ONE}", code="no_history"
        ) from None
    if not size:
        raise ConfigError(f"There is no history in {store.path}: it is empty. {_NAME_ONE}", code="no_history")
    try:
        yield store
    finally:
        await store.aclose()


_NAME_ONE = "Name what `--history` of talk or ask has made, such as sqlite:///calls.db."


async def _deleted(url: str, name: str) -> None:
    async with _opened(url) as store:
        _check_there(name, await store.conversations())
        await store.delete(name)
    print(f"Nothing of {plain(name)} is left.")


async def _saved(url: str, name: str, key: str, out: Path) -> None:
    async with _opened(url) as store:
        _check_there(name, await store.conversations())
        pcm, format = await store.audio(name, key)
        if not pcm:
            raise ConfigError(
                f"No sound of {key!r} is kept in {name}. {await _with_sound(store, name)}", code="no_audio"
            )
        _check_other(out, store)
        with WavWriter(out, format) as wav:
            wav.write(pcm)
    print(f"{wav.duration_s:.1f} s in {out}.")


def _check_other(out: Path, store: HistoryStore) -> None:
    if isinstance(store, SqliteHistoryStore) and out.exists() and out.samefile(store.path):
        raise ConfigError(f"{out} is the history itself: name another file for the sound.", code="bad_option")


async def _with_sound(store: HistoryStore, name: str) -> str:
    keys = [record.key for record in await store.load(name) if record.key and (await store.audio(name, record.key))[0]]
    if not keys:
        return "There is none in it: sound is kept with --history ...?audio=true."
    return f"There is sound of {plain(', '.join(keys[:_NAMED]))}{' and others' if len(keys) > _NAMED else ''}."


_NAMED = 10


async def _shown(url: str, name: str | None, *, json: bool) -> None:
    async with _opened(url) as store:
        conversations = await store.conversations()
        if name is not None:
            _check_there(name, conversations)
            records = await store.load(name)
            _tell_damage(records)
            document = {"conversation": name, "entries": [_as_json(one) for one in records if _counts(one)]}
            if json:
                print(json_format.dumps(document, ensure_ascii=False, indent=2))
            else:
                _print(records)
            return
        counts = [sum(map(_counts, await store.load(one.name))) for one in conversations]
    if json:
        listed = [
            {"name": one.name, "began": one.began.isoformat(), "changed": one.changed.isoformat(), "entries": count}
            for one, count in zip(conversations, counts, strict=True)
        ]
        print(json_format.dumps(listed, ensure_ascii=False, indent=2))
        return
    _list(url, conversations, counts)


def _check_there(name: str, conversations: Iterable[Conversation]) -> None:
    names = [one.name for one in conversations]
    if name in names:
        return
    close = get_close_matches(name, names, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else "Without a name, all are listed."
    raise ConfigError(f"There is no conversation {name!r}. {hint}", code="no_conversation")


def _tell_damage(records: Iterable[Record]) -> None:
    for record in records:
        if isinstance(record, DamagedRecord):
            print(plain(record.why), file=sys.stderr)


def _counts(record: Record) -> bool:
    """Whether anything was said in an entry: one may hold a place for words that never came."""
    item = record.item
    return item is not None and not (
        isinstance(item, MessageItem) and not (item.text or item.images or record.said.strip())
    )


def _list(url: str, conversations: Sequence[Conversation], counts: Sequence[int]) -> None:
    if not conversations:
        print("No conversation is kept here.")
        return
    rows = [("conversation", "began", "last change", "entries")]
    for one, count in zip(conversations, counts, strict=True):
        began, changed = (f"{at.astimezone():%Y-%m-%d %H:%M}" for at in (one.began, one.changed))
        rows.append((plain(one.name), began, changed, str(count)))
    widest = max(len(row[0]) for row in rows)  # names are there to be copied: they are never cut
    for name, began, changed, number in rows:
        print(f"{name:<{widest}}  {began:<16}  {changed:<16}  {number:>7}")
    print(f"\nRead one with: voicebridge history {url} {plain(conversations[0].name)}")


def _print(records: Iterable[Record]) -> None:
    for record in records:
        if _counts(record):
            who, words = _in_words(record)
            print(f"{who:<6} {plain(' '.join(words.split()))}")


def _in_words(record: Record) -> tuple[str, str]:
    """Who did it, and what."""
    item = record.item
    if isinstance(item, ToolCallItem):
        return "call", f"{item.name} {item.arguments}"
    if isinstance(item, ToolResultItem):
        return "result", f"{item.output}{' (failed)' if item.is_error else ''}"
    assert item is not None
    images = " (with an image)" if item.images else ""
    words = f"{item.text}{images}"
    if not item.interrupted:
        return _WHO[item.role], words or f"(nothing was heard of: {record.said})"
    heard = "" if record.heard_ms is None else f", heard for {record.heard_ms / 1000:.1f} s"
    return _WHO[item.role], f"{words or '(nothing)'} (interrupted{heard}; it was: {record.said or 'not kept'})"


def _as_json(record: Record) -> dict[str, Any]:
    item = record.item
    assert item is not None
    kinds = {MessageItem: "message", ToolCallItem: "tool_call", ToolResultItem: "tool_result"}
    entry = {"type": kinds[type(item)], "key": record.key, **asdict(item)}
    if isinstance(item, MessageItem) and item.role == "assistant":
        entry |= {"said": record.said or item.text, "heard_ms": record.heard_ms}
    return entry
