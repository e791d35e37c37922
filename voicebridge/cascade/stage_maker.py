"""From what an application names for a seat to the stages that sit there."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from voicebridge.contract.errors import BadOption, ConfigError, VoiceBridgeError
from voicebridge.registry.registry import METHODS, registry
from voicebridge.registry.rows import Seat
from voicebridge.registry.spec import parse_seat

from .energy import EnergyDetector
from .lifted_model import LiftedModel
from .lifted_voice import LiftedRecogniser, LiftedVoice
from .seat_settings import SEAT_NAMES, Placed
from .stage_choice import StageChoice

__all__ = ["WRAPPERS", "Choice", "installed_detector", "places"]

Choice = Any
"""A stage's name, or several with `|` between them; its class, or a function without parameters that makes one for each
session; a stage, for one session; what can be lifted into its seat; a `StageChoice` of one of these; a list of them, of
which each takes over from the one before it."""

WRAPPERS = (LiftedRecogniser, LiftedModel, LiftedVoice)
"""They keep nothing of a session: what is shared is the caller's own."""
_LIFTS: dict[Seat, Callable[[Any], Any]] = {"stt": LiftedRecogniser, "llm": LiftedModel, "tts": LiftedVoice}


def places(seat: Seat, choice: Choice, own: Mapping[int, Mapping[str, Any]]) -> list[Placed]:
    """The stages that were chosen for a seat, in order.

    Args:
        own: settings of their own by their number, which go before those of a `StageChoice`.

    Raises:
        BackendNotFound, MissingExtra, BrokenPlugin: a name can't be had.
        BadOption: there is no stage of a number in `own`.
        ConfigError: something can't sit in its seat.
    """
    chosen = _listed(seat, choice)
    for number in own:
        if number > len(chosen):
            raise BadOption(f"`{seat}.{number}.{next(iter(own[number]))}` names no stage: the seat has {len(chosen)}.")
    placed = []
    for number, one in enumerate(chosen, 1):
        settings: dict[str, Any] = {}
        if isinstance(one, StageChoice):
            one, settings = one.stage, dict(one.settings)
            if isinstance(one, list | tuple | StageChoice) or (isinstance(one, str) and "|" in one):
                raise ConfigError(f"`voicebridge.stage` is for one stage: give several as `{seat}=[stage(...), ...]`.")
        stage = _seat(seat, one)
        name = one if isinstance(one, str) else "custom"
        vendor = one.partition("/")[0] if isinstance(one, str) else f"{type(stage).__module__}.{type(stage).__name__}"
        placed.append(Placed(seat, stage, name, vendor, settings | dict(own.get(number, {})), number))
    return placed


def installed_detector() -> str:
    """The name of the first detector that is installed, else of the one by energy."""
    rows = registry().rows().stages
    able = (row for row in rows if row.seat == "detector" and row.about.alone)
    return next((row.name for row in able if not row.about.missing()), "energy")


def _listed(seat: Seat, choice: Choice) -> list[Any]:
    if isinstance(choice, str):
        try:
            chosen: list[Any] = list(parse_seat(choice))
        except ConfigError as error:
            raise ConfigError(
                f"{choice!r} names no {SEAT_NAMES[seat]}: {error.fault.message}.", code="bad_spec"
            ) from None
    elif isinstance(choice, list | tuple):
        chosen = [each for one in choice for each in (_listed(seat, one) if isinstance(one, str) else [one])]
        if not chosen:
            raise ConfigError(f"`{seat}` is an empty list: name at least one stage.")
    else:
        return [choice]
    if seat == "detector" and len(chosen) > 1:
        raise ConfigError("A cascade has one turn detector: nothing can take over from it.")
    return chosen


def _seat(seat: Seat, choice: Choice) -> Any:
    if isinstance(choice, str):
        return EnergyDetector() if (seat, choice) == ("detector", "energy") else registry().stage(seat, choice)
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
