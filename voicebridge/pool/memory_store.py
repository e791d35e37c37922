"""The lease store of one process: exact, and nothing to set up."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest

from .lease_store import Ask, Cooling, Key, KeyState, Lease, Refusal, Snapshot

__all__ = ["MemoryLeaseStore"]

_REMEMBERED_TENANTS = 1000
"""Tenants of which it is known when they last had their turn."""
_ROUNDING_S = 1e-6
"""What sums of times may be off by."""


@dataclass(slots=True)
class _Slot:
    fence: int
    expires_at: float
    lingers: bool = False


@dataclass(slots=True)
class _Ticket:
    """A place among those who wait."""

    ask: Ask
    expires_at: float


@dataclass(slots=True)
class _Record:
    """What is known of a key. Times are on the store's clock."""

    slots: dict[str, _Slot] = field(default_factory=dict)
    """By lease."""
    cause: str = ""
    cooled_until: float = -math.inf
    shrunk_to: int = 0
    shrunk_until: float = -math.inf
    every_s: float = 0.0
    slow_until: float = -math.inf
    granted_at: float = -math.inf
    paid_until: float = -math.inf
    """How far ahead the pace is used up: the theoretical arrival time of the generic cell rate algorithm."""

    def limit(self, key: Key, now: float) -> int:
        """How many slots there are at present."""
        return min(key.sessions, self.shrunk_to) if now < self.shrunk_until else key.sessions

    def paced_until(self, key: Key, now: float) -> float:
        """When another lease may begin, as far as the pace goes."""
        slow = self.granted_at + self.every_s if now < self.slow_until else -math.inf
        if key.connects_per_minute is None:
            return slow
        interval_s, burst = _pace(key.connects_per_minute)
        return max(slow, self.paid_until - (burst - 1) * interval_s - _ROUNDING_S)

    def room(self, key: Key, now: float) -> int:
        """How many leases it can give right now."""
        free = self.limit(key, now) - len(self.slots)
        if free <= 0 or now < self.cooled_until or now < self.paced_until(key, now):
            return 0
        if now < self.slow_until and self.every_s > 0:
            free = 1
        if key.connects_per_minute is not None:
            interval_s, burst = _pace(key.connects_per_minute)
            ahead = max(self.paid_until - now, 0.0) / interval_s
            free = min(free, max(burst - math.ceil(ahead - _ROUNDING_S), 1))
        return free

    def take(self, key: Key, lease_id: str, slot: _Slot, now: float) -> None:
        self.slots[lease_id] = slot
        self.granted_at = now
        if key.connects_per_minute is not None:
            self.paid_until = max(self.paid_until, now) + _pace(key.connects_per_minute)[0]

    def why_not(self, key: Key, now: float) -> tuple[str, float | None]:
        """Why it gives no lease, and in how many seconds that is known to end."""
        if now < self.cooled_until:
            return self.cause, self.cooled_until - now if math.isfinite(self.cooled_until) else None
        if len(self.slots) >= self.limit(key, now):
            ends = [slot.expires_at for slot in self.slots.values() if slot.lingers]
            if len(self.slots) < key.sessions:
                ends.append(self.shrunk_until)
            return "full", min(ends) - now if ends else None
        if now < (paced_until := self.paced_until(key, now)):
            return "pace", paced_until - now
        return "", 0.0


