"""What plugins register: names, factories, and what a person wants to know of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol

from voicebridge.contract.errors import ConfigError
from voicebridge.contract.session import Backend
from voicebridge.contract.simulator import Simulator, SimulatorSettings
from voicebridge.contract.stages import Stage

if TYPE_CHECKING:
    import typer

__all__ = [
    "SEATS",
    "About",
    "BackendRow",
    "Clash",
    "CommandRow",
    "Listing",
    "ModelAbout",
    "PluginRow",
    "RegisterBackend",
    "RegisterCommands",
    "RegisterSimulator",
    "RegisterStage",
    "Row",
    "Seat",
    "SimulatorRow",
    "StageRow",
]

Seat = Literal["stt", "detector", "llm", "tts"]
SEATS: tuple[Seat, ...] = ("stt", "detector", "llm", "tts")
_ASKS_OTHERS = frozenset({"httpx", "websockets"})
"""What needs these talks to a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAbout:
    """A model that a name brings, as far as people must know of it."""

    name: str
    aliases: tuple[str, ...] = ()
    shuts_down: date | None = None
    """The day from which its vendor serves it no more. None: none is announced."""
    note: str = ""
    """Where this is known from, and what of it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What `voicebridge backends` tells, without importing or loading anything.

    Raises:
        ConfigError: `requires` is no tuple of top-level modules.
    """

    summary: str
    licence: str = ""
    """Of the model and of its runtime, where they differ."""
    source: str = ""
    """Who made it, and who packages it."""
    requires: tuple[str, ...] = ()
    """Top-level modules that must be importable."""
    extra: str = ""
    """The extra of voicebridge that brings them. A plugin from elsewhere leaves it empty."""
    key: str = ""
    """The environment variable that holds its key. Empty: it needs none, and using it costs nothing."""

    unavailable: str = ""
    """Of a name that people look for and nobody can serve: why. Empty: it can be had."""
    models: tuple[ModelAbout, ...] = ()
    """Those that are known by name. Others may work, too."""

    def __post_init__(self) -> None:
        # A dotted name can't be looked for without importing its parent, and a lone string is read letter by letter.
        if not isinstance(self.requires, tuple) or not all(
            isinstance(module, str) and module.isidentifier() for module in self.requires
        ):
            raise ConfigError(f"About.requires must be a tuple of top-level modules, not {self.requires!r}.")

    @property
    def alone(self) -> bool:
        """Whether it does its work here: it needs no key, no server, and exists."""
        return not (self.key or self.unavailable or _ASKS_OTHERS & set(self.requires))

    def missing(self) -> tuple[str, ...]:
        """Those of `requires` that are not installed. Imports none of them."""
        return tuple(module for module in self.requires if not _installed(module))


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendRow:
    """A backend by name."""

    name: str
    """`vendor`, or `vendor/model` where only that one exists."""
    factory: Callable[[str | None], Backend]
    """Takes what the spec says after the row's name and a slash; None where it says no more than the name."""
    about: About
    plugin: str
    """The entry point's name."""
    distribution: str = ""
    """What was installed to get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """A stage of a cascade by seat and name."""

    seat: Seat
    name: str
    """`vendor`, or `vendor/model` where only that one exists."""
    factory: Callable[[str | None], Stage]
    """As of a backend. Makes a stage for one session."""
    about: About
    plugin: str
    distribution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRow:
    """A command of the CLI."""

    name: str
    load: Callable[[], typer.Typer]
    about: About
    plugin: str
    distribution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorRow:
    """A server that speaks a vendor's wire."""

    name: str
    factory: Callable[[SimulatorSettings], Simulator]
    about: About
    plugin: str
    distribution: str = ""


Row = BackendRow | StageRow | CommandRow | SimulatorRow


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRow:
    """A plugin that was found, whether or not it could be loaded."""

    name: str
    """Of its entry point: what the allow and block lists name."""
    distribution: str
    version: str = ""
    error: BaseException | None = None
    """Why it could not be loaded."""
    held_by: str = ""
    """The list that keeps it from being loaded."""
    names: tuple[str, ...] = ()
    """What it registers; of one that could not be loaded, what it is thought to register."""

    @property
    def status(self) -> Literal["loaded", "broken", "blocked"]:
        """In one word."""
        return "broken" if self.error is not None else "blocked" if self.held_by else "loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """Two plugins registered one name. The first keeps it."""

    kind: str
    """`backend`, `command`, `simulator`, or the seat of a stage."""
    name: str
    kept: str
    """The plugin that has the name, with its distribution."""
    dropped: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All that is known, for people to read."""

    backends: tuple[BackendRow, ...]
    stages: tuple[StageRow, ...]
    commands: tuple[CommandRow, ...]
    simulators: tuple[SimulatorRow, ...]
    plugins: tuple[PluginRow, ...]
    clashes: tuple[Clash, ...]

    @property
    def broken(self) -> tuple[PluginRow, ...]:
        """The plugins that could not be loaded."""
        return tuple(plugin for plugin in self.plugins if plugin.status == "broken")


class RegisterBackend(Protocol):
    """The callback of `register_backends`."""

    def __call__(self, name: str, factory: Callable[[str | None], Backend], about: About) -> None: ...


class RegisterStage(Protocol):
    """The callback of `register_stages`."""

    def __call__(self, seat: Seat, name: str, factory: Callable[[str | None], Stage], about: About) -> None: ...


class RegisterCommands(Protocol):
    """The callback of `register_commands`."""

    def __call__(self, name: str, load: Callable[[], typer.Typer], about: About) -> None: ...


class RegisterSimulator(Protocol):
    """The callback of `register_simulators`."""

    def __call__(self, name: str, factory: Callable[[SimulatorSettings], Simulator], about: About) -> None: ...


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # it is imported already, from somewhere that gave it no spec
        return True
