"""Finding plugins and letting each register, one by one: what breaks in one stays in that one."""

from __future__ import annotations

import difflib
import importlib.metadata
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, get_args

import pluggy

from voicebridge.contract.errors import ConfigError
from voicebridge.contract.session import Backend
from voicebridge.contract.simulator import Simulator, SimulatorSettings
from voicebridge.contract.stages import Stage

from . import hookspecs
from .rows import SEATS, About, BackendRow, CommandRow, Row, Seat, SimulatorRow, StageRow
from .spec import check_name

if TYPE_CHECKING:
    import typer

__all__ = ["GROUP", "HOME", "Found", "Registrar", "discover", "enrol"]

GROUP = "voicebridge"
"""The entry points' group."""
HOME = "voicebridge-sdk"
"""The distribution that brings voicebridge itself and the plugins bundled with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry point that says it is a plugin. Nothing of it is imported yet."""

    name: str
    distribution: str
    version: str
    value: str
    load: Callable[[], object]


class Registrar:
    """Where one plugin registers. It keeps its rows to itself until the plugin has finished without an error."""

    def __init__(self, plugin: str, distribution: str) -> None:
        self.plugin = plugin
        self.distribution = distribution
        self.rows: dict[tuple[str, str], Row] = {}
        """By kind (`backend`, `command`, `simulator` or a seat) and name."""
        self.closed = False

    def backend(self, name: str, factory: Callable[[str | None], Backend], about: About) -> None:
        """What `register_backends` hands to plugins."""
        self._check(name, factory, about)
        row = BackendRow(name=name, factory=factory, about=about, plugin=self.plugin, distribution=self.distribution)
        self._add("backend", row)

    def stage(self, seat: Seat, name: str, factory: Callable[[str | None], Stage], about: About) -> None:
        """What `register_stages` hands to plugins."""
        if seat not in SEATS:
            raise ConfigError(f"A cascade has no seat {seat!r}: the seats are {', '.join(get_args(Seat))}.")
        self._check(name, factory, about)
        row = StageRow(
            seat=seat, name=name, factory=factory, about=about, plugin=self.plugin, distribution=self.distribution
        )
        self._add(seat, row)

    def command(self, name: str, load: Callable[[], typer.Typer], about: About) -> None:
        """What `register_commands` hands to plugins."""
        self._check(name, load, about)
        row = CommandRow(name=name, load=load, about=about, plugin=self.plugin, distribution=self.distribution)
        self._add("command", row)

    def simulator(self, name: str, factory: Callable[[SimulatorSettings], Simulator], about: About) -> None:
        """What `register_simulators` hands to plugins."""
        self._check(name, factory, about)
        row = SimulatorRow(name=name, factory=factory, about=about, plugin=self.plugin, distribution=self.distribution)
        self._add("simulator", row)

    def _check(self, name: str, factory: object, about: About) -> None:
        if self.closed:
            raise ConfigError(f"{name!r} comes too late: names are registered while the hook runs, not after it.")
        problem = check_name(name) if isinstance(name, str) else "it is no string"
        if problem:
            raise ConfigError(f"{name!r} can't be registered: {problem}.")
        if not callable(factory):
            raise ConfigError(f"What makes {name!r} must be callable, not {type(factory).__name__}.")
        if not isinstance(about, About):
            raise ConfigError(f"{name!r} needs an About(summary=...), not {type(about).__name__}.")

    def _add(self, kind: str, row: Row) -> None:
        if (kind, row.name) in self.rows:
            raise ConfigError(f"The {kind} {row.name!r} is registered twice.")
        self.rows[kind, row.name] = row


def discover() -> list[Found]:
    """The entry points of the group, in the order in which names are given away.

    Those of voicebridge itself come first, so that no stranger takes a bundled name; the rest by name, then
    distribution. Two that name the same module under the same name are one plugin, installed twice.
    """
    order = sorted(_entry_points(), key=lambda one: (one.distribution != HOME, one.name, one.distribution, one.value))
    found: dict[tuple[str, str], Found] = {}
    for one in order:
        found.setdefault((one.name, one.value), one)
    return list(found.values())


def enrol(plugin: object, registrar: Registrar) -> pluggy.PluginManager:
    """Let a plugin register at a registrar. Its manager calls the hooks that it has for sessions.

    Each has a plugin manager of its own, so that one that fails leaves nothing behind in a shared one.

    Raises:
        ConfigError: it implements no hook, or one that does not exist.
        Exception: whatever its hooks raise.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, registrar.plugin)
    _check_hooks(manager, plugin)
    try:
        manager.hook.register_backends(register=registrar.backend)
        manager.hook.register_stages(register=registrar.stage)
        manager.hook.register_commands(register=registrar.command)
        manager.hook.register_simulators(register=registrar.simulator)
    finally:
        registrar.closed = True
    return manager


def _check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    callers = manager.get_hookcallers(plugin)
    if not callers:
        raise ConfigError("It implements no hook of voicebridge. Is `@hookimpl` missing above its functions?")
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        known = [name for name, spec in inspect.getmembers(hookspecs, inspect.isfunction) if _is_hook(spec)]
        unknown = [caller.name for caller in callers if not caller.has_spec()]
        near = difflib.get_close_matches(unknown[0], known, n=1)
        meant = f"Is `{near[0]}` meant?" if near else f"The hooks are {', '.join(known)}."
        raise ConfigError(
            f"It implements `{unknown[0]}`, which is no hook of this voicebridge. {meant}", code="unknown_hook"
        ) from error


def _is_hook(function: object) -> bool:
    return hasattr(function, f"{hookspecs.PROJECT}_spec")


def _entry_points() -> Iterator[Found]:
    # `importlib.metadata.entry_points` would give up at the first distribution whose list can't be read.
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        points, problem = _points(distribution)
        if not points and problem is None:
            continue
        name, version = _identity(distribution)
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in seen:
            continue  # an older copy of it further down the path
        if name:
            seen.add(key)
        if problem is not None:
            yield Found(name=name, distribution=name, version=version, value="", load=_raiser(problem))
        for point in points:
            yield Found(name=point.name, distribution=name, version=version, value=point.value, load=point.load)


def _points(distribution: importlib.metadata.Distribution) -> tuple[Sequence[EntryPoint], Exception | None]:
    """A distribution's entry points of the group; if they can't be read, why, where the distribution is one of ours."""
    try:
        return list(distribution.entry_points.select(group=GROUP)), None
    except Exception as error:
        try:
            ours = f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or "")
        except Exception:  # not even text
            ours = False
        return [], error if ours else None


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    try:
        return distribution.metadata["Name"] or "", distribution.metadata["Version"] or ""
    except Exception:  # its metadata can't be read: the plugin may work all the same
        return "", ""


def _raiser(error: Exception) -> Callable[[], object]:
    def load() -> object:
        raise error

    return load
