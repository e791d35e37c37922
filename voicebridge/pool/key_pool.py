"""Several API keys that many sessions share.

    pool = KeyPool.from_env("OPENAI_API_KEYS", sessions_per_key=10)

    async with voicebridge.connect("openai/gpt-realtime-2", api_key=pool) as session:
        ...

A call has a key, and a slot of it, from its first dial to its end, over all its connections. Where one takes over from
another, the vendor may count two sessions for a moment, and here it is one: with a vendor that counts strictly, set
`sessions_per_key` one lower than what is allowed.

what a pool owns    from                                 until
its keeper, a task  the first lease or the first waiter  nothing is leased, waited for or untold, or `aclose`
a lease             `acquire`                            `release`, or `aclose`; it is renewed by the keeper
a place in line     `acquire`                            `acquire` returns, raises or is cancelled
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, NoReturn

from pydantic import SecretStr

from voicebridge.contract.errors import ConfigError, NoFreeKey
from voicebridge.contract.events import Limit
from voicebridge.contract.fault import Fault

from .cooling_policy import CoolingPolicy, Strikes, cooling_after_limits
from .fingerprint import by_fingerprint
from .key_lease import KeyLease
from .lease_store import Ask, Key, Lease, LeaseStore, Refusal, Snapshot
from .memory_store import MemoryLeaseStore
from .no_free_key import closed_pool, hopeless, no_free_key
from .pool_check import check_ask, check_number, check_parts

__all__ = ["KeyPool"]

_PLACE_S = 2.0
"""Seconds for which a place in line is kept for a process that does not ask."""
_SOON_S = 0.001
"""The shortest wait: what ends then has ended, whatever sums of times are off by."""
_CLOSE_S = 3.0
_log = logging.getLogger("voicebridge")


@dataclass(slots=True, eq=False)
class _Waiter:
    ask: Ask
    patience_s: float
    """Seconds; may be infinite."""
    deadline: float
    """On the loop's clock."""
    outcome: asyncio.Future[KeyLease | NoFreeKey]
    refusal: Refusal = field(default_factory=lambda: Refusal(causes={}))
    """The latest."""


