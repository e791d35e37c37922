"""The keys that a call holds: one of each pool, from its first dial until the call needs the pool no more.

A call keeps its key over its connections. One that is lost dials again with the key that it has, so that no newcomer
takes its place and it waits for nothing. One that is being replaced shares it with the next: while both are open, the
vendor may count two sessions where the pool counts one.

the key is   input                              becomes
none         a connection needs one             in use: the pool is asked for one
in use       another connection needs one       in use by both
in use       a fault, and the pool spares it    spared: those that have it keep it
in use       its last connection is closed      kept, while the pool is that of the backend which has the call; else
                                                none: it is given back
kept         a connection needs one             in use
kept         another pool's backend has the
             call, or it ends                   none: it is given back
spared       a connection needs one             spared, and another one is in use; where none is free, in use again
                                                once it is spared no more
spared       its last connection is closed      none: it is given back
"""

from __future__ import annotations

import asyncio

from voicebridge.contract.errors import NoFreeKey
from voicebridge.contract.fault import Fault
from voicebridge.pool.key_lease import KeyLease
from voicebridge.pool.key_pool import KeyPool

__all__ = ["CallKey", "CallKeys"]

_KEY_WITHIN_S = 8.0
"""So long a call waits for a key. Longer than that nobody holds the line."""


class CallKey:
    """A key that a call has, for the connections that are opened with it."""

    def __init__(self, pool: KeyPool, lease: KeyLease) -> None:
        self.pool, self.lease = pool, lease
        self.users = 0
        """The connections that have it."""
        self.proven = False
        """One of them was ready: the vendor gives it a session."""

    def fault(self, fault: Fault, *, connecting: bool) -> None:
        """See `KeyLease.fault`."""
        self.lease.fault(fault, connecting=connecting and not self.proven)


class CallKeys:
    """Takes them from their pools, and gives them back."""

    def __init__(self) -> None:
        self._keys: dict[KeyPool, CallKey] = {}
        self._turns: dict[KeyPool, asyncio.Lock] = {}
        """Held while a pool is asked: connections that are dialled at once share what it gives."""
        self._serving: KeyPool | None = None
        """The pool of the backend that has the call."""
        self._over = False

    async def take(self, pool: KeyPool) -> CallKey:
        """A key for one more connection.

        Raises:
            NoFreeKey: the pool has none.
        """
        async with self._turns.setdefault(pool, asyncio.Lock()):
            key = self._keys.get(pool)
            if key is not None and key.lease.spared_s > 0:
                key = await self._instead_of(key)
            if key is None:
                key = self._keys[pool] = CallKey(pool, await pool.acquire(deadline_s=_KEY_WITHIN_S))
            key.users += 1
        return key

    async def _instead_of(self, spared: CallKey) -> CallKey | None:
        """Another key of the pool; or the same, as soon as it is spared no more; or None, if it was given back."""
        pool, wait_s = spared.pool, spared.lease.spared_s
        try:
            key = self._keys[pool] = CallKey(pool, await pool.acquire(deadline_s=0))
        except NoFreeKey:
            if wait_s > _KEY_WITHIN_S:
                raise
            await asyncio.sleep(wait_s)
            return self._keys.get(pool)
        return key

    def leave(self, key: CallKey) -> None:
        """A connection that had it is closed."""
        key.users -= 1
        kept = key.pool is self._serving and self._keys.get(key.pool) is key and not key.lease.spared_s
        if not key.users and (self._over or not kept):
            self._give_back(key)

    def serves(self, pool: KeyPool | None) -> None:
        """The backend that has the call gets its keys from here; None: from no pool."""
        self._serving = pool
        for key in list(self._keys.values()):
            if key.pool is not pool and not key.users:
                self._give_back(key)

    def end(self) -> None:
        """The call is over. What is in use is given back when its connection is closed."""
        self._over = True
        self.serves(None)

    def _give_back(self, key: CallKey) -> None:
        if self._keys.get(key.pool) is key:
            del self._keys[key.pool]
        key.lease.release()
