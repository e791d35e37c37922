"""The lease store in memory: the contract of all stores, and thousands of orders of events against a plain model."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from voicebridge.pool import Ask, Cooling, Key, Lease, LeaseStore, MemoryLeaseStore, Refusal
from voicebridge.testing.lease_store_contract import LeaseStoreContract

T = TypeVar("T")


class TestMemoryLeaseStore(LeaseStoreContract):
    virtual_time = True

    def store(self) -> LeaseStore:
        return MemoryLeaseStore()


def now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waited")


KEYS = [Key(id="k0", sessions=1), Key(id="k1", sessions=2), Key(id="k2", sessions=3, connects_per_minute=4)]
IDS = st.integers(0, 12)


@dataclass
class Known:
    """What the model knows of a lease."""

    key_id: str
    fence: int
    expires_at: float
    lingers: bool = False
    forced: bool = False


class Store(RuleBasedStateMachine):
    """A model that knows only what was answered, and what may be answered."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0.0
        self.store = MemoryLeaseStore(lambda: self.at)
        self.leases: dict[str, Known] = {}
        self.past: dict[str, Lease] = {}
        self.cooled: dict[str, float] = {}
        self.connects: list[float] = []
        self.fence = 0

    def alive(self, key_id: str) -> list[Known]:
        return [known for known in self.leases.values() if known.key_id == key_id]

    def held(self, lease_id: str) -> bool:
        return lease_id in self.leases and not self.leases[lease_id].lingers

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.at += seconds
        self.leases = {name: known for name, known in self.leases.items() if known.expires_at > self.at}

    @rule(
        numbers=st.lists(IDS, min_size=1, max_size=5, unique=True),
        tenant=st.sampled_from("xyz"),
        wait_s=st.sampled_from([0.0, 2.0, 30.0]),
        ttl_s=st.sampled_from([1.0, 10.0]),
    )
    def acquire(self, numbers: list[int], tenant: str, wait_s: float, ttl_s: float) -> None:
        # An id is never used for a second lease: ended ones are passed over.
        names = [name for number in numbers if (name := f"l{number}") not in self.past or self.held(name)]
        asks = [Ask(lease_id=name, tenant=tenant, wait_s=wait_s) for name in names]
        for name, answer in now(self.store.acquire(KEYS, asks, ttl_s=ttl_s)).items():
            if self.held(name):
                assert isinstance(answer, Lease)
                assert answer.fence == self.leases[name].fence
                self.leases[name].expires_at = self.at + ttl_s
            elif isinstance(answer, Lease):
                assert answer.fence > self.fence or len(names) > 1
                self.fence = max(self.fence, answer.fence)
                assert self.cooled.get(answer.key_id, -math.inf) <= self.at
                self.leases[name] = Known(answer.key_id, answer.fence, self.at + ttl_s)
                self.past[name] = answer
                [limit] = [key.sessions for key in KEYS if key.id == answer.key_id]
                assert len(self.alive(answer.key_id)) <= limit
                if answer.key_id == "k2":
                    self.connects.append(self.at)
            else:
                assert set(answer.causes) == {key.id for key in KEYS}

    @rule(numbers=st.lists(IDS, max_size=5, unique=True), ttl_s=st.sampled_from([1.0, 10.0]))
    def renew(self, numbers: list[int], ttl_s: float) -> None:
        names = [f"l{number}" for number in numbers]
        lost = now(self.store.renew(names, ttl_s=ttl_s))
        assert lost == {name for name in names if not self.held(name)}
        for name in set(names) - lost:
            self.leases[name].expires_at = self.at + ttl_s

    @rule(numbers=st.lists(IDS, max_size=3, unique=True), linger_s=st.sampled_from([0.0, 2.0]))
    def release(self, numbers: list[int], linger_s: float) -> None:
        names = [f"l{number}" for number in numbers]
        now(self.store.release(names, linger_s=linger_s))
        for name in filter(self.held, names):
            if linger_s:
                self.leases[name].expires_at, self.leases[name].lingers = self.at + linger_s, True
            else:
                del self.leases[name]

    @rule(numbers=st.lists(IDS, max_size=3, unique=True))
    def reassert(self, numbers: list[int]) -> None:
        names = [f"l{number}" for number in numbers if f"l{number}" in self.past]
        names = [name for name in names if name not in self.leases or self.held(name)]
        for lease in now(self.store.reassert([self.past[name] for name in names], ttl_s=10.0)):
            if self.held(lease.id):
                assert lease.fence == self.leases[lease.id].fence
                self.leases[lease.id].expires_at = self.at + 10.0
            else:
                assert lease.fence > self.fence
                self.fence = lease.fence
                self.leases[lease.id] = Known(lease.key_id, lease.fence, self.at + 10.0)

    @rule(key=st.sampled_from(KEYS), for_s=st.sampled_from([None, 1.0, 7.0]))
    def cool(self, key: Key, for_s: float | None) -> None:
        now(self.store.cool(key.id, Cooling(cause="rate", for_s=for_s)))
        until = math.inf if for_s is None else self.at + for_s
        self.cooled[key.id] = max(self.cooled.get(key.id, -math.inf), until)

    @rule(key=st.sampled_from(KEYS), slow=st.booleans())
    def narrow(self, key: Key, slow: bool) -> None:
        less = Cooling(cause="limit", slow_s=5.0, every_s=1.0) if slow else Cooling(cause="rate", shrink_s=5.0)
        now(self.store.cool(key.id, less))

    @rule(key=st.sampled_from(KEYS))
    def lift(self, key: Key) -> None:
        now(self.store.cool(key.id, None))
        self.cooled.pop(key.id, None)

    @invariant()
    def it_knows_what_the_model_knows(self) -> None:
        snapshot = now(self.store.snapshot(KEYS))
        assert {key_id: state.taken for key_id, state in snapshot.keys.items()} == {
            key.id: len(self.alive(key.id)) for key in KEYS
        }

    @invariant()
    def no_minute_has_too_many_connects(self) -> None:
        for began in self.connects:
            assert len([at for at in self.connects if began <= at < began + 60.0 - 1e-6]) <= 4