class KeyPool:
    """Keys of one vendor, given to sessions: the key with the least of its slots taken first, and none that is cooling.

    Who finds no free key waits: tenants take turns, and within one the first to come is the first served. A pool serves
    any number of tasks of one event loop. It may be used from another loop when the first is over, and then its leases
    of that time are given back; at the same time it may not. Processes, or loops, share keys by sharing a store.

    Args:
        keys: the keys. One that comes twice counts once.
        name: what errors and logs call this pool.
        sessions_per_key: how many sessions a key may have open at once.
        connects_per_minute: how many a key may open in any minute. None: any number. Later connections of a call that
            has its key already are not counted.
        store: where leases are written down. None: in this pool.
        linger_s: seconds for which a slot stays taken after a release, as the vendor frees its own late.
        ttl_s: seconds after which the leases of a process that died are free again.
        poll_s: seconds between two looks at the store for those who wait.
        cooling: for how long keys are spared after a fault.
        chance: gives numbers from 0 to 1, by which pools of several processes renew at different times.

    Raises:
        ConfigError: there is no key, or a setting does not fit.
    """

    def __init__(
        self,
        keys: Sequence[str | SecretStr],
        *,
        name: str = "keys",
        sessions_per_key: int = 10,
        connects_per_minute: int | None = None,
        store: LeaseStore | None = None,
        linger_s: float = 2.0,
        ttl_s: float = 15.0,
        poll_s: float = 0.25,
        cooling: CoolingPolicy | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self._secrets = by_fingerprint(keys)
        check_number("sessions_per_key", sessions_per_key, least=1, whole=True)
        check_number(
            "connects_per_minute", 1 if connects_per_minute is None else connects_per_minute, least=1, whole=True
        )
        check_number("linger_s", linger_s, least=0)
        check_number("ttl_s", ttl_s, least=0.1)
        check_number("poll_s", poll_s, least=0.01)
        self._keys = [
            Key(id=key_id, sessions=sessions_per_key, connects_per_minute=connects_per_minute)
            for key_id in self._secrets
        ]
        self._sessions_per_key, self._linger_s, self._ttl_s, self._poll_s = sessions_per_key, linger_s, ttl_s, poll_s
        self._store = MemoryLeaseStore() if store is None else store
        cooling = CoolingPolicy() if cooling is None else cooling
        check_parts(name, self._store, cooling, chance)
        self._strikes = Strikes(cooling)
        self._chance = chance
        self._held: dict[str, KeyLease] = {}
        self._waiting: dict[str, _Waiter] = {}
        self._untold: deque[Callable[[], Awaitable[None]]] = deque()
        """What the store is to be told before it is asked anything."""
        self._renew_at = math.inf
        self._look_at = math.inf
        """When something is known to change for those who wait."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()
        """Held while the store is talked to, so that it hears everything in order."""
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    @classmethod
    def from_env(cls, variable: str, **settings: Any) -> KeyPool:
        """A pool of the keys in an environment variable, separated by commas.

        Args:
            settings: as of the pool itself. Its name is the variable's unless given.

        Raises:
            ConfigError: there is none, or a setting does not fit.
        """
        keys = [key.strip() for key in os.environ.get(variable, "").split(",")]
        if not any(keys):
            raise ConfigError(f"Set {variable} to one API key or more, separated by commas.", code="no_keys")
        return cls([key for key in keys if key], **{"name": variable, **settings})

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The fingerprints of the keys, in their order."""
        return tuple(self._secrets)

    def in_clear(self) -> tuple[str, ...]:
        """The keys themselves, for who takes them out of logs."""
        return tuple(key.get_secret_value() for key in self._secrets.values())

    async def acquire(self, *, deadline_s: float | None, tenant: str = "") -> KeyLease:
        """A lease of a key. Release it after the session's socket is closed.

        Args:
            deadline_s: seconds to wait at most. 0: don't wait. None: as long as there is hope.
            tenant: on whose behalf. Tenants take turns.

        Raises:
            NoFreeKey: none came free in time, or none can any more: every key is cooling for longer than that. Its
                fault is of category `auth` or `quota` where that is why.
        """
        loop = self._enter()
        check_ask(deadline_s, tenant)
        patience_s = math.inf if deadline_s is None else max(deadline_s, 0.0)
        ask = Ask(lease_id=secrets.token_hex(8), tenant=tenant, wait_s=_PLACE_S if patience_s > 0 else 0.0)
        waiter = _Waiter(ask, patience_s, loop.time() + patience_s, loop.create_future())
        self._waiting[ask.lease_id] = waiter
        try:
            async with self._turn:
                await self._ask([waiter])
            self._keep()
            if not waiter.outcome.done():
                left_s = max(waiter.deadline - loop.time(), 0.0)
                await asyncio.wait([waiter.outcome], timeout=left_s if math.isfinite(left_s) else None)
            lease = waiter.outcome.result() if waiter.outcome.done() else self._refused(waiter)
            if isinstance(lease, NoFreeKey):
                raise lease
            if self._closed:
                raise closed_pool(self.name)
        except BaseException:
            self._held.pop(ask.lease_id, None)
            self._tell(partial(self._store.release, [ask.lease_id]))
            raise
        finally:
            self._waiting.pop(ask.lease_id, None)
        return lease

    @asynccontextmanager
    async def lease(self, *, deadline_s: float | None, tenant: str = "") -> AsyncIterator[KeyLease]:
        """`acquire`, and `release` at the end of the block."""
        lease = await self.acquire(deadline_s=deadline_s, tenant=tenant)
        try:
            yield lease
        finally:
            lease.release()

    async def snapshot(self) -> Snapshot:
        """How the keys stand, by fingerprint, and how many wait, by tenant."""
        self._enter()
        async with self._turn:
            await self._flush()
            return await self._store.snapshot(self._keys)

    def reinstate(self, key_id: str) -> None:
        """Use a key again that was ejected: its account was topped up, or its rights were changed."""
        if key_id not in self._secrets:
            raise ConfigError(f"Pool {self.name!r} has no key {key_id!r}. It has: {', '.join(self._secrets)}.")
        self._tell(partial(self._store.cool, key_id, None))

    async def aclose(self) -> None:
        """End it: those who wait get `NoFreeKey`, and every lease is released."""
        self._adopt(asyncio.get_running_loop())
        for waiter in self._waiting.values():
            _settle(waiter, closed_pool(self.name))
        for lease in [*self._held.values()]:
            self.gave_back(lease)
        self._tell(partial(self._store.release, list(self._waiting)))
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        try:
            async with asyncio.timeout(_CLOSE_S), self._turn:
                await self._flush()
        except Exception as error:  # the store's: what it was not told ends by itself, when its time is up
            _log.warning("Pool %r could not tell its lease store that it ends: %s", self.name, type(error).__name__)

    async def __aenter__(self) -> KeyPool:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<KeyPool {self.name!r}: keys {', '.join(self._secrets)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A KeyPool holds keys, so it can't be pickled or copied.")

    # What leases tell

    def holds(self, lease: KeyLease) -> bool:
        """Whether the lease is in use."""
        return self._held.get(lease.id) is lease

    def spares(self, lease: KeyLease) -> float:
        """See `KeyLease.spared_s`."""
        return max(0.0, lease.spared_until - (0.0 if self._loop is None else self._loop.time()))

    def faulted(self, lease: KeyLease, fault: Fault, *, connecting: bool) -> None:
        """See `KeyLease.fault`."""
        now = 0.0 if self._loop is None else self._loop.time()
        cooling = self._strikes.cooling_after(lease.key_id, fault, connecting=connecting, now=now)
        if cooling is not None:
            lease.refused |= connecting
            lease.spared_until = math.inf if cooling.for_s is None else max(lease.spared_until, now + cooling.for_s)
            for_ = "until it is reinstated" if cooling.for_s is None else f"for {cooling.for_s:g} s"
            _log.warning("Pool %r spares key %s %s: %s", self.name, lease.key_id, for_, cooling.cause)
            self._tell(partial(self._store.cool, lease.key_id, cooling))

    def limited(self, lease: KeyLease, limits: Iterable[Limit]) -> None:
        """See `KeyLease.limits`."""
        cooling = cooling_after_limits(limits, sessions=self._sessions_per_key)
        if cooling is not None:
            self._tell(partial(self._store.cool, lease.key_id, cooling))

    def gave_back(self, lease: KeyLease) -> None:
        """See `KeyLease.release`."""
        if self.holds(lease):
            del self._held[lease.id]
            linger_s = 0.0 if lease.refused else self._linger_s
            self._tell(partial(self._store.release, [lease.id], linger_s=linger_s))

    # The store

    def _enter(self) -> asyncio.AbstractEventLoop:
        """The running loop, which from now on is the pool's."""
        if self._closed:
            raise closed_pool(self.name)
        return self._adopt(asyncio.get_running_loop())

    def _adopt(self, loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
        if self._loop is loop:
            return loop
        if self._loop is not None and not self._loop.is_closed():
            raise ConfigError(
                f"Key pool {self.name!r} is in use on another event loop. Make one for each; they may share a store.",
                code="other_loop",
            )
        self._loop, self._keeper = loop, None
        self._turn, self._wake = asyncio.Lock(), asyncio.Event()
        self._waiting.clear()
        for lease in [*self._held.values()]:  # no call outlives its loop
            self.gave_back(lease)
        return loop

    def _tell(self, news: Callable[[], Awaitable[None]]) -> None:
        if not self._closed:
            self._untold.append(news)
            self._keep()

    def _keep(self) -> None:
        """See to it that the keeper runs and looks around, on a loop that goes on."""
        self._wake.set()
        if self._closed or self._loop is None or self._loop.is_closed():
            return
        if self._keeper is None or self._keeper.done():
            self._keeper = self._loop.create_task(self._look_after(), name=f"key pool {self.name}")

    async def _look_after(self) -> None:
        """Tell the store what is untold, renew what is held, ask for those who wait; until there is nothing of it."""
        clock = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            try:
                async with self._turn:
                    await self._ask(list(self._waiting.values()))
            except Exception as error:  # of a store that can't be reached: calls go on meanwhile
                _log.warning("Pool %r can't reach its lease store: %s", self.name, type(error).__name__)
                await asyncio.sleep(self._poll_s)
                continue
            if not (self._held or self._waiting or self._untold):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._due(clock())):
                    await self._wake.wait()

    def _due(self, now: float) -> float:
        """When to look around again if nobody wakes the keeper."""
        if not self._waiting:
            return self._renew_at
        return min(self._renew_at, max(self._look_at, now + _SOON_S), now + self._poll_s)

    async def _flush(self) -> None:
        while self._untold:
            await self._untold[0]()
            self._untold.popleft()

    async def _ask(self, waiters: Sequence[_Waiter]) -> None:
        """One question for all of them; before it, whatever the store should know by now."""
        await self._flush()
        if asyncio.get_running_loop().time() >= self._renew_at:
            await self._renew()
        self._look_at = math.inf
        waiters = [waiter for waiter in waiters if not waiter.outcome.done()]
        if not waiters:
            return
        answers = await self._store.acquire(self._keys, [waiter.ask for waiter in waiters], ttl_s=self._ttl_s)
        now = asyncio.get_running_loop().time()
        for waiter in waiters:
            if waiter.ask.lease_id not in self._waiting:
                continue  # it gave up meanwhile, and the store will be told
            answer = answers[waiter.ask.lease_id]
            if isinstance(answer, Lease):
                self._give(waiter, answer, now)
                continue
            waiter.refusal = answer
            if hopeless(answer, waiter.deadline - now):
                _settle(waiter, self._refused(waiter))
            elif answer.retry_after_s is not None:
                self._look_at = min(self._look_at, now + answer.retry_after_s)

    def _give(self, waiter: _Waiter, answer: Lease, now: float) -> None:
        lease = KeyLease(self, self._secrets[answer.key_id], answer)
        if not self._held:
            self._renew_at = self._next_renewal(now)
        self._held[answer.id] = lease
        _settle(waiter, lease)

    def _refused(self, waiter: _Waiter) -> NoFreeKey:
        return no_free_key(self.name, waiter.refusal, patience_s=waiter.patience_s)

    async def _renew(self) -> None:
        lost = await self._store.renew(list(self._held), ttl_s=self._ttl_s)
        gone = [lease for lease_id in lost if (lease := self._held.get(lease_id))]
        if gone:
            _log.warning("Pool %r lost %d leases and takes them back: their calls go on", self.name, len(gone))
            for again in await self._store.reassert([lease.record for lease in gone], ttl_s=self._ttl_s):
                if lease := self._held.get(again.id):
                    lease.record = again
        self._renew_at = self._next_renewal(asyncio.get_running_loop().time()) if self._held else math.inf

    def _next_renewal(self, now: float) -> float:
        return now + self._ttl_s / 3 * (0.8 + 0.4 * self._chance())


def _settle(waiter: _Waiter, outcome: KeyLease | NoFreeKey) -> None:
    if not waiter.outcome.done():
        waiter.outcome.set_result(outcome)
