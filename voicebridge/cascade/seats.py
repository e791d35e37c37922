"""Who sits where in a cascade."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import LanguageModel, SpeechToText, Stage, TextToSpeech, TurnDetector
from voicebridge.registry.registry import METHODS, registry
from voicebridge.registry.rows import Seat

from .energy import EnergyDetector
from .lifted_model import LiftedModel
from .lifted_voice import LiftedRecogniser, LiftedVoice

__all__ = ["SEAT_NAMES", "Choice", "Seats"]

Choice = Any
"""A stage's name; its class, or a function without parameters that makes one for each session; a stage, for one
session; or what can be lifted into its seat."""

SEAT_NAMES: dict[Seat, str] = {
    "stt": "speech recogniser",
    "detector": "turn detector",
    "llm": "language model",
    "tts": "voice",
}
_LIFTS: dict[Seat, Callable[[Any], Any]] = {"stt": LiftedRecogniser, "llm": LiftedModel, "tts": LiftedVoice}
_WRAPPERS = (LiftedRecogniser, LiftedModel, LiftedVoice)
"""They keep nothing of a session: what is shared is the caller's own."""
_CLOSE_TIMEOUT_S = 5.0
_claimed: dict[int, weakref.ref[Stage]] = {}
"""The stages of this process that serve or have served a session, by identity, for as long as they exist."""


def _forget(identity: int, _: object) -> None:
    _claimed.pop(identity, None)


@dataclass(frozen=True, slots=True)
class Seats:
    """The stages of one session, and their names."""

    stt: SpeechToText
    detector: TurnDetector | None
    """None where the recogniser finds the turns itself."""
    llm: LanguageModel
    tts: TextToSpeech
    names: Mapping[str, str]

    @classmethod
    def of(cls, choices: Mapping[Seat, Choice]) -> Seats:
        """The stages that were chosen. Without a choice of detector: the first installed one, else by energy.

        Raises:
            BackendNotFound, MissingExtra, BrokenPlugin: a name can't be had.
            ConfigError: something can't sit in its seat.
        """
        stt = _seat("stt", choices["stt"])
        chosen = choices.get("detector")
        names: dict[str, str] = {
            seat: choice if isinstance(choice, str) else "custom" for seat, choice in choices.items() if choice
        }
        if chosen is None and stt.traits.turns == "none":
            chosen = names["detector"] = _installed_detector()
        return cls(
            stt=stt,
            detector=_seat("detector", chosen) if chosen is not None else None,
            llm=_seat("llm", choices["llm"]),
            tts=_seat("tts", choices["tts"]),
            names=names,
        )

    def claim(self) -> None:
        """Take the stages for a session. A stage remembers: no other session may have it, now or later.

        Raises:
            ConfigError: one of them has served before. None is taken then.
        """
        stages = {seat: stage for seat, stage in self.all().items() if not isinstance(stage, _WRAPPERS)}
        for seat, stage in stages.items():
            if (known := _claimed.get(id(stage))) and known() is stage:
                raise ConfigError(
                    f"The {type(stage).__name__} given as `{seat}` has served a session already, and a stage serves "
                    f"one. Give its name, its class, or what makes one for each session: `{seat}=lambda: ...`."
                )
        for stage in stages.values():
            with suppress(TypeError):  # an object that nobody can watch
                _claimed[id(stage)] = weakref.ref(stage, partial(_forget, id(stage)))

    async def aclose(self) -> None:
        """Close every stage, in a bounded time. One that can't has nobody left to tell."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await asyncio.gather(*(stage.aclose() for stage in self.all().values()), return_exceptions=True)

    @property
    def model(self) -> str:
        """The seats in the form of a spec."""
        return "+".join(self.names[seat] for seat in ("stt", "llm", "tts"))

    def all(self) -> dict[Seat, Stage]:
        """Every stage by its seat."""
        stages: dict[Seat, Stage] = {"stt": self.stt, "llm": self.llm, "tts": self.tts}
        return stages | ({"detector": self.detector} if self.detector else {})

    def capabilities(self) -> Capabilities:
        """What a cascade of these stages can do."""
        return Capabilities(
            turns=frozenset(
                {"semantic" if self.detector and self.detector.traits.semantic else "server_vad", "manual"}
            ),
            interrupt=frozenset({"verb", "auto", "auto_off"}),
            truncate="ms",
            respond=frozenset({"verb", "instructions", "say", "aside"}),
            inputs=frozenset({"audio", "text"}),
            outputs=frozenset({"audio", "text"}),
            context="item",
            tools="blocking" if self.llm.traits.tools else "none",
            seed=frozenset({"text", "tools", "instructions"}),
            live_update=frozenset({"instructions", "tools", "voice", "turns"}),
            speech_events="reported",
            input_transcript="live" if self.stt.traits.interim else "late",
            usage="exact",
            formats_in=(self.stt.traits.format,),
            formats_out=(self.tts.traits.format,),
        )


def _seat(seat: Seat, choice: Choice) -> Any:
    if isinstance(choice, str):
        return _default_detector(choice) if seat == "detector" else registry().stage(seat, choice)
    if _makes_stages(choice):
        choice = _made(seat, choice)
    if hasattr(choice, "traits"):
        return _fitting(seat, choice)
    lift = _LIFTS.get(seat)
    if lift is None or not (callable(choice) or seat == "llm"):
        raise ConfigError(f"A {type(choice).__name__} can't be the {SEAT_NAMES[seat]}: give a stage or its name.")
    return lift(choice)


def _makes_stages(choice: Choice) -> bool:
    """Whether it is a stage's class, or a function without parameters: what is lifted takes what it shall work on."""
    if isinstance(choice, type):
        return any(hasattr(choice, method) for method in METHODS.values())
    if hasattr(choice, "traits") or not callable(choice):
        return False
    try:
        return not inspect.signature(choice).parameters
    except (TypeError, ValueError):  # it does not tell
        return False


def _made(seat: Seat, factory: Callable[[], Any]) -> Any:
    name = getattr(factory, "__name__", type(factory).__name__)
    try:
        made = factory()
    except VoiceBridgeError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{name} could not make the {SEAT_NAMES[seat]}: {type(error).__name__}: {error}. It is called without "
            f"arguments; for one that needs some, give `{seat}=lambda: ...`."
        ) from error
    if not hasattr(made, "traits") and not callable(made) and not hasattr(made, "astream"):
        raise ConfigError(f"{name} was asked for a {SEAT_NAMES[seat]} and gave a {type(made).__name__}, no stage.")
    return made


def _fitting(seat: Seat, stage: Any) -> Any:
    # As the registry does for stages that it makes: told here it is a clear mistake, later it is a riddle.
    if callable(getattr(stage, METHODS[seat], None)):
        return stage
    others = [other for other, method in METHODS.items() if callable(getattr(stage, method, None))]
    hint = f" It would be a {SEAT_NAMES[others[0]]}: give it as `{others[0]}`." if others else ""
    raise ConfigError(
        f"A {type(stage).__name__} can't be the {SEAT_NAMES[seat]}: it has no method {METHODS[seat]}.{hint}"
    )


def _default_detector(name: str) -> TurnDetector:
    return EnergyDetector() if name == "energy" else registry().stage("detector", name)  # type: ignore[return-value]  # the row's seat says so


def _installed_detector() -> str:
    rows = registry().rows().stages
    return next((row.name for row in rows if row.seat == "detector" and not row.about.missing()), "energy")