def _pace(per_minute: int) -> tuple[float, int]:
    """Seconds between two, and how many may come at once, so that no minute has more than so many."""
    burst = max(per_minute // 10, 1)
    return 60.0 / (per_minute - burst + 1) + 2 * _ROUNDING_S, burst


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class MemoryLeaseStore:
    """A `LeaseStore` for the sessions of one process. Exact: each method runs from its first line to its last without a
    pause.

    Args:
        clock: gives seconds that never go back. Left out: that of the running event loop.
    """

    def __init__(self, clock: Callable[[], float] = _loop_time) -> None:
        self._clock = clock
        self._records: dict[str, _Record] = {}
        self._key_of: dict[str, str] = {}
        """By lease."""
        self._tickets: dict[str, _Ticket] = {}
        """By lease, in the order in which they came."""
        self._last_turn: dict[str, int] = {}
        """By tenant, the fence of the latest lease; the tenant who waited longest comes first."""
        self._fence = 0

    async def acquire(self, keys: Sequence[Key], asks: Sequence[Ask], *, ttl_s: float) -> Mapping[str, Lease | Refusal]:
        """See `LeaseStore.acquire`."""
        now = self._tidied()
        answers: dict[str, Lease | Refusal] = {}
        for ask in asks:
            if held := self._held(ask.lease_id):
                held[1].expires_at = now + ttl_s
                answers[ask.lease_id] = self._lease(ask.lease_id)
            else:
                ticket = self._tickets.setdefault(ask.lease_id, _Ticket(ask, now))
                ticket.expires_at = now + ask.wait_s
        asked = {ask.lease_id for ask in asks} - answers.keys()
        room = sum(self._record(key.id).room(key, now) for key in keys)
        for lease_id in [*islice(self._in_turn(now), room)] if room else ():
            if lease_id in asked:
                self._grant(keys, self._tickets.pop(lease_id).ask, now, ttl_s)
                answers[lease_id] = self._lease(lease_id)
        if refused := asked - answers.keys():
            answers |= dict.fromkeys(refused, self._refusal(keys, now))
            for ask in asks:
                if ask.wait_s <= 0:
                    self._tickets.pop(ask.lease_id, None)
        return answers

    async def renew(self, lease_ids: Collection[str], *, ttl_s: float) -> frozenset[str]:
        """See `LeaseStore.renew`."""
        now = self._tidied()
        lost = set()
        for lease_id in lease_ids:
            if held := self._held(lease_id):
                held[1].expires_at = now + ttl_s
            else:
                lost.add(lease_id)
        return frozenset(lost)

    async def release(self, lease_ids: Collection[str], *, linger_s: float = 0.0) -> None:
        """See `LeaseStore.release`."""
        now = self._tidied()
        for lease_id in lease_ids:
            self._tickets.pop(lease_id, None)
            if held := self._held(lease_id):
                held[1].expires_at, held[1].lingers = now + linger_s, True
        self._tidied()

    async def cool(self, key_id: str, cooling: Cooling | None) -> None:
        """See `LeaseStore.cool`."""
        now = self._tidied()
        record = self._record(key_id)
        if cooling is None:
            record.cooled_until = record.shrunk_until = record.slow_until = -math.inf
            return
        until = math.inf if cooling.for_s is None else now + cooling.for_s
        if until > max(record.cooled_until, now):
            record.cooled_until, record.cause = until, cooling.cause
        if cooling.shrink_s > 0:
            fewer = max(len(record.slots) - 1, 1)
            record.shrunk_to = min(record.shrunk_to, fewer) if now < record.shrunk_until else fewer
            record.shrunk_until = max(record.shrunk_until, now + cooling.shrink_s)
        if cooling.slow_s > 0:
            record.every_s = max(record.every_s, cooling.every_s) if now < record.slow_until else cooling.every_s
            record.slow_until = max(record.slow_until, now + cooling.slow_s)

    async def reassert(self, leases: Collection[Lease], *, ttl_s: float) -> Sequence[Lease]:
        """See `LeaseStore.reassert`."""
        now = self._tidied()
        for lease in leases:
            if held := self._held(lease.id):
                held[1].expires_at = now + ttl_s
            else:
                self._fence += 1
                self._record(lease.key_id).slots[lease.id] = _Slot(self._fence, now + ttl_s)
                self._key_of[lease.id] = lease.key_id
        return [self._lease(lease.id) for lease in leases]

    async def snapshot(self, keys: Sequence[Key]) -> Snapshot:
        """See `LeaseStore.snapshot`."""
        now = self._tidied()
        states = {}
        for key in keys:
            record = self._record(key.id)
            cause, free_in_s = record.why_not(key, now)
            taken, slots = len(record.slots), record.limit(key, now)
            states[key.id] = KeyState(taken=taken, slots=slots, cause=cause, free_in_s=free_in_s)
        waiting: dict[str, int] = {}
        self._drop_tickets(now)
        for ticket in self._tickets.values():
            waiting[ticket.ask.tenant] = waiting.get(ticket.ask.tenant, 0) + 1
        return Snapshot(keys=states, waiting=waiting)

    def _record(self, key_id: str) -> _Record:
        return self._records.setdefault(key_id, _Record())

    def _held(self, lease_id: str) -> tuple[str, _Slot] | None:
        """The key and the slot of a lease that was not released."""
        key_id = self._key_of.get(lease_id)
        if key_id is None or (slot := self._records[key_id].slots[lease_id]).lingers:
            return None
        return key_id, slot

    def _lease(self, lease_id: str) -> Lease:
        key_id = self._key_of[lease_id]
        slot = self._records[key_id].slots[lease_id]
        return Lease(id=lease_id, key_id=key_id, fence=slot.fence, expires_at=slot.expires_at)

    def _tidied(self) -> float:
        """The time now, after what has expired is gone."""
        now = self._clock()
        for record in self._records.values():
            for lease_id in [lease_id for lease_id, slot in record.slots.items() if slot.expires_at <= now]:
                del record.slots[lease_id], self._key_of[lease_id]
        return now

    def _drop_tickets(self, now: float) -> None:
        for lease_id in [lease_id for lease_id, ticket in self._tickets.items() if ticket.expires_at < now]:
            del self._tickets[lease_id]

    def _in_turn(self, now: float) -> Iterator[str]:
        """The leases that are waited for: the tenants take turns, the one who waited longest for a turn first."""
        self._drop_tickets(now)
        queues: dict[str, list[str]] = {}
        for lease_id, ticket in self._tickets.items():
            queues.setdefault(ticket.ask.tenant, []).append(lease_id)
        tenants = sorted(queues, key=lambda tenant: self._last_turn.get(tenant, 0))
        for turn in zip_longest(*(queues[tenant] for tenant in tenants)):
            yield from (lease_id for lease_id in turn if lease_id is not None)

    def _grant(self, keys: Sequence[Key], ask: Ask, now: float, ttl_s: float) -> None:
        def load(key: Key) -> tuple[bool, float, float]:
            record = self._record(key.id)
            return now < record.slow_until, len(record.slots) / record.limit(key, now), record.granted_at

        key = min((key for key in keys if self._record(key.id).room(key, now)), key=load)
        self._fence += 1
        self._record(key.id).take(key, ask.lease_id, _Slot(self._fence, now + ttl_s), now)
        self._key_of[ask.lease_id] = key.id
        self._last_turn.pop(ask.tenant, None)
        self._last_turn[ask.tenant] = self._fence
        if len(self._last_turn) > _REMEMBERED_TENANTS:
            del self._last_turn[next(iter(self._last_turn))]

    def _refusal(self, keys: Sequence[Key], now: float) -> Refusal:
        causes, ends = {}, []
        for key in keys:
            cause, ends_s = self._record(key.id).why_not(key, now)
            causes[key.id] = cause or "full"  # what is free is kept for others who wait
            if cause and ends_s is not None:
                ends.append(ends_s)
        return Refusal(causes=causes, retry_after_s=min(ends, default=None))
