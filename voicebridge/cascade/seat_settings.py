"""Which settings each stage of a cascade gets: its own, and what of the session's concerns it.

setting                  what a stage gets
its own                  as it was given, unless a `Configure` has changed that setting of the session since
`options`                its own alone, never those of the cascade or of another stage
`base_url`, `api_key`    the session's, if all stages that take it and have none of their own are of one vendor, at one
                         address; else nobody gets it, and the session is refused. A stage that does not take it: none
`voice`                  the session's, if it is the first in the voice's seat, or of the same vendor: a name of one
                         vendor means nothing to another
anything else            the session's
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, ConfigError, Unsupported, VoiceBridgeError
from voicebridge.registry.rows import SEATS, Seat

__all__ = ["SEAT_NAMES", "OwnOptions", "Placed", "of_seat", "own_settings", "settings_of"]

SEAT_NAMES: dict[Seat, str] = {
    "stt": "speech recogniser",
    "detector": "turn detector",
    "llm": "language model",
    "tts": "voice",
}
_TAKEN: dict[Seat, frozenset[str]] = {
    "stt": frozenset({"language", "transcription"}),
    "detector": frozenset({"language"}),
    "llm": frozenset({"language", "max_output_tokens"}),
    "tts": frozenset({"language", "voice", "speed"}),
}
"""Settings of the session that a stage of the seat may have for itself."""
_IF_HEEDED = frozenset({"base_url", "api_key", "tool_choice", "noise_reduction"})
"""The same, if its traits say that it takes them."""
_CREDENTIALS = ("api_key", "base_url")


@dataclass(slots=True)
class Placed:
    """A stage in its seat."""

    seat: Seat
    stage: Any
    name: str
    """For people, and for prices: `vendor/model`, or `custom`."""
    vendor: str
    """Two stages with one vendor may be given the same key."""
    own: dict[str, Any] = field(default_factory=dict)
    """Its own settings."""
    number: int = 1
    """Its place in the seat."""

    @property
    def label(self) -> str:
        """How it is called in messages."""
        return f"{SEAT_NAMES[self.seat]} {self.name}" if self.name != "custom" else SEAT_NAMES[self.seat]

    @property
    def prefix(self) -> str:
        """What its own settings are called in `connect`, up to their name."""
        return f"{self.seat}." if self.number == 1 else f"{self.seat}.{self.number}."


class OwnOptions(Mapping[str, Any]):
    """Options of one stage. They know whether they were looked at: a stage that never did so has none."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self.seen = False

    def __getitem__(self, name: str) -> Any:
        self.seen = True
        return self._options[name]

    def __iter__(self) -> Iterator[str]:
        self.seen = True
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)


def own_settings(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[tuple[Seat, int], dict[str, Any]]]:
    """Parts a session's options: those without a seat before the name, and of each stage its own.

    Raises:
        BadOption: what stands before a dot is no seat.
    """
    others: dict[str, Any] = {}
    own: dict[tuple[Seat, int], dict[str, Any]] = {}
    for name, value in options.items():
        if "." not in name:
            others[name] = value
            continue
        seat, _, rest = name.partition(".")
        number, _, setting = rest.partition(".") if rest[:1].isdigit() else ("1", "", rest)
        if seat not in SEATS or not setting or not number.isdecimal() or int(number) < 1:
            raise BadOption(
                f"A cascade has no option {name!r}: a setting of one stage is written with its seat "
                f"({', '.join(SEATS)}), as in `tts.voice`, or `tts.2.voice` for the second one in that seat.",
                code="unknown_option",
            )
        own.setdefault((seat, int(number)), {})[setting] = value
    return others, own


def settings_of(
    stages: Sequence[Placed], config: SessionConfig, changed: Set[str] = frozenset()
) -> list[SessionConfig]:
    """The config of each stage. Its `options` are `OwnOptions`.

    Args:
        stages: all of the cascade; those of a seat in order.
        changed: fields that a `Configure` has set since the session began: they hold for all whom they mean something.

    Raises:
        BadOption, Unsupported: a stage's own setting does not fit it.
        ConfigError: a key or an address would go to stages of several vendors.
    """
    for name in _CREDENTIALS:
        _check_addressee(name, stages, config)
    return [_settings(placed, stages, config, changed) for placed in stages]


def _settings(placed: Placed, stages: Sequence[Placed], config: SessionConfig, changed: Set[str]) -> SessionConfig:
    fields: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in placed.own.items():
        if name not in SessionConfig.model_fields:
            options[name] = value
        else:
            _check_own(placed, name)
            fields[name] = value
    shares_voice = _shares_voice(placed, stages)
    for name in changed:
        if name != "voice" or shares_voice:
            fields.pop(name, None)
    if not shares_voice:
        fields.setdefault("voice", None)
    for name in _CREDENTIALS:
        if name not in placed.stage.traits.heeds:
            fields[name] = None
    try:
        made = config.patched(fields | {"options": {}})
    except VoiceBridgeError as error:
        raise of_seat(placed, error) from error
    return made.model_copy(update={"options": OwnOptions(options)})


def _shares_voice(placed: Placed, stages: Sequence[Placed]) -> bool:
    first = next(other for other in stages if other.seat == placed.seat)
    return placed.seat == "tts" and placed.vendor == first.vendor


def _check_own(placed: Placed, name: str) -> None:
    heeds = placed.stage.traits.heeds
    if name in _TAKEN[placed.seat] or (name in _IF_HEEDED and name in heeds):
        return
    if name == "model":
        raise BadOption(f"`{placed.prefix}model`: the model is part of the stage's name, `vendor/model`.")
    if name in _IF_HEEDED:
        raise Unsupported(f"The {placed.label} takes no setting {name!r}.")
    if any(name in taken for taken in _TAKEN.values()):
        raise Unsupported(f"A {SEAT_NAMES[placed.seat]} has no setting {name!r}.")
    raise BadOption(f"{name!r} holds for the whole session: give it without `{placed.prefix}`.")


def _check_addressee(name: str, stages: Sequence[Placed], config: SessionConfig) -> None:
    """A key goes to whom it was meant for. Whom that is must be clear."""
    takers = [placed for placed in stages if name in placed.stage.traits.heeds and name not in placed.own]
    if getattr(config, name) is None or not takers:
        return
    addresses = {(placed.vendor, placed.own.get("base_url") if name == "api_key" else None) for placed in takers}
    if len(addresses) > 1:
        several = len({vendor for vendor, _ in addresses}) > 1
        whose = ", ".join(sorted({placed.name for placed in takers}))
        how = " or ".join(f"`{placed.prefix}{name}=`" for placed in takers)
        raise ConfigError(
            f"One {name} can't go to stages of several {'vendors' if several else 'addresses'} ({whose}): say whose it "
            f"is, by {how}; the others then take theirs from where they usually do.",
            code=f"ambiguous_{name}",
        )


def of_seat(placed: Placed, error: VoiceBridgeError) -> VoiceBridgeError:
    """The same error, saying which stage it is about."""
    if placed.label in error.fault.message:
        return error
    return type(error)(replace(error.fault, message=f"The {placed.label}: {error.fault.message}"))
