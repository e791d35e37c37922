"""What every `LeaseStore` promises, as tests that run against any of them.

    class TestMine(LeaseStoreContract):
        unit_s = 0.1  # real seconds for a second of the tests

        def store(self):
            return MyLeaseStore(...)

Needs no pytest, but is made for it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from typing import Any, ClassVar

from voicebridge.pool.key_pool import KeyPool
from voicebridge.pool.lease_store import Ask, Cooling, Key, Lease, LeaseStore, Refusal
from voicebridge.testing.clock import run_in_virtual_time

__all__ = ["LeaseStoreContract", "jain"]

_Check = Callable[["LeaseStoreContract", LeaseStore], Awaitable[None]]
_A, _B = Key(id="aaaaaaaa", sessions=2), Key(id="bbbbbbbb", sessions=2)


def jain(shares: list[float]) -> float:
    """Jain's index of fairness: 1 where all have the same, 1 / n where one has everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def _check(check: _Check) -> Callable[[LeaseStoreContract], None]:
    @wraps(check)
    def test(self: LeaseStoreContract) -> None:
        async def main() -> None:
            await check(self, self.store())

        self.run(main())

    del test.__dict__["__wrapped__"]  # or pytest would look for a fixture called `store`
    return test


class LeaseStoreContract:
    """Subclass it, say which store, and pytest finds a test for each promise."""

    virtual_time: ClassVar[bool] = False
    """For a store whose clock is that of the event loop."""
    unit_s: ClassVar[float] = 1.0
    """Seconds that stand for one of the tests': less is quicker, and asks more of the store and the machine."""
    sessions: ClassVar[int] = 20
    """How many sessions come and go at once in each of the four workers of `test_workers_share_keys`."""

    def store(self) -> LeaseStore:
        """An empty one. Made anew for each test, on its event loop."""
        raise NotImplementedError(f"{type(self).__name__} needs a method `store`")

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Carry out a test."""
        (run_in_virtual_time if self.virtual_time else asyncio.run)(main)

    async def wait(self, units: float) -> None:
        """Let time pass."""
        await asyncio.sleep(units * self.unit_s)

    async def ask(
        self, store: LeaseStore, *names: str, keys: tuple[Key, ...] = (_A,), ttl: float = 100, wait: float = 0
    ) -> list[Lease | Refusal]:
        """Ask for leases. What is before a slash in a name is the tenant."""
        asks = [Ask(lease_id=name, tenant=name.rpartition("/")[0], wait_s=wait * self.unit_s) for name in names]
        answers = await store.acquire(keys, asks, ttl_s=ttl * self.unit_s)
        assert answers.keys() == set(names)
        return [answers[name] for name in names]

    async def got(self, store: LeaseStore, *names: str, **options: Any) -> list[bool]:
        """Ask for leases: whether each was granted."""
        return [isinstance(answer, Lease) for answer in await self.ask(store, *names, **options)]

    async def taken(self, store: LeaseStore, *keys: Key) -> Mapping[str, int]:
        """How many slots are taken of each key."""
        return {key_id: state.taken for key_id, state in (await store.snapshot(keys)).keys.items()}

    @_check
    async def test_no_key_has_more_than_its_limit(self, store: LeaseStore) -> None:
        keys = tuple(Key(id=f"key{number}", sessions=10) for number in range(5))
        answers = await self.ask(store, *(f"l{number}" for number in range(60)), keys=keys)
        granted = [answer for answer in answers if isinstance(answer, Lease)]
        assert Counter(lease.key_id for lease in granted) == {key.id: 10 for key in keys}
        assert all(set(refusal.causes.values()) == {"full"} for refusal in answers if isinstance(refusal, Refusal))
        assert await self.taken(store, *keys) == {key.id: 10 for key in keys}

    @_check
    async def test_the_least_loaded_key_is_given(self, store: LeaseStore) -> None:
        small, large = Key(id="small", sessions=2), Key(id="large", sessions=6)
        for number in range(4):
            await self.ask(store, f"l{number}", keys=(small, large))
        assert await self.taken(store, small, large) == {"small": 1, "large": 3}

    @_check
    async def test_asking_twice_gives_one_lease(self, store: LeaseStore) -> None:
        [first], [again] = await self.ask(store, "l1"), await self.ask(store, "l1")
        assert isinstance(first, Lease)
        assert isinstance(again, Lease)
        assert (first.id, first.key_id, first.fence) == (again.id, again.key_id, again.fence)
        assert await self.taken(store, _A) == {_A.id: 1}

    @_check
    async def test_a_lease_ends_by_itself_unless_it_is_renewed(self, store: LeaseStore) -> None:
        assert await self.got(store, "l1", "l2", ttl=4) == [True, True]
        await self.wait(2)
        assert await store.renew(["l1"], ttl_s=6 * self.unit_s) == frozenset()
        await self.wait(3)
        assert await self.taken(store, _A) == {_A.id: 1}
        assert await store.renew(["l1", "l2", "never"], ttl_s=self.unit_s) == {"l2", "never"}
        assert await self.got(store, "l3", "l4") == [True, False]

    @_check
    async def test_a_released_slot_is_free_when_it_has_lingered(self, store: LeaseStore) -> None:
        assert await self.got(store, "l1", "l2") == [True, True]
        await store.release(["l1"], linger_s=3 * self.unit_s)
        await store.release(["l1", "never"])
        assert await store.renew(["l1"], ttl_s=100 * self.unit_s) == {"l1"}
        assert await self.got(store, "l3") == [False]
        await self.wait(4)
        assert await self.got(store, "l4") == [True]
        await store.release(["l2"])
        assert await self.got(store, "l5") == [True]

    @_check
    async def test_fences_grow(self, store: LeaseStore) -> None:
        fences = []
        for number in range(5):
            [lease] = await self.ask(store, f"l{number}", keys=(_A, _B))
            assert isinstance(lease, Lease)
            fences.append(lease.fence)
            await store.release([lease.id])
        assert fences == sorted(set(fences))

    @_check
    async def test_a_lost_lease_is_taken_back_over_the_limit(self, store: LeaseStore) -> None:
        [lost] = await self.ask(store, "l1", ttl=1)
        assert isinstance(lost, Lease)
        await self.wait(2)
        assert await self.got(store, "l2", "l3") == [True, True]
        [back] = await store.reassert([lost], ttl_s=100 * self.unit_s)
        assert (back.id, back.key_id) == (lost.id, lost.key_id)
        assert back.fence > lost.fence
        assert await self.taken(store, _A) == {_A.id: 3}
        assert await store.renew(["l1", "l2", "l3"], ttl_s=100 * self.unit_s) == frozenset()
        await store.release(["l2"])
        assert await self.got(store, "l4") == [False]
        await store.release(["l3"])
        assert await self.got(store, "l4") == [True]
        [same] = await store.reassert([back], ttl_s=100 * self.unit_s)
        assert same.fence == back.fence

    @_check
    async def test_a_cooling_key_is_not_given(self, store: LeaseStore) -> None:
        await store.cool(_A.id, Cooling(cause="rate", for_s=7 * self.unit_s))
        await store.cool(_A.id, Cooling(cause="limit", for_s=1 * self.unit_s))
        assert await self.got(store, "l1", "l2", "l3", keys=(_A, _B)) == [True, True, False]
        assert await self.taken(store, _A, _B) == {_A.id: 0, _B.id: 2}
        [refusal] = await self.ask(store, "l4")
        assert isinstance(refusal, Refusal)
        assert refusal.causes == {_A.id: "rate"}
        assert refusal.retry_after_s is not None
        assert 5 * self.unit_s < refusal.retry_after_s <= 7 * self.unit_s
        await self.wait(5)
        assert await self.got(store, "l5") == [False]
        await self.wait(2.5)
        assert await self.got(store, "l6") == [True]

    @_check
    async def test_an_ejected_key_comes_back_when_that_is_lifted(self, store: LeaseStore) -> None:
        await store.cool(_A.id, Cooling(cause="auth", for_s=None))
        await store.cool(_A.id, Cooling(cause="rate", for_s=self.unit_s))
        await self.wait(2)
        [refusal] = await self.ask(store, "l1")
        assert refusal == Refusal(causes={_A.id: "auth"})
        await store.cool(_A.id, None)
        assert await self.got(store, "l2") == [True]

    @_check
    async def test_a_refused_key_has_fewer_slots_for_a_while(self, store: LeaseStore) -> None:
        key = Key(id="key", sessions=5)
        assert await self.got(store, "l1", "l2", "l3", keys=(key,)) == [True, True, True]
        await store.cool(key.id, Cooling(cause="rate", shrink_s=5 * self.unit_s))
        await store.release(["l3"])
        assert await self.got(store, "l4", keys=(key,)) == [False]
        assert (await store.snapshot([key])).keys[key.id].slots == 2
        await self.wait(6)
        assert await self.got(store, "l5", "l6", "l7", "l8", keys=(key,)) == [True, True, True, False]

    @_check
    async def test_a_slow_key_is_taken_last_and_not_often(self, store: LeaseStore) -> None:
        await store.cool(_A.id, Cooling(cause="limit", slow_s=20 * self.unit_s, every_s=4 * self.unit_s))
        answers = await self.ask(store, "l1", "l2", "l3", "l4", keys=(_A, _B))
        given = [answer.key_id for answer in answers if isinstance(answer, Lease)]
        assert given == [_B.id, _B.id, _A.id]
        [refusal] = await self.ask(store, "l5")
        assert isinstance(refusal, Refusal)
        assert refusal.causes == {_A.id: "pace"}
        await self.wait(5)
        assert await self.got(store, "l6") == [True]

    @_check
    async def test_a_key_is_not_opened_more_often_than_it_may_be(self, store: LeaseStore) -> None:
        key = Key(id="key", sessions=100, connects_per_minute=20)
        granted = await self.got(store, *(f"l{number}" for number in range(5)), keys=(key,))
        assert granted == [True, True, False, False, False]
        [refusal] = await self.ask(store, "l9", keys=(key,))
        assert isinstance(refusal, Refusal)
        assert refusal.causes == {key.id: "pace"}
        assert refusal.retry_after_s is not None
        assert 0 < refusal.retry_after_s < 60 / 19 + 0.01

    @_check
    async def test_tenants_that_wait_take_turns(self, store: LeaseStore) -> None:
        key = Key(id="key", sessions=1)
        waiting = ["x/1", "x/2", "x/3", "y/1", "y/2"]
        assert await self.got(store, "x/0", keys=(key,)) == [True]
        assert not any(await self.got(store, *waiting, keys=(key,), wait=50))
        assert (await store.snapshot([key])).waiting == {"x": 3, "y": 2}
        served, last = [], "x/0"
        while waiting:
            await store.release([last])
            granted = await self.got(store, *reversed(waiting), keys=(key,), wait=50)
            [last] = [name for name, given in zip(reversed(waiting), granted, strict=True) if given]
            served.append(last)
            waiting.remove(last)
        assert served == ["y/1", "x/1", "y/2", "x/2", "x/3"]

    @_check
    async def test_a_place_is_kept_until_it_is_given_up_or_runs_out(self, store: LeaseStore) -> None:
        key = Key(id="key", sessions=1)
        assert await self.got(store, "l0", keys=(key,)) == [True]
        assert await self.got(store, "l1", "l2", keys=(key,), wait=5) == [False, False]
        await store.release(["l0"])
        assert await self.got(store, "l3", keys=(key,)) == [False]
        assert await self.got(store, "l2", keys=(key,), wait=50) == [False]
        await store.release(["l1"])
        assert await self.got(store, "l4", keys=(key,), wait=3) == [False]
        assert await self.got(store, "l2", keys=(key,)) == [True]
        await store.release(["l2"])
        await self.wait(4)
        assert await self.got(store, "l5", keys=(key,)) == [True]

    @_check
    async def test_workers_share_keys(self, store: LeaseStore) -> None:
        """Four workers, five keys of ten, two tenants who want different amounts, sixty units of time."""
        keys = [f"key-{number}" for number in range(5)]
        pools = [
            KeyPool(keys, store=store, linger_s=0.1 * self.unit_s, ttl_s=max(15 * self.unit_s, 0.5)) for _ in range(4)
        ]
        loop, chance = asyncio.get_running_loop(), random.Random(1)
        until = loop.time() + 60 * self.unit_s
        used: Counter[str] = Counter()
        live: Counter[str] = Counter()
        most: Counter[str] = Counter()

        async def session(pool: KeyPool, tenant: str) -> None:
            while loop.time() < until:
                async with pool.lease(deadline_s=None, tenant=tenant) as lease:
                    live[lease.key_id] += 1
                    most[lease.key_id] = max(most[lease.key_id], live[lease.key_id])
                    hold = chance.uniform(0.5, 3) * self.unit_s
                    await asyncio.sleep(hold)
                    live[lease.key_id] -= 1
                used[tenant] += 1

        async with asyncio.TaskGroup() as group:
            for number in range(4 * self.sessions):
                pool = pools[number % 4]
                for tenant in ("large", "large", "large", "small"):
                    group.create_task(session(pool, tenant))
        assert dict(most) == dict.fromkeys(pools[0].key_ids, 10)
        assert jain([float(count) for count in used.values()]) >= 0.95, used
        await self.wait(1)
        everything = [Key(id=key_id) for key_id in pools[0].key_ids]
        snapshot = await store.snapshot(everything)
        assert [state.taken for state in snapshot.keys.values()] == [0] * 5
        assert snapshot.waiting == {}
