"""Voices by their names: what the vendor lists."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import aclosing
from difflib import get_close_matches
from typing import Any

from voicebridge.contract.errors import ConfigError
from voicebridge.transport.body import JsonBody
from voicebridge.transport.http import HttpApi, HttpCall

__all__ = ["is_voice_id", "voice_id"]

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LISTED = 100


def is_voice_id(voice: str) -> bool:
    """Whether it is an id, not a name."""
    return _ID.fullmatch(voice) is not None


async def voice_id(api: HttpApi, name: str) -> str:
    """The id of the voice with that name.

    Raises:
        ConfigError: there is none, or several.
        VoiceBridgeError: the vendor could not be asked.
    """
    found = await _listed(api, name)
    wanted = name.strip().lower()
    exact = [one for one in found if one[0].lower() == wanted]
    chosen = exact or [one for one in found if one[0].lower().startswith(wanted)]
    if len({id for _, id in chosen}) == 1:
        return chosen[0][1]
    names = sorted({one for one, _ in chosen or found or await _listed(api, "")})
    near = get_close_matches(name, names, 3, cutoff=0.3) or names[:5]
    what = f"several voices named {name!r}" if chosen else f"no voice {name!r}"
    raise ConfigError(
        f"Cartesia has {what}. Near it: {', '.join(near) or 'none'}. A voice can also be given by its id.",
        code="unknown_voice",
    )


async def _listed(api: HttpApi, search: str) -> list[tuple[str, str]]:
    query = {"limit": str(_LISTED), **({"q": search} if search else {})}
    call = HttpCall(path="/voices", method="GET", query=query)
    found: list[tuple[str, str]] = []
    async with aclosing(api.ask(call, JsonBody(_voices))) as answers:
        async for voices in answers:
            found += voices
    return found


def _voices(value: Any) -> Sequence[list[tuple[str, str]]]:
    listed = value.get("data") if isinstance(value, dict) else value
    rows = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return [[(str(one["name"]), str(one["id"])) for one in rows if one.get("name") and one.get("id")]]