Store.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
TestStore = Store.TestCase


@given(
    per_minute=st.integers(1, 200),
    gaps=st.lists(st.sampled_from([0.0, 0.01, 0.3, 1.0, 30.0]), min_size=1, max_size=300),
    start=st.sampled_from([0.0, 1e6]),
)
@settings(max_examples=100, deadline=None)
def test_the_pace_holds_in_every_minute(per_minute: int, gaps: list[float], start: float) -> None:
    at = start
    store = MemoryLeaseStore(lambda: at)
    key = Key(id="k", sessions=10_000, connects_per_minute=per_minute)
    granted: list[float] = []
    for number, gap in enumerate(gaps):
        at += gap
        answers = now(store.acquire([key], [Ask(lease_id=f"{number}-{i}") for i in range(3)], ttl_s=1e6))
        granted += [at for answer in answers.values() if isinstance(answer, Lease)]
    for began in granted:
        assert sum(began <= moment < began + 60.0 - 1e-6 for moment in granted) <= per_minute


@given(
    waiting=st.lists(st.tuples(st.sampled_from("wxyz"), st.integers(1, 3)), min_size=1, max_size=20),
    freed=st.lists(st.integers(1, 4), min_size=1, max_size=12),
)
@settings(max_examples=200, deadline=None)
def test_turns_are_fair_however_many_ask_at_once(waiting: list[tuple[str, int]], freed: list[int]) -> None:
    """While two tenants wait, neither gets two more than the other; each is served in the order in which it came."""
    store = MemoryLeaseStore(lambda: 0.0)
    sessions = sum(freed)
    key = Key(id="k", sessions=sessions)
    now(store.acquire([key], [Ask(lease_id=f"old{i}") for i in range(sessions)], ttl_s=1e6))
    asks = [
        Ask(lease_id=f"{tenant}{number}-{i}", tenant=tenant, wait_s=1e6)
        for number, (tenant, count) in enumerate(waiting)
        for i in range(count)
    ]
    left = list(asks)
    now(store.acquire([key], left, ttl_s=1e6))
    served: dict[str, int] = {}
    olds = iter(range(sessions))
    for count in freed:
        waits = {ask.tenant for ask in left}
        now(store.release([f"old{next(olds)}" for _ in range(count)]))
        answers = now(store.acquire([key], list(reversed(left)), ttl_s=1e6))
        granted = [ask for ask in left if isinstance(answers[ask.lease_id], Lease)]
        assert len(granted) == min(count, len(left))
        for ask in granted:
            assert next(other for other in left if other.tenant == ask.tenant) is ask
            left.remove(ask)
            served[ask.tenant] = served.get(ask.tenant, 0) + 1
        still = {ask.tenant for ask in left} & waits
        counts = [served.get(tenant, 0) for tenant in still]
        assert max(counts, default=0) - min(counts, default=0) <= 1


def test_the_loops_clock_is_the_default() -> None:
    async def main() -> Lease | Refusal:
        store = MemoryLeaseStore()
        return (await store.acquire([Key(id="k")], [Ask(lease_id="l")], ttl_s=5.0))["l"]

    with asyncio.Runner() as runner:
        lease = runner.run(main())
        assert isinstance(lease, Lease)
        assert 0 < lease.expires_at - runner.get_loop().time() <= 5.0
