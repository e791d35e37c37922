"""The server of a vendor whose stage times are drawn for callers, which is every vendor but one of long sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from voicebridge.contract.simulator import SimulatorSettings

from .callers import Callers
from .engine import SimulatedServer
from .named_stages import check_stages
from .profile import Profile, profile_named
from .wire import Vendor

__all__ = ["caller_server"]


def caller_server(
    settings: SimulatorSettings,
    options: object,
    profiles: Mapping[str, Profile],
    vendor: Callable[[Callers], Vendor],
    *,
    hints: tuple[str, ...],
    base_path: str = "",
    scheme: Literal["ws", "http"] = "ws",
) -> SimulatedServer:
    """The server with these settings.

    Args:
        options: those of the wire, read and checked; stages that they name are looked for.
        profiles: of the vendor, by name.
        vendor: makes what the server's clients share.
        hints: as for `SimulatedServer`, as are `base_path` and `scheme`.

    Raises:
        BadOption: the profile or a line of the fault script does not fit.
        ConfigError: a stage that an option names can't be had.
    """
    callers = Callers(profile_named(settings.profile, profiles), settings.seed)
    check_stages(options)
    return SimulatedServer(
        settings,
        lambda log: vendor(callers),
        options=options,
        base_path=base_path,
        hints=hints,
        scheme=scheme,
        callers=callers,
    )
