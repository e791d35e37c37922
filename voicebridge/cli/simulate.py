"""`voicebridge simulate`: a server on this machine that speaks a vendor's wire, until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from voicebridge.contract.errors import BadOption
from voicebridge.contract.simulator import Simulator, SimulatorSettings
from voicebridge.registry import lookup_errors
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.option import Option, described

__all__ = ["Simulation", "list_options", "list_simulators", "simulate"]

_REAL = ("voice", "detector")
"""Options that by this command are `installed` unless told otherwise: what is heard should sound like speech."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What the command line asked for."""

    name: str
    host: str
    port: int
    profile: str
    seed: int
    faults: Sequence[str]
    log: Path | None
    keep_alive_s: float | None
    stale: bool
    options: Sequence[str]
    """`NAME=VALUE`, the value in JSON or as it stands."""

    def settings(self) -> SimulatorSettings:
        """For the simulator.

        Raises:
            BadOption: an option is no `NAME=VALUE`.
        """
        given: dict[str, Any] = {}
        for one in self.options:
            name, sign, value = one.partition("=")
            if not (sign and name.isidentifier()):
                raise BadOption(f"{one!r} is no option: write NAME=VALUE, such as `-o pace=4`.")
            try:
                given[name] = json.loads(value)
            except ValueError:
                given[name] = value
        return SimulatorSettings(
            profile=self.profile,
            seed=self.seed,
            faults=tuple(self.faults),
            log=self.log,
            keep_alive_s=self.keep_alive_s,
            stale=self.stale,
            options=given,
        )


def list_simulators() -> int:
    """Print what can be simulated; the exit status."""
    console = Console(highlight=False, markup=False)
    rows = registry().rows().simulators
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("what it speaks", overflow="fold")
    table.add_column("state")
    for row in rows:
        table.add_row(row.name, row.about.summary, "not installed" if row.about.missing() else "ready")
    if rows:
        console.print(table)
        console.print(f"\nBegin with: voicebridge simulate {rows[0].name} --port 8800")
    else:
        console.print("Nothing to simulate is installed. In a clone of voicebridge, `pip install .` brings it.")
    for row in rows:
        if lacking := row.about.missing():
            console.print(f"! {lookup_errors.missing(row, lacking)}", soft_wrap=True)
    return 0


def list_options(name: str) -> int:
    """Print the options of one simulator; the exit status.

    Raises:
        BackendNotFound: there is none of that name.
    """
    console = Console(highlight=False, markup=False)
    options = _options(registry().simulator(name))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("option", "default", "what it does"):
        table.add_column(column, no_wrap=column == "option", overflow="fold")
    for option in options:
        default = "installed" if option.name in _REAL else json.dumps(option.default)
        table.add_row(option.name, default, option.about)
    console.print(table if options else f"{name} has no options.")
    return 0


def simulate(asked: Simulation) -> int:
    """Run the command; its exit status.

    Raises:
        BackendNotFound: there is no such simulator.
        ConfigError: a setting does not fit, or the port is taken.
        KeyboardInterrupt: enough.
    """
    settings = asked.settings()
    simulator = registry().simulator(asked.name, settings)
    real = {option.name: "installed" for option in _options(simulator) if option.name in _REAL}
    if real.keys() - settings.options.keys():
        simulator = registry().simulator(asked.name, replace(settings, options=real | dict(settings.options)))
    asyncio.run(_serve(simulator, asked))
    return 0


async def _serve(simulator: Simulator, asked: Simulation) -> None:
    async with simulator.serve(asked.host, asked.port) as url:
        http = f"http{url.removeprefix('ws')}" if url.startswith("ws") else url
        print(f"{asked.name} listens at {url} with the profile {asked.profile!r}.")
        also = f" (or {http})" if http != url else ""
        print(f"Point a client at it: base_url={url}{also}, and any key.")
        for hint in getattr(simulator, "hints", ()):
            print(f"  {hint.format(url=url, http=http)}")
        if asked.log is not None:
            print(f"Each turn becomes a line of {asked.log}.")
        print("Ctrl-C stops it.", flush=True)
        await asyncio.Event().wait()


def _options(simulator: Simulator) -> tuple[Option, ...]:
    """Of a simulator that tells them."""
    options = getattr(simulator, "options", None)
    return described(type(options)) if options is not None else ()
