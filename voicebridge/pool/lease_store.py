"""Where it is written down who uses which key, and until when.

A `LeaseStore` does six things, each of them whole or not at all, so that several processes can share one: a store on a
server does each in one script. It calls nobody back, and every time it takes is a number of seconds from now by its own
clock, so that machines with different clocks agree.

lease      what is done                      becomes    a slot of its key is
none       acquire: there is room            held       taken
none       acquire: no room, `wait_s` > 0    waiting    free
waiting    acquire again, its turn           held       taken
waiting    `wait_s` passes unasked, release  none       free
held       acquire again                     held       taken; the same lease is given
held       renew                             held       taken for `ttl_s` more
held       `ttl_s` passes                    none       free
held       release                           lingering  taken
lingering  `linger_s` passes                 none       free
none       renew                             none       free; it is told as lost
none       reassert                          held       taken, even where there was none left
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Ask", "Cooling", "Key", "KeyState", "Lease", "LeaseStore", "Refusal", "Snapshot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key, by its fingerprint: no store ever sees a key."""

    id: str
    sessions: int = 10
    """How many may be open at once."""
    connects_per_minute: int | None = None
    """How many may be opened in any minute. None: any number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A wish for a lease."""

    lease_id: str
    """What the lease will be called. Never used again for another one, so that asking twice gives one lease."""
    tenant: str = ""
    """For whom. Tenants that wait take turns."""
    wait_s: float = 0.0
    """Seconds for which its place among those who wait is kept without asking again. 0: it does not wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A slot of a key, for a while."""

    id: str
    key_id: str
    fence: int
    """Grows with every lease that is granted: of two owners of one thing, the one with the lower number is outdated."""
    expires_at: float
    """Seconds on the store's clock, which need not be this machine's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why no lease was granted."""

    causes: Mapping[str, str]
    """By key, the cause for which it is cooling, else `pace` (opened too often), else `full`."""
    retry_after_s: float | None = None
    """Seconds after which one of these is known to change. None: nobody knows. `full` may end at any time before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooling:
    """What a key is spared, and for how long. What holds longer already stays."""

    cause: str
    """In a word: `rate`, `quota`, `auth`, `limit`."""
    for_s: float | None = 0.0
    """Seconds in which it gets no new lease. None: until it is lifted."""
    shrink_s: float = 0.0
    """Seconds in which it has no more slots than are taken now, but for that of the one who was refused; at least 1."""
    slow_s: float = 0.0
    """Seconds in which it is taken last, and no sooner than `every_s` after the lease before."""
    every_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """How a key stands."""

    taken: int
    """Slots that are held or linger."""
    slots: int
    """As many as there are at present: fewer than `Key.sessions` after a refusal."""
    cause: str = ""
    """Why it gets no new lease: why it is cooling, `pace` or `full`. Empty: it does."""
    free_in_s: float | None = 0.0
    """Seconds after which that is known to end. None: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything at one moment."""

    keys: Mapping[str, KeyState]
    waiting: Mapping[str, int]
    """How many wait, by tenant."""


class LeaseStore(Protocol):
    """Leases of the keys of one pool. Whatever pools of one process or of many share it, its promises hold over all.

    A store for another engine proves itself by `voicebridge.testing.lease_store_contract.LeaseStoreContract`. One that
    can't be reached raises a `VoiceBridgeError` of category `network`, within a second: calls that go on are not held
    up, as the pool tells it everything later.
    """

    async def acquire(self, keys: Sequence[Key], asks: Sequence[Ask], *, ttl_s: float) -> Mapping[str, Lease | Refusal]:
        """An answer to each ask, by the id of its lease.

        Room goes to those who wait, tenants taking turns and first come first served within each; those who wait and
        are not among `asks` have theirs kept for them. Of the keys with room the one with the least of its slots taken
        is given.

        Args:
            keys: those to choose from.
            ttl_s: seconds until the lease ends unless it is renewed.
        """
        ...

    async def renew(self, lease_ids: Collection[str], *, ttl_s: float) -> frozenset[str]:
        """Let these leases end in `ttl_s` seconds from now. Gives the ids of those that are lost: expired, released, or
        never known."""
        ...

    async def release(self, lease_ids: Collection[str], *, linger_s: float = 0.0) -> None:
        """Give up these leases, and places among those who wait. Unknown ids are passed over.

        Args:
            linger_s: seconds for which the slots stay taken: the other side frees its own late.
        """
        ...

    async def cool(self, key_id: str, cooling: Cooling | None) -> None:
        """Spare a key, or, with None, lift all that it is spared."""
        ...

    async def reassert(self, leases: Collection[Lease], *, ttl_s: float) -> Sequence[Lease]:
        """Write down lost leases again, because their calls go on: over the limit, too, and on keys that are cooling.

        A lost one gets a new, higher fence; one that is still held is renewed as it is.
        """
        ...

    async def snapshot(self, keys: Sequence[Key]) -> Snapshot:
        """How these keys stand, and who waits."""
        ...
