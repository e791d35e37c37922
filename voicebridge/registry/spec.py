"""Spec strings: the one string that names a backend. Pure: nothing is looked up here.

    local            a backend by its name
    vendor/model     a vendor's backend, and which of its models; a model may hold more slashes
    replay/FOLDER    a recorded session; `replay//srv/calls/7` is an absolute folder, the second slash its own
    stt+llm+tts      a cascade of three stages, each named `vendor/model`
    a|b+llm+tts      the same with two stages in a seat: `b` takes over when `a` fails

`|` binds tighter than `+`. A whole backend that takes over is no part of the spec: `fallback` names it.
"""

from __future__ import annotations

from dataclasses import dataclass

from voicebridge.contract.errors import ConfigError

__all__ = ["BackendSpec", "CascadeSpec", "Spec", "check_name", "parse", "parse_seat"]

_SHAPES = (
    "A backend is written `local`, `vendor/model`, or for a cascade `vendor/stt+vendor/llm+vendor/tts`, in each seat "
    "perhaps several: `vendor/stt|other/stt`"
)


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A backend, and perhaps which of its models."""

    name: str
    model: str | None = None

    def __str__(self) -> str:
        return self.name if self.model is None else f"{self.name}/{self.model}"


@dataclass(frozen=True, slots=True)
class CascadeSpec:
    """The names of the stages in a cascade's three seats, the preferred one of each first."""

    stt: tuple[str, ...]
    llm: tuple[str, ...]
    tts: tuple[str, ...]

    def __str__(self) -> str:
        return "+".join("|".join(names) for names in (self.stt, self.llm, self.tts))


Spec = BackendSpec | CascadeSpec


def parse(spec: str) -> Spec:
    """What a spec string names.

    Raises:
        ConfigError: it is no spec. The message says what one looks like.
    """
    if not isinstance(spec, str):
        raise ConfigError(f"{_SHAPES}, not as {type(spec).__name__}.", code="bad_spec")
    seats = spec.split("+")
    if len(seats) not in (1, 3):
        raise _bad(spec, f"a cascade has three stages joined by two pluses, and this has {len(seats)}")
    if len(seats) == 1:
        if "|" in spec:
            raise _bad(spec, "`|` stands between the stages of one seat; backends to fall back on are `fallback=[...]`")
        if problem := check_name(spec):
            raise _bad(spec, problem)
        name, slash, model = spec.partition("/")
        return BackendSpec(name, model if slash else None)
    try:
        return CascadeSpec(*(parse_seat(seat) for seat in seats))
    except ConfigError as error:
        raise _bad(spec, error.fault.message) from None


def parse_seat(text: str) -> tuple[str, ...]:
    """The stages of one seat: `vendor/model`, or several with `|` between them.

    Raises:
        ConfigError: a name is none, or one is there twice. The message says it in a few words.
    """
    names = tuple(text.split("|"))
    for name in names:
        if problem := check_name(name):
            raise ConfigError(problem, code="bad_spec")
        if names.count(name) > 1:
            raise ConfigError(f"{name} is there twice in one seat", code="bad_spec")
    return names


def check_name(name: str) -> str:
    """What is wrong with the name of a backend or stage, in a few words; empty where nothing is."""
    if not name:
        return "a name is empty"
    if "|" in name:
        return "`|` stands between the stages of one seat"
    if "+" in name:
        return "a plus joins the stages of a cascade"
    if not name.isprintable() or any(character.isspace() for character in name):
        return "a name holds no spaces"
    first, *others = name.split("/")
    if others[:1] == [""] and len(others) > 1:  # an absolute path
        others.pop(0)
    if not all([first, *others]):
        return "something is missing before or after a slash"
    return ""


def _bad(spec: str, problem: str) -> ConfigError:
    shown = spec if len(spec) <= 80 else spec[:77] + "..."
    return ConfigError(f"{shown!r} names no backend: {problem}. {_SHAPES}.", code="bad_spec")
