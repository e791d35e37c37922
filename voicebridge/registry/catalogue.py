"""What the plugins have registered, after each was loaded or set aside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pluggy

from voicebridge.contract.errors import ConfigError

from .plugins import HOME, Found, Registrar, enrol
from .rows import Clash, PluginRow, Row

__all__ = ["Catalogue", "PluginFilter", "origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFilter:
    """Which plugins may be loaded, by the name of their entry point. Every list must let one in."""

    allow: dict[str, frozenset[str]] = field(default_factory=dict)
    """What a list is called, and the names on it."""
    block: dict[str, frozenset[str]] = field(default_factory=dict)

    def held_by(self, plugin: str) -> str:
        """The list that keeps a plugin out; empty where none does."""
        for called, names in self.allow.items():
            if plugin not in names:
                return called
        for called, names in self.block.items():
            if plugin in names:
                return called
        return ""


class Catalogue:
    """Rows by kind (`backend`, `command` or a seat) and name, and the story of how they came here."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}
        self.plugins: list[PluginRow] = []
        self.clashes: list[Clash] = []
        self.managers: list[tuple[str, pluggy.PluginManager]] = []
        """Of each plugin that was loaded, by its name."""

    def copy(self) -> Catalogue:
        """Another catalogue with the same rows."""
        catalogue = Catalogue()
        catalogue.rows, catalogue.plugins, catalogue.clashes = dict(self.rows), list(self.plugins), list(self.clashes)
        catalogue.managers = list(self.managers)
        return catalogue

    def fill(self, found: Iterable[Found], filter: PluginFilter) -> None:
        """Load plugins one by one, in order. None of their errors comes out of here; each is kept with its plugin."""
        for one in found:
            row = PluginRow(name=one.name, distribution=one.distribution, version=one.version, names=(one.name,))
            held_by = filter.held_by(one.name)
            if held_by:
                self.plugins.append(replace(row, held_by=held_by))
                continue
            registrar = Registrar(one.name, one.distribution)
            try:
                manager = enrol(one.load(), registrar)
            # A module that calls sys.exit while it is imported must not end the host.
            except (Exception, SystemExit) as error:
                self.plugins.append(replace(row, error=error, names=tuple({one.name: 0} | _names(registrar))))
            else:
                self._take(registrar, row, manager)

    def join(self, plugin: object, name: str) -> None:
        """Add a plugin that is no entry point.

        Raises:
            ConfigError: one of its names is taken already, or it is no plugin.
            Exception: whatever its hooks raise.
        """
        registrar = Registrar(name, "")
        manager = enrol(plugin, registrar)
        for key in registrar.rows.keys() & self.rows.keys():
            raise ConfigError(
                f"The {key[0]} {key[1]!r} is registered already, by the plugin {self.rows[key].plugin!r}."
            )
        self._take(registrar, PluginRow(name=name, distribution=""), manager)

    def names(self, kind: str) -> list[str]:
        """All names of a kind."""
        return [name for of, name in self.rows if of == kind]

    def _take(self, registrar: Registrar, plugin: PluginRow, manager: pluggy.PluginManager) -> None:
        self.managers.append((plugin.name, manager))
        for (kind, name), row in registrar.rows.items():
            first = self.rows.setdefault((kind, name), row)
            if first is not row:
                self.clashes.append(Clash(kind=kind, name=name, kept=origin(first), dropped=origin(row)))
        self.plugins.append(replace(plugin, names=tuple(_names(registrar))))


def origin(row: Row | PluginRow) -> str:
    """A plugin in words: its name, and what was installed to get it."""
    plugin = row.name if isinstance(row, PluginRow) else row.plugin
    if not row.distribution:
        return f"the plugin {plugin!r}"
    where = "voicebridge itself" if row.distribution == HOME else row.distribution
    return f"the plugin {plugin!r} of {where}"


def _names(registrar: Registrar) -> dict[str, int]:
    return {name: 0 for _, name in registrar.rows}
