"""What a fault, or news of a limit, means for the key that it happened to. One table, no I/O.

fault                        the key gets no new lease for            besides
rate, with `retry_after_s`   that long                                while connecting: fewer slots for a minute
rate, without                1 s, doubled each time in a row, to 60   likewise
quota                        an hour, or `retry_after_s` if longer
auth                         ever: until it is reinstated
network, busy, planned_end,
config, unsupported,
protocol, content, closed    0 s: it is not the key that failed

limit                        the key gets no new lease for            besides
nothing remains              `reset_s`; 1 s where that is not said
less than a tenth remains    0 s                                      until `reset_s` it is taken last, and its slots
                                                                      are filled no faster than once in that time
more remains                 0 s
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import Limit
from voicebridge.contract.fault import Fault

from .lease_store import Cooling

__all__ = ["CoolingPolicy", "Strikes", "cooling_after_limits"]

_LOW = 0.1
_UNKNOWN_RESET_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingPolicy:
    """For how long a key is spared. All in seconds.

    Raises:
        ConfigError: a field does not fit.
    """

    first_s: float = 1.0
    """After a rate fault that names no time. Doubled with each further one."""
    longest_s: float = 60.0
    """The doubling ends here. After so long without a rate fault it begins anew."""
    shrink_s: float = 60.0
    """How long to believe that a key has fewer slots than was thought."""
    quota_s: float = 3600.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ConfigError(
                    f"{one.name} of a cooling policy is a number of seconds from 0 on, not {value!r:.80}.",
                    code="bad_setting",
                )


class Strikes:
    """Decides what follows from faults, and remembers rate faults in a row. Times are monotonic seconds."""

    def __init__(self, policy: CoolingPolicy) -> None:
        self._policy = policy
        self._rate: dict[str, tuple[int, float]] = {}
        """By key: how many there were in a row, and until when the last one cools it."""

    def cooling_after(self, key_id: str, fault: Fault, *, connecting: bool, now: float) -> Cooling | None:
        """What to spare the key, or None."""
        if fault.category == "auth":
            return Cooling(cause="auth", for_s=None)
        if fault.category == "quota":
            return Cooling(cause="quota", for_s=max(self._policy.quota_s, _seconds(fault.retry_after_s)))
        if fault.category != "rate":
            return None
        for_s = _seconds(fault.retry_after_s) or self._doubled(key_id, now)
        return Cooling(cause="rate", for_s=for_s, shrink_s=self._policy.shrink_s if connecting else 0.0)

    def _doubled(self, key_id: str, now: float) -> float:
        count, until = self._rate.get(key_id, (0, -math.inf))
        if now >= until:  # what fails together counts once
            count = count + 1 if now < until + self._policy.longest_s else 1
        for_s = min(self._policy.first_s * 2.0 ** min(count - 1, 30), self._policy.longest_s)
        self._rate[key_id] = count, max(until, now + for_s)
        return for_s


def cooling_after_limits(limits: Iterable[Limit], *, sessions: int) -> Cooling | None:
    """What to spare a key of which this is left, or None."""
    for_s = slow_s = 0.0
    for limit in limits:
        if limit.remaining is None or math.isnan(limit.remaining):
            continue
        reset_s = _seconds(limit.reset_s)
        if limit.remaining <= 0:
            for_s = max(for_s, reset_s or _UNKNOWN_RESET_S)
        elif limit.limit and limit.remaining < _LOW * limit.limit:
            slow_s = max(slow_s, reset_s)
    if not for_s and not slow_s:
        return None
    return Cooling(cause="limit", for_s=for_s, slow_s=slow_s, every_s=slow_s / sessions)


def _seconds(told: float | None) -> float:
    """What a server said, if it is a time at all."""
    return told if told is not None and math.isfinite(told) and told > 0 else 0.0
