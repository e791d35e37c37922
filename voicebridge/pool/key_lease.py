"""One session's use of a key."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from pydantic import SecretStr

from voicebridge.contract.events import Limit
from voicebridge.contract.fault import Fault

from .lease_store import Lease

if TYPE_CHECKING:
    from .key_pool import KeyPool

__all__ = ["KeyLease"]


class KeyLease:
    """A key, from before its session dials until after the socket is closed. `KeyPool` gives it and keeps it renewed.

    None of its methods waits: what they tell the pool is done before the pool gives another lease.
    """

    def __init__(self, pool: KeyPool, key: SecretStr, lease: Lease) -> None:
        self._pool, self._key = pool, key
        self.record = lease
        """What is written in the store."""
        self.refused = False
        """Whether the vendor gave it no slot at all."""
        self.spared_until = -math.inf
        """On the loop's clock, for `spared_s`."""

    @property
    def key(self) -> SecretStr:
        """The key itself, for `SessionConfig.api_key`."""
        return self._key

    @property
    def id(self) -> str:
        """The lease's name in the store."""
        return self.record.id

    @property
    def key_id(self) -> str:
        """The key's fingerprint: it may be shown anywhere."""
        return self.record.key_id

    @property
    def fence(self) -> int:
        """Higher than that of every lease before it. Higher again after the lease was lost and taken back."""
        return self.record.fence

    @property
    def released(self) -> bool:
        """Whether it was given back."""
        return not self._pool.holds(self)

    @property
    def spared_s(self) -> float:
        """Seconds for which its key is spared after a fault that was told here; 0: it is not."""
        return self._pool.spares(self)

    def fault(self, fault: Fault, *, connecting: bool = True) -> None:
        """Tell what went wrong. The table of `cooling_policy` says whether it is held against the key.

        Args:
            connecting: False: the session had been ready, so that a rate fault says nothing of how many may be open.
        """
        self._pool.faulted(self, fault, connecting=connecting)

    def limits(self, limits: Iterable[Limit]) -> None:
        """Tell what is left of the key's allowances, as in `SessionNotice.limits`."""
        self._pool.limited(self, limits)

    def release(self) -> None:
        """Give it back, after the socket is closed. Again, or after the pool was closed: nothing happens."""
        self._pool.gave_back(self)

    def __repr__(self) -> str:
        return f"<KeyLease {self.id} of key {self.key_id}{', released' if self.released else ''}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A KeyLease holds a key, so it can't be pickled or copied.")
