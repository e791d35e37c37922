"""A simulator: a server on this machine that speaks a vendor's true wire, to test and measure without the vendor."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Simulator", "SimulatorSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """What every simulator can be told. The rest is an option of one wire."""

    profile: str = "instant"
    """Name of the stage times to draw: see `voicebridge.testing.simulator.profile`."""
    seed: int = 0
    """The same seed draws the same times."""
    faults: tuple[str, ...] = ()
    """A script of what goes wrong, a line each: see `voicebridge.testing.simulator.fault_script`."""
    log: Path | None = None
    """A file that gets a line of JSON for each turn, with monotonic stamps. None: the log is only kept in memory."""
    keep_alive_s: float | None = None
    """Seconds after which the server closes a connection in HTTP that is kept and not used. None: never."""
    stale: bool = False
    """Such a connection is closed not then but when its next request has come: the one that crosses the close."""
    options: Mapping[str, Any] = field(default_factory=dict)


class Simulator(Protocol):
    """What `register_simulators` registers a factory of."""

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve until the context is left. Gives the URL to use as a backend's `base_url`; port 0 takes a free one.

        Raises:
            ConfigError: the port is taken, or an option does not fit.
        """
