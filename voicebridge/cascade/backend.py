"""A backend made of stages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, Unsupported
from voicebridge.contract.items import Item
from voicebridge.registry.rows import SEATS, Seat

from .options import CascadeOptions
from .seats import Choice, Seats
from .session import CascadeSession

__all__ = ["CascadeBackend"]


class CascadeBackend:
    """Speech to text, a language model and text to speech as one `Backend`.

    Args:
        stt, llm, tts, detector: names of stages (`vendor/model`), stages, or what can be lifted into the seat: a
            function `pcm -> text`, a text agent (see `LiftedModel`), a function `text -> pcm`. Each session may choose
            otherwise by an option of the same name. Without a detector, the first one installed is taken.
    """

    def __init__(self, *, stt: Choice, llm: Choice, tts: Choice, detector: Choice = None) -> None:
        self._choices: dict[Seat, Choice] = {"stt": stt, "llm": llm, "tts": tts, "detector": detector}

    @property
    def capabilities(self) -> Capabilities:
        """What a session over these stages can do.

        Raises:
            ConfigError: a stage can't be had.
        """
        return Seats.of(self._choices).capabilities()

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[CascadeSession]:
        """A session. It listens at once; its stages warm up meanwhile.

        Raises:
            ConfigError: a stage can't be had, or a setting does not fit it.
            BadOption: an option that a cascade does not know.
            Unsupported: a way to find turns that these stages have not.
        """
        seats = Seats.of(self._choices | _seat_options(config.options))
        if config.turns.mode not in seats.capabilities().turns:
            raise Unsupported(f"This cascade can't find turns by {config.turns.mode!r}: its detector counts silence.")
        for stage in seats.all().values():
            stage.configure(config)
        session = CascadeSession(seats, config, history, _own_options(config.options))
        session.start()
        try:
            yield session
        finally:
            await session.aclose()


def _seat_options(options: Mapping[str, Any]) -> dict[Seat, Choice]:
    return {seat: options[seat] for seat in SEATS if options.get(seat) is not None}


def _own_options(options: Mapping[str, Any]) -> CascadeOptions:
    known = [field.name for field in fields(CascadeOptions)]
    for name in options:
        if name not in known and name not in SEATS:
            near = get_close_matches(name, [*known, *SEATS], 1)
            hint = f" Did you mean {near[0]!r}?" if near else f" It knows {', '.join([*known, *SEATS])}."
            raise BadOption(f"A cascade has no option {name!r}.{hint}", code="unknown_option")
    made = CascadeOptions(**{name: options[name] for name in known if name in options})
    if made.speculate not in ("reply", "transcript", "none"):
        raise BadOption(f"speculate is 'reply', 'transcript' or 'none', not {made.speculate!r}.", code="bad_option")
    if not isinstance(made.timeout_s, (int, float)) or not made.timeout_s > 0:
        raise BadOption(f"timeout_s is a number of seconds above 0, not {made.timeout_s!r}.", code="bad_option")
    return made
