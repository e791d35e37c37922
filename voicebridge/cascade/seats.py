"""Who sits where in a cascade."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, ConfigError, VoiceBridgeError
from voicebridge.contract.stages import LanguageModel, SpeechToText, Stage, TextToSpeech, TurnDetector
from voicebridge.registry.rows import SEATS, Seat

from .fallback_model import FallbackModel
from .fallback_recogniser import FallbackRecogniser
from .fallback_voice import FallbackVoice
from .lineup import Lineup
from .patient_detector import PatientDetector
from .seat_settings import SEAT_NAMES, OwnOptions, Placed, of_seat, settings_of
from .stage_maker import WRAPPERS, Choice, installed_detector, places

__all__ = ["SEAT_NAMES", "Choice", "Seats"]

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
    """Of each seat, as in a spec."""
    placed: tuple[Placed, ...]
    """Every single stage."""
    lineups: Mapping[Seat, Lineup[Any]] = field(default_factory=dict)
    """Of the seats in which one stage can take over from another."""

    @classmethod
    def of(
        cls, choices: Mapping[Seat, Choice], own: Mapping[tuple[Seat, int], Mapping[str, Any]] = MappingProxyType({})
    ) -> Seats:
        """The stages that were chosen. Without a choice of detector: the first installed one, else by energy.

        Args:
            own: settings of single stages, by their seat and number.

        Raises:
            BackendNotFound, MissingExtra, BrokenPlugin: a name can't be had.
            BadOption: settings for a stage that there is not.
            ConfigError: something can't sit in its seat.
        """
        mine = {seat: {number: given for (of, number), given in own.items() if of == seat} for seat in SEATS}
        placed = {seat: places(seat, choices[seat], mine[seat]) for seat in ("stt", "llm", "tts")}
        detector = choices.get("detector")
        if detector is None and any(one.stage.traits.turns == "none" for one in placed["stt"]):
            detector = installed_detector()
        if detector is not None:
            placed["detector"] = [
                replace(one, stage=PatientDetector(one.stage)) for one in places("detector", detector, mine["detector"])
            ]
        elif mine["detector"]:
            raise BadOption("This cascade has no turn detector to be set: its speech recogniser finds the turns.")
        lineups: dict[Seat, Lineup[Any]] = {seat: Lineup(placed[seat]) for seat in ("stt", "llm", "tts")}
        return cls(
            stt=FallbackRecogniser(lineups["stt"]),
            detector=placed["detector"][0].stage if detector is not None else None,
            llm=FallbackModel(lineups["llm"]),
            tts=FallbackVoice(lineups["tts"]),
            lineups=lineups,
            names={seat: "|".join(one.name for one in stages) for seat, stages in placed.items()},
            placed=tuple(one for stages in placed.values() for one in stages),
        )

    def claim(self) -> None:
        """Take the stages for a session. A stage remembers: no other session may have it, now or later.

        Raises:
            ConfigError: one of them has served before. None is taken then.
        """
        stages = [replace(one, stage=_given(one.stage)) for one in self.placed if not isinstance(one.stage, WRAPPERS)]
        for number, one in enumerate(stages):
            known = _claimed.get(id(one.stage))
            if (known and known() is one.stage) or any(other.stage is one.stage for other in stages[:number]):
                raise ConfigError(
                    f"The {type(one.stage).__name__} given as `{one.seat}` has served a session already, and a stage "
                    f"serves one. Give its name, its class, or what makes one for each session: "
                    f"`{one.seat}=lambda: ...`."
                )
        for one in stages:
            with suppress(TypeError):  # an object that nobody can watch
                _claimed[id(one.stage)] = weakref.ref(one.stage, partial(_forget, id(one.stage)))

    def configure(self, config: SessionConfig, changed: Set[str] = frozenset()) -> None:
        """Give every stage its settings. See `settings_of`.

        Raises:
            ConfigError: a setting does not fit a stage, which the message names.
        """
        for one, own in zip(self.placed, settings_of(self.placed, config, changed), strict=True):
            if one.seat == "stt" and self.detector is not None and one.stage.traits.turns == "own":
                own = own.model_copy(update={"turns": own.turns.model_copy(update={"mode": "manual"})})
            try:
                one.stage.configure(own)
            except VoiceBridgeError as error:
                raise of_seat(one, error) from error
            options = own.options
            if isinstance(options, OwnOptions) and options and not options.seen:
                raise BadOption(f"The {one.label} has no options, and was given {', '.join(options)}.")

    async def aclose(self) -> None:
        """Close every stage, in a bounded time. One that can't has nobody left to tell."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await asyncio.gather(*(one.stage.aclose() for one in self.placed), return_exceptions=True)

    @property
    def model(self) -> str:
        """The seats in the form of a spec."""
        return "+".join(self.names[seat] for seat in ("stt", "llm", "tts"))

    def all(self) -> dict[Seat, Stage]:
        """Who works in each seat."""
        stages: dict[Seat, Stage] = {"stt": self.stt, "llm": self.llm, "tts": self.tts}
        return stages | ({"detector": self.detector} if self.detector else {})

    def capabilities(self) -> Capabilities:
        """What a cascade of these stages can do."""
        return Capabilities(
            turns=self._turns(),
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
            usage=_usage(one.stage.traits.usage for one in self.placed if one.seat != "detector"),
            formats_in=(self.stt.traits.format,),
            formats_out=(self.tts.traits.format,),
        )

    def _turns(self) -> frozenset[Literal["server_vad", "semantic", "manual", "full_duplex"]]:
        if self.detector is None:
            return frozenset({"server_vad", "manual"})
        if self.detector.traits.semantic:
            return frozenset({"semantic", "manual"})
        return frozenset({"server_vad", "semantic", "manual"})


def _given(stage: Any) -> Any:
    """The stage as the application gave it."""
    return stage.detector if isinstance(stage, PatientDetector) else stage


def _usage(reported: Iterable[Literal["exact", "estimated", "none"]]) -> Literal["exact", "estimated", "none"]:
    """How well the stages that tell what they use do so. What costs nothing, or is the caller's own, tells nothing."""
    kinds = set(reported)
    return "estimated" if "estimated" in kinds else "exact" if "exact" in kinds else "none"
