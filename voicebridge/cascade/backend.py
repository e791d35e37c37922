"""A backend made of stages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, Unsupported
from voicebridge.contract.items import Item
from voicebridge.registry.rows import SEATS, Seat

from .options import CascadeOptions
from .seat_settings import own_settings, settings_of
from .seats import Choice, Seats
from .session import CascadeSession

__all__ = ["CascadeBackend"]

_HEEDED = frozenset({"tool_choice", "noise_reduction", "base_url", "api_key"})
"""Settings that a stage takes if its traits say so."""


class CascadeBackend:
    """Speech to text, a language model and text to speech as one `Backend`.

    Args:
        stt, llm, tts, detector: names of stages (`vendor/model`), their classes, functions without parameters that make
            one, or what can be lifted into the seat: a function `pcm -> text`, a text agent (see `LiftedModel`), a
            function `text -> pcm`. A stage itself will do for a single session. `voicebridge.stage` gives one settings
            of its own. A list of them, or `a|b`: each takes over when the one before it fails. Each session may choose
            otherwise by an option of the same name, and set a single stage by an option such as `tts.voice`. Without a
            detector, the first one installed is taken, if the recogniser does not find turns itself; one that is
            chosen finds them in its place.
    """

    def __init__(self, *, stt: Choice, llm: Choice, tts: Choice, detector: Choice = None) -> None:
        self._choices: dict[Seat, Choice] = {"stt": stt, "llm": llm, "tts": tts, "detector": detector}

    @cached_property
    def capabilities(self) -> Capabilities:
        """What a session over these stages can do. Read from stages that are made for it, once.

        Raises:
            ConfigError: a stage can't be had.
        """
        return Seats.of(self._choices).capabilities()

    def check(self, config: SessionConfig) -> None:
        """What `connect` would raise, but for what a stage itself has against its settings."""
        others, own = own_settings(config.options)
        _own_options(others)
        seats = Seats.of(self._choices | _seat_options(others), own)
        settings_of(seats.placed, config)
        _refuse_what_nobody_takes(config, seats)
        _with_mode(config, seats)

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[CascadeSession]:
        """A session. It listens at once; its stages warm up meanwhile.

        Raises:
            ConfigError: a stage can't be had, or a setting does not fit it.
            BadOption: an option that a cascade does not know.
            Unsupported: a way to find turns that these stages have not, or a setting that none of them takes.
        """
        others, own = own_settings(config.options)
        options = _own_options(others)
        seats = Seats.of(self._choices | _seat_options(others), own)
        _refuse_what_nobody_takes(config, seats)
        config = _with_mode(config, seats)
        seats.claim()
        try:
            seats.configure(config)
            session = CascadeSession(seats, config, history, options)
        except BaseException:
            await seats.aclose()
            raise
        session.start()
        try:
            yield session
        finally:
            await session.aclose()


def _seat_options(options: Mapping[str, Any]) -> dict[Seat, Choice]:
    return {seat: options[seat] for seat in SEATS if options.get(seat) is not None}


def _with_mode(config: SessionConfig, seats: Seats) -> SessionConfig:
    """The config with the way in which these stages find turns, where it names none."""
    able = seats.capabilities().turns
    own = "server_vad" if "server_vad" in able else "semantic"
    mode = config.turns.mode or own
    if mode not in able:
        who = "turn detector" if seats.detector else "speech recogniser"
        how = "uses what was said" if seats.detector else "finds them"
        raise Unsupported(
            f"This cascade can't find turns by {mode!r}: its {who} {how}. Leave `mode` out, or choose {own!r} or "
            "'manual'."
        )
    return config.patched({"turns": config.turns.model_copy(update={"mode": mode})})


def _refuse_what_nobody_takes(config: SessionConfig, seats: Seats) -> None:
    """Settings that would change nothing are no better than options that do not exist."""
    if not config.outputs:
        raise Unsupported("A cascade answers: `outputs` names audio, text or both.")
    if config.model is not None:
        raise Unsupported("A cascade has no one model: choose its stages by `stt`, `llm` and `tts`, or in its spec.")
    if config.transcription and config.transcription.model is not None:
        raise Unsupported("What writes down the user's voice in a cascade is its recogniser: choose it by `stt`.")
    for name in sorted(_HEEDED):
        taken = any(name in one.stage.traits.heeds and name not in one.own for one in seats.placed)
        if getattr(config, name) is not None and not taken:
            raise Unsupported(f"No stage of this cascade ({seats.model}) takes the setting {name!r}.")


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
    if made.markup not in ("strip", "keep"):
        raise BadOption(f"markup is 'strip' or 'keep', not {made.markup!r}.", code="bad_option")
    for name in ("timeout_s", "failover_s", "ready_timeout_s"):
        seconds = getattr(made, name)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
            raise BadOption(f"{name} is a number of seconds above 0, not {seconds!r}.", code="bad_option")
    return made
