"""Spec strings: the one string that names a backend. Pure: nothing is looked up here.

    local            a backend by its name
    vendor/model     a vendor's backend, and which of its models; a model may hold more slashes
    replay/FOLDER    a recorded session; `replay//srv/calls/7` is an absolute folder, the second slash its own
    stt+llm+tts      a cascade of three stages, each named `vendor/model`

`|` is kept free for a list of backends to fall back on.
"""

from __future__ import annotations

from dataclasses import dataclass

from voicebridge.contract.errors import ConfigError

__all__ = ["BackendSpec", "CascadeSpec", "Spec", "check_name", "parse"]

_SHAPES = "A backend is written `local`, `vendor/model`, or for a cascade `vendor/stt+vendor/llm+vendor/tts`"


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A backend, and perhaps which of its models."""

    name: str
    model: str | None = None

    def __str__(self) -> str:
        return self.name if self.model is None else f"{self.name}/{self.model}"


@dataclass(frozen=True, slots=True)
class CascadeSpec:
    """The names of a cascade's three stages."""

    stt: str
    llm: str
    tts: str

    def __str__(self) -> str:
        return f"{self.stt}+{self.llm}+{self.tts}"


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
    for seat in seats:
        problem = check_name(seat)
        if problem:
            raise _bad(spec, problem)
    if len(seats) == 3:
        return CascadeSpec(*seats)
    name, slash, model = spec.partition("/")
    return BackendSpec(name, model if slash else None)


def check_name(name: str) -> str:
    """What is wrong with the name of a backend or stage, in a few words; empty where nothing is."""
    if not name:
        return "a name is empty"
    if "|" in name:
        return "`|` is kept free for lists of backends, which do not exist yet"
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
