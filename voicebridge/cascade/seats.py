"""Who sits where in a cascade."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.stages import LanguageModel, SpeechToText, Stage, TextToSpeech, TurnDetector
from voicebridge.registry.registry import registry
from voicebridge.registry.rows import Seat

from .energy import EnergyDetector
from .lifted_model import LiftedModel
from .lifted_voice import LiftedRecogniser, LiftedVoice

__all__ = ["SEAT_NAMES", "Choice", "Seats"]

Choice = Any
"""A stage's name, a stage, or what can be lifted into its seat."""

SEAT_NAMES: dict[Seat, str] = {
    "stt": "speech recogniser",
    "detector": "turn detector",
    "llm": "language model",
    "tts": "voice",
}
_LIFTS: dict[Seat, Callable[[Any], Any]] = {"stt": LiftedRecogniser, "llm": LiftedModel, "tts": LiftedVoice}


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
    if hasattr(choice, "traits"):
        return choice
    lift = _LIFTS.get(seat)
    if lift is None or not (callable(choice) or seat == "llm"):
        raise ConfigError(f"A {type(choice).__name__} can't be the {SEAT_NAMES[seat]}: give a stage or its name.")
    return lift(choice)


def _default_detector(name: str) -> TurnDetector:
    return EnergyDetector() if name == "energy" else registry().stage("detector", name)  # type: ignore[return-value]  # the row's seat says so


def _installed_detector() -> str:
    rows = registry().rows().stages
    return next((row.name for row in rows if row.seat == "detector" and not row.about.missing()), "energy")
