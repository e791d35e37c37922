"""What plugins register: names, factories, and what a person wants to know of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from voicebridge.contract.session import Backend
from voicebridge.contract.stages import Stage

if TYPE_CHECKING:
    import typer

__all__ = [
    "About",
    "BackendRow",
    "CommandRow",
    "RegisterBackend",
    "RegisterCommands",
    "RegisterStage",
    "Seat",
    "StageRow",
]

Seat = Literal["stt", "detector", "llm", "tts"]
SEATS: tuple[Seat, ...] = ("stt", "detector", "llm", "tts")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What `voicebridge backends` tells, without importing or loading anything."""

    summary: str
    licence: str = ""
    """Of the model and of its runtime, where they differ."""
    source: str = ""
    """Who made it, and who packages it."""
    requires: tuple[str, ...] = ()
    """Top-level modules that must be importable."""
    extra: str = ""
    """The extra of voicebridge that brings them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendRow:
    """A backend by name."""

    name: str
    """`vendor`, or `vendor/model` where only that one exists."""
    factory: Callable[[str | None], Backend]
    """Takes the part of the spec after the name's slash; None where there is none."""
    about: About
    plugin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """A stage of a cascade by seat and name."""

    seat: Seat
    name: str
    factory: Callable[[], Stage]
    about: About
    plugin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """A command of the CLI."""

    name: str
    load: Callable[[], typer.Typer]
    about: About
    plugin: str


class RegisterBackend(Protocol):
    """The callback of `register_backends`."""

    def __call__(self, name: str, factory: Callable[[str | None], Backend], about: About) -> None: ...


class RegisterStage(Protocol):
    """The callback of `register_stages`."""

    def __call__(self, seat: Seat, name: str, factory: Callable[[], Stage], about: About) -> None: ...


class RegisterCommands(Protocol):
    """The callback of `register_commands`."""

    def __call__(self, name: str, load: Callable[[], typer.Typer], about: About) -> None: ...
