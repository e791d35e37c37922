"""Whether what a key pool is given fits. All raise ConfigError, in words."""

from __future__ import annotations

import math

from voicebridge.contract.errors import ConfigError

from .cooling_policy import CoolingPolicy
from .lease_store import LeaseStore

__all__ = ["check_ask", "check_number", "check_parts"]


def check_number(setting: str, value: object, *, least: float, whole: bool = False) -> None:
    """A setting that is a number."""
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not number or not least <= value < math.inf:  # type: ignore[operator]  # it is a number
        kind = "whole number" if whole else "number"
        raise ConfigError(
            f"{setting} of a key pool must be a {kind}, {least:g} or more, not {value!r}.", code="bad_setting"
        )


def check_parts(name: object, store: object, cooling: object, chance: object) -> None:
    """Settings that are none."""
    methods = [method for method in dir(LeaseStore) if not method.startswith("_")]
    if missing := [method for method in methods if not callable(getattr(store, method, None))]:
        raise ConfigError(
            f"The store of a key pool is a LeaseStore, such as MemoryLeaseStore(): {type(store).__name__} has no "
            f"{missing[0]}.",
            code="bad_setting",
        )
    fits = {
        "name of a key pool is a text": isinstance(name, str),
        "cooling of a key pool is a CoolingPolicy": isinstance(cooling, CoolingPolicy),
        "chance of a key pool is a function": callable(chance),
    }
    for wanted, is_so in fits.items():
        if not is_so:
            raise ConfigError(f"The {wanted}.", code="bad_setting")


def check_ask(deadline_s: object, tenant: object) -> None:
    """What is asked of it."""
    number = isinstance(deadline_s, int | float) and not isinstance(deadline_s, bool)
    if deadline_s is not None and (not number or math.isnan(deadline_s)):  # type: ignore[arg-type]  # it is a number
        raise ConfigError(f"deadline_s must be a number of seconds, or None, not {deadline_s!r}.", code="bad_setting")
    if not isinstance(tenant, str):
        raise ConfigError(f"tenant must be a text, not {type(tenant).__name__}.", code="bad_setting")
