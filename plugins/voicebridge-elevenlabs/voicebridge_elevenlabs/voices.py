"""Voices by their names: an account's list, asked for once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from time import monotonic
from typing import Any

from voicebridge.contract.errors import ConfigError
from voicebridge.transport.body import JsonBody
from voicebridge.transport.http import HttpApi, HttpCall

from .address import Address

__all__ = ["DEFAULT_VOICE_ID", "Voices", "voice_id_in", "voices_in"]

DEFAULT_VOICE_ID = "JBFqnCBsd6RMkjVDRZzb"
"""That of the examples in the SDK 2.78."""
_ID = re.compile(r"[A-Za-z0-9]{20}")
_SHOWN = 12
_FRESH_S = 300.0


@dataclass(frozen=True, slots=True)
class _List:
    ids: Mapping[str, tuple[str, ...]]
    """By name."""
    at: float
    """Seconds on the monotonic clock, when it was asked for."""


_lists: dict[tuple[str, str], _List] = {}
"""By server and key, for this process."""
_MOST_LISTS = 64


class Voices:
    """The voices of one account.

    Args:
        api: where the list is asked for.
    """

    def __init__(self, address: Address, api: HttpApi) -> None:
        self._api = api
        key = sha256(address.headers.get("xi-api-key", "").encode()).hexdigest()
        self._account = (address.host, key)

    async def id_of(self, voice: str | None) -> str:
        """The id of a voice by its name; an id as it is.

        Raises:
            ConfigError: there is no such voice, or there are several; names those that are near.
            VoiceBridgeError: the list can't be had.
        """
        if voice is None:
            return DEFAULT_VOICE_ID
        if _ID.fullmatch(voice):
            return voice
        known = _lists.get(self._account)
        if known and _matches(voice, known.ids):
            return voice_id_in(known.ids, voice)
        return voice_id_in(await self._fetched(), voice)

    def check(self, voice: str | None) -> None:
        """See that there is such a voice, as far as that is known without asking.

        Raises:
            ConfigError: the list that was asked for a moment ago has none.
        """
        known = _lists.get(self._account)
        if voice is not None and not _ID.fullmatch(voice) and known and monotonic() - known.at < _FRESH_S:
            voice_id_in(known.ids, voice)

    async def _fetched(self) -> Mapping[str, tuple[str, ...]]:
        known: Mapping[str, tuple[str, ...]] = {}
        async for listed in self._api.ask(HttpCall(path="v1/voices", method="GET"), JsonBody(voices_in)):
            known = listed
        while len(_lists) >= _MOST_LISTS:
            del _lists[next(iter(_lists))]
        _lists[self._account] = _List(known, monotonic())
        return known


def voices_in(answer: Any) -> Iterable[Mapping[str, tuple[str, ...]]]:
    """The ids by name, from the answer to `GET /v1/voices`: one mapping."""
    voices = answer.get("voices") if isinstance(answer, Mapping) else None
    found: dict[str, tuple[str, ...]] = {}
    for voice in voices if isinstance(voices, list) else ():
        if isinstance(voice, Mapping) and isinstance(name := voice.get("name"), str) and voice.get("voice_id"):
            found[name] = (*found.get(name, ()), str(voice["voice_id"]))
    yield found


def voice_id_in(known: Mapping[str, tuple[str, ...]], voice: str) -> str:
    """The id of the voice of that name; see `Voices.id_of`."""
    ids = [id for name in _matches(voice, known) for id in known[name]]
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise ConfigError(f"ElevenLabs has {len(ids)} voices {voice!r}: choose one by its id, {', '.join(ids)}.")
    short = {_short(name): name for name in known}
    near = get_close_matches(_short(voice), short, 3, 0.5)
    some = [short[name] for name in near] or sorted(known)[:_SHOWN]
    hint = f"{'Near' if near else 'There'} are {', '.join(map(repr, some))}." if some else "The account has none."
    raise ConfigError(f"ElevenLabs has no voice {voice!r}. {hint}", code="unknown_voice")


def _matches(voice: str, known: Iterable[str]) -> list[str]:
    """Names as they are written, else those that begin so: the vendor adds what a voice is like, as in "George - Warm,
    Captivating Storyteller"."""
    wanted = voice.casefold().strip()
    exact = [name for name in known if name.casefold().strip() == wanted]
    return exact or [name for name in known if _short(name) == wanted]


def _short(name: str) -> str:
    return name.partition(" - ")[0].casefold().strip()
