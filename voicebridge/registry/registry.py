"""Names that become backends, stages and commands."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from voicebridge.contract.errors import BrokenPlugin, ConfigError, MissingExtra, VoiceBridgeError
from voicebridge.contract.session import Backend
from voicebridge.contract.simulator import Simulator, SimulatorSettings
from voicebridge.contract.stages import Stage

from . import lookup_errors
from .catalogue import Catalogue, PluginFilter
from .plugins import discover
from .rows import SEATS, BackendRow, CommandRow, Listing, Row, Seat, SimulatorRow, StageRow

if TYPE_CHECKING:
    import typer

__all__ = ["METHODS", "Registry", "registry", "simulator", "use_registry"]

ALLOW_VARIABLE = "VOICEBRIDGE_PLUGINS"
BLOCK_VARIABLE = "VOICEBRIDGE_BLOCK_PLUGINS"

METHODS: dict[Seat, str] = {"stt": "listen", "detector": "push", "llm": "respond", "tts": "speak"}
"""What a stage must be able to do to sit there."""

_T = TypeVar("_T")


class Registry:
    """Looks up what the installed plugins bring. Plugins are loaded at the first question, never before.

    A plugin is loaded if every list lets it in: the arguments here, and the environment's `VOICEBRIDGE_PLUGINS` (names
    separated by commas; empty: none) and `VOICEBRIDGE_BLOCK_PLUGINS`. May be asked from several threads.

    Args:
        allow: names of entry points that may be loaded. None: all.
        block: names of entry points that may not.

    Raises:
        ConfigError: `allow` or `block` is a lone string, not a list of them.
    """

    def __init__(self, *, allow: Iterable[str] | None = None, block: Iterable[str] = ()) -> None:
        for given in (allow, block):
            if isinstance(given, str):
                raise ConfigError(f"Plugins are named by a list of strings, as in [{given!r}], not by one string.")
        self._filter = _filter(allow, block)
        self._catalogue: Catalogue | None = None
        self._filling = False
        # Re-entrant, so that a plugin which asks while it is being loaded gets an answer instead of waiting for itself.
        self._lock = threading.RLock()

    def backend(self, name: str, model: str | None = None) -> Backend:
        """Make the backend of a spec. A row named `name/model` wins over a row named `name`, which gets the model.

        Raises:
            BackendNotFound: nothing has that name, or its plugin is blocked.
            MissingExtra: its packages are not installed.
            BrokenPlugin: its plugin failed to load, or failed to make it.
            ConfigError: its factory refuses the model.
        """
        row = self.backend_row(name, model)
        return self._model_of(row, row.factory, "backend", _whole(name, model), "connect")

    def backend_row(self, name: str, model: str | None = None) -> BackendRow:
        """The row that `backend` would use.

        Raises:
            BackendNotFound: nothing has that name, or its plugin is blocked.
            BrokenPlugin: its plugin failed to load.
        """
        row = self._row("backend", _whole(name, model))
        assert isinstance(row, BackendRow)
        return row

    def stage(self, seat: Seat, name: str) -> Stage:
        """Make a stage for one session. Rows are found as those of backends are.

        Raises:
            BackendNotFound: no stage of that seat has that name, or its plugin is blocked.
            MissingExtra: its packages are not installed.
            BrokenPlugin: its plugin failed to load, or failed to make it.
            ConfigError: its factory refuses the model.
        """
        row = self.stage_row(seat, name)
        return self._model_of(row, row.factory, seat, name, METHODS[seat])

    def stage_row(self, seat: Seat, name: str) -> StageRow:
        """What is known of a stage, without making it.

        Raises:
            BackendNotFound: no stage of that seat has that name, or its plugin is blocked.
            BrokenPlugin: its plugin failed to load.
        """
        if seat not in SEATS:
            raise ConfigError(f"A cascade has no seat {seat!r}: the seats are {', '.join(SEATS)}.")
        row = self._row(seat, name)
        assert isinstance(row, StageRow)
        return row

    def simulator(self, name: str, settings: SimulatorSettings | None = None) -> Simulator:
        """Make a server that speaks a vendor's wire.

        Raises:
            BackendNotFound: no plugin brings it, or its plugin is blocked.
            MissingExtra: its packages are not installed.
            BrokenPlugin: its plugin failed to load, or failed to make it.
            ConfigError: a setting does not fit.
        """
        row = self._row("simulator", name)
        assert isinstance(row, SimulatorRow)
        return self._make(row, lambda: row.factory(settings or SimulatorSettings()))

    def command(self, name: str) -> typer.Typer:
        """Load a command of the CLI.

        Raises:
            BackendNotFound: no plugin brings it, or its plugin is blocked.
            MissingExtra: its packages are not installed.
            BrokenPlugin: its plugin failed to load.
        """
        catalogue = self._filled()
        row = catalogue.rows.get(("command", name))
        if not isinstance(row, CommandRow):
            raise lookup_errors.unknown(catalogue, "command", name)
        return self._make(row, row.load)

    def rows(self) -> Listing:
        """All that is known, broken and blocked plugins included. `row.about.missing()` tells what a row lacks."""
        catalogue = self._filled()
        rows = sorted(catalogue.rows.values(), key=lambda row: row.name)
        return Listing(
            backends=tuple(row for row in rows if isinstance(row, BackendRow)),
            stages=tuple(row for seat in SEATS for row in rows if isinstance(row, StageRow) and row.seat == seat),
            commands=tuple(row for row in rows if isinstance(row, CommandRow)),
            simulators=tuple(row for row in rows if isinstance(row, SimulatorRow)),
            plugins=tuple(catalogue.plugins),
            clashes=tuple(catalogue.clashes),
        )

    def implementations(self, hook: str) -> list[tuple[str, Callable[..., list[Any]]]]:
        """The plugins that implement a hook, by name. Each is called by keyword, and gives a list of answers."""
        callers = [(name, getattr(manager.hook, hook)) for name, manager in self._filled().managers]
        return [(name, caller) for name, caller in callers if caller.get_hookimpls()]

    def join(self, plugin: object, name: str | None = None) -> None:
        """Add a plugin of the application's own: an object or module with hooks, which no list holds back.

        Raises:
            ConfigError: it is no plugin, or one of its names is taken already.
            Exception: whatever its hooks raise.
        """
        with self._lock:
            # A copy, so that nobody who reads in another thread sees half of it.
            catalogue = self._filled().copy()
            catalogue.join(plugin, name or str(getattr(plugin, "__name__", type(plugin).__name__)))
            self._catalogue = catalogue

    def _row(self, kind: str, whole: str) -> Row:
        """The row named so, else the one named by what stands before the first slash."""
        catalogue = self._filled()
        row = catalogue.rows.get((kind, whole)) or catalogue.rows.get((kind, whole.partition("/")[0]))
        if row is None:
            raise lookup_errors.unknown(catalogue, kind, whole)
        return row

    def _model_of(self, row: Row, factory: Callable[[str | None], _T], kind: str, whole: str, method: str) -> _T:
        """What the row makes of `whole`, if it has the method that its kind needs."""
        model = None if row.name == whole else whole.removeprefix(f"{row.name}/")
        try:
            made = self._make(row, lambda: factory(model))
        except (MissingExtra, BrokenPlugin):
            raise
        except ConfigError as error:
            # The vendor has no such model, but may have something else of that name.
            if model is None or not lookup_errors.elsewhere(self._filled(), kind, whole):
                raise
            raise lookup_errors.unknown(self._filled(), kind, whole) from error
        # Told here, with the plugin's name, it is a clear mistake; found in the middle of a session, it is a riddle.
        if not callable(getattr(made, method, None)):
            raise lookup_errors.failed(row, TypeError(f"{type(made).__name__} has no method {method}"))
        return made

    def _make(self, row: Row, factory: Callable[[], _T]) -> _T:
        lacking = row.about.missing()
        if lacking:
            raise lookup_errors.missing(row, lacking)
        try:
            return factory()
        except VoiceBridgeError:
            raise
        except Exception as error:
            raise lookup_errors.failed(row, error) from error

    def _filled(self) -> Catalogue:
        if self._catalogue is not None:
            return self._catalogue
        with self._lock:
            if self._catalogue is None:
                if self._filling:
                    raise ConfigError("Plugins are still being loaded. Ask the registry inside a factory, not before.")
                self._filling = True
                try:
                    catalogue = Catalogue()
                    catalogue.fill(discover(), self._filter)
                    self._catalogue = catalogue
                finally:
                    self._filling = False
            return self._catalogue


_default: Registry | None = None
_default_lock = threading.Lock()


def registry() -> Registry:
    """The registry of this process, made at the first use.

    Example:
        >>> backend = registry().backend("local")  # doctest: +SKIP
    """
    global _default
    with _default_lock:
        if _default is None:
            _default = Registry()
        return _default


def simulator(name: str, settings: SimulatorSettings | None = None, **options: Any) -> Simulator:
    """A server on this machine that speaks a vendor's wire: `async with simulator("...").serve() as base_url:`.

    Args:
        options: those of the wire, in addition to `settings.options`.

    Raises:
        ConfigError: see `Registry.simulator`.
    """
    settings = settings or SimulatorSettings()
    return registry().simulator(name, replace(settings, options={**settings.options, **options}))


def use_registry(replacement: Registry | None) -> Registry | None:
    """Make this the registry of the process; None: a new one at the next use. Gives back the one used until now."""
    global _default
    with _default_lock:
        before, _default = _default, replacement
        return before


def _whole(name: str, model: str | None) -> str:
    return name if model is None else f"{name}/{model}"


def _filter(allow: Iterable[str] | None, block: Iterable[str]) -> PluginFilter:
    allows = {} if allow is None else {"the argument `allow`": frozenset(allow)}
    if ALLOW_VARIABLE in os.environ:
        allows[ALLOW_VARIABLE] = _listed(os.environ[ALLOW_VARIABLE])
    blocks = {"the argument `block`": frozenset(block), BLOCK_VARIABLE: _listed(os.environ.get(BLOCK_VARIABLE, ""))}
    return PluginFilter(allow=allows, block=blocks)


def _listed(value: str) -> frozenset[str]:
    return frozenset(name.strip() for name in value.split(",") if name.strip())
