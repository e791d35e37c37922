"""The key pool: who gets which key when, what a fault means for it, and that nothing is lost or shown."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import random
import traceback
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from voicebridge import ConfigError, Fault, Limit, NoFreeKey, VoiceBridgeError
from voicebridge.contract.fault import Category
from voicebridge.pool import Ask, CoolingPolicy, Key, KeyLease, KeyPool, Lease, MemoryLeaseStore, Refusal, fingerprint
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import no_leaked_tasks

RATE = Fault(category="rate", message="Too many.", retryable=True)
AUTH = Fault(category="auth", message="No.")
QUOTA = Fault(category="quota", message="Nothing left.")


def now() -> float:
    return asyncio.get_running_loop().time()


async def refused(pool: KeyPool, deadline_s: float | None = 0.0, tenant: str = "") -> NoFreeKey:
    with pytest.raises(NoFreeKey) as raised:
        await pool.acquire(deadline_s=deadline_s, tenant=tenant)
    return raised.value


async def taken(pool: KeyPool) -> dict[str, int]:
    return {key_id: state.taken for key_id, state in (await pool.snapshot()).keys.items()}


def test_leases_spread_over_the_keys_and_end_at_the_limit() -> None:
    async def main() -> None:
        async with no_leaked_tasks(), KeyPool(["one", SecretStr("two")], sessions_per_key=3) as pool:
            leases = [await pool.acquire(deadline_s=1) for _ in range(6)]
            assert {lease.key.get_secret_value() for lease in leases[:2]} == {"one", "two"}
            assert await taken(pool) == dict.fromkeys(pool.key_ids, 3)
            assert all(lease.key_id == fingerprint(lease.key) for lease in leases)
            assert [lease.fence for lease in leases] == [1, 2, 3, 4, 5, 6]
            error = await refused(pool)
            assert error.fault.retryable
            assert error.category == "rate"
            assert "all sessions in use" in str(error)

    run_in_virtual_time(main())


def test_a_slot_is_free_when_it_has_lingered() -> None:
    async def main() -> None:
        async with no_leaked_tasks():
            pool = KeyPool(["one"], sessions_per_key=1, linger_s=2.0)
            lease = await pool.acquire(deadline_s=1)
            lease.release()
            lease.release()
            assert lease.released
            before = now()
            error = await refused(pool, 1.5)
            assert now() - before == pytest.approx(1.5)
            assert "within 1.5 s" in str(error)
            again = await pool.acquire(deadline_s=5)
            assert now() - before == pytest.approx(2.0, abs=0.01)
            again.release()
            await refused(pool, 0)  # the keeper ends by itself: nobody closes this pool

    run_in_virtual_time(main())


def test_a_long_call_keeps_its_lease_and_a_dead_process_does_not() -> None:
    async def main() -> None:
        store = MemoryLeaseStore()
        async with no_leaked_tasks(), KeyPool(["one"], sessions_per_key=2, store=store) as pool:
            lease = await pool.acquire(deadline_s=0)
            answers = await store.acquire([Key(id=lease.key_id)], [Ask(lease_id="of a dead process")], ttl_s=15.0)
            assert isinstance(answers["of a dead process"], Lease)
            await asyncio.sleep(3600)
            assert await taken(pool) == {lease.key_id: 1}
            assert not lease.released

    run_in_virtual_time(main())


def test_a_lost_lease_is_taken_back(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        store = MemoryLeaseStore()
        async with KeyPool(["one"], sessions_per_key=1, store=store) as pool:
            lease = await pool.acquire(deadline_s=0)
            fence = lease.fence
            await store.release([lease.id])  # as if this process had stood still for longer than `ttl_s`
            other = KeyPool(["one"], sessions_per_key=1, store=store)
            theirs = await other.acquire(deadline_s=0)
            await asyncio.sleep(10)
            assert await taken(pool) == {lease.key_id: 2}
            assert lease.fence > theirs.fence > fence
            theirs.release()
            await refused(pool, 4)
            await other.aclose()
            lease.release()
            (await pool.acquire(deadline_s=4)).release()

    run_in_virtual_time(main())
    assert "lost 1 leases and takes them back" in caplog.text


def test_a_key_told_to_wait_is_spared_for_just_so_long() -> None:
    async def main() -> None:
        async with KeyPool(["one", "two"]) as pool:
            lease = await pool.acquire(deadline_s=0)
            lease.fault(Fault(category="rate", message="", retry_after_s=7))
            lease.release()
            cooled, began = lease.key_id, now()
            others = [await pool.acquire(deadline_s=0) for _ in range(10)]
            assert cooled not in {other.key_id for other in others}
            assert now() == began, "another key is free at once"
            back = await pool.acquire(deadline_s=30)
            assert back.key_id == cooled
            assert 7.0 <= now() - began <= 7.2

    run_in_virtual_time(main())


def test_no_connect_on_a_cooled_key_while_many_come_and_go() -> None:
    async def main() -> None:
        chance = random.Random(3)
        async with no_leaked_tasks(), KeyPool(["one", "two", "three"], sessions_per_key=4, linger_s=0.1) as pool:
            cooled = pool.key_ids[1]
            granted: list[tuple[float, str]] = []

            async def caller() -> None:
                for _ in range(20):
                    async with pool.lease(deadline_s=60) as lease:
                        granted.append((now(), lease.key_id))
                        await asyncio.sleep(chance.uniform(0.1, 1.5))

            async with asyncio.TaskGroup() as group:
                for _ in range(16):
                    group.create_task(caller())
                await asyncio.sleep(3.0)
                victim = next(lease for lease in pool._held.values() if lease.key_id == cooled)
                victim.fault(Fault(category="rate", message="", retry_after_s=7), connecting=False)
                began = now()
            of_it = [at for at, key_id in granted if key_id == cooled and at > began]
            assert of_it
            assert 7.0 <= min(of_it) - began <= 7.2
            assert set((await taken(pool)).values()) <= {0, 1, 2}

    run_in_virtual_time(main())


def test_a_refused_connect_shows_how_many_slots_there_are() -> None:
    async def main() -> None:
        async with KeyPool(["one"], sessions_per_key=10) as pool:
            leases = [await pool.acquire(deadline_s=0) for _ in range(5)]
            leases[4].fault(Fault(category="rate", message="", retry_after_s=1))
            leases[4].release()
            await asyncio.sleep(0.1)
            assert await taken(pool) == {leases[0].key_id: 4}, "a vendor that refused has no slot to free"
            await refused(pool, 10)
            leases[0].release()
            again = await pool.acquire(deadline_s=3)
            await asyncio.sleep(60)
            await pool.acquire(deadline_s=0)
            again.fault(RATE, connecting=False)
            await asyncio.sleep(2)
            assert (await pool.snapshot()).keys[again.key_id].slots == 10

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    "category", ["network", "planned_end", "config", "busy", "unsupported", "protocol", "content", "closed"]
)
def test_what_is_not_the_keys_fault_is_not_held_against_it(category: Category) -> None:
    async def main() -> None:
        async with KeyPool(["one"], sessions_per_key=2, linger_s=0) as pool:
            for _ in range(20):
                async with pool.lease(deadline_s=0) as lease:
                    lease.fault(Fault(category=category, message="HTTP 500", retryable=True, retry_after_s=60))
            assert (await pool.snapshot()).keys[lease.key_id].cause == ""

    run_in_virtual_time(main())


def test_rate_faults_in_a_row_cool_longer_each_time() -> None:
    async def main() -> None:
        async with KeyPool(["one"], linger_s=0) as pool:

            async def fail() -> float:
                began = now()
                lease = await pool.acquire(deadline_s=100)
                waited_s = now() - began
                for _ in range(3):  # what fails together counts once
                    lease.fault(RATE)
                lease.release()
                return waited_s

            assert [round(await fail(), 1) for _ in range(9)] == [0, 1, 2, 4, 8, 16, 32, 60, 60]
            await asyncio.sleep(200)
            assert [round(await fail(), 1) for _ in range(2)] == [0, 1]

    run_in_virtual_time(main())


def test_when_every_key_is_ejected_the_caller_is_told_at_once() -> None:
    async def main() -> None:
        async with KeyPool(["one", "two"], name="spoken", linger_s=0) as pool:
            first, second = await pool.acquire(deadline_s=0), await pool.acquire(deadline_s=0)
            waiter = asyncio.create_task(refused(pool, None))
            for lease in (first, second):
                lease.fault(AUTH)
            began = now()
            errors = [await refused(pool, 60), await refused(pool, None)]
            assert now() == began
            for error in errors:
                assert (error.category, error.retryable) == ("auth", False)
                assert f"(refused by the vendor: {first.key_id}, {second.key_id})" in str(error)
            waiter.cancel()
            pool.reinstate(first.key_id)
            assert (await pool.acquire(deadline_s=0)).key_id == first.key_id

    run_in_virtual_time(main())


def test_who_waits_is_told_when_there_is_no_hope_any_more() -> None:
    async def main() -> None:
        async with no_leaked_tasks(), KeyPool(["one", "two"], sessions_per_key=1, linger_s=0) as pool:
            first, second = await pool.acquire(deadline_s=0), await pool.acquire(deadline_s=0)
            waiter = asyncio.create_task(refused(pool, None))
            await asyncio.sleep(1)
            first.fault(AUTH)
            await asyncio.sleep(1)
            assert not waiter.done()
            second.fault(QUOTA)
            await asyncio.sleep(0.01)
            error = await waiter
            assert (error.category, error.retryable, error.fault.retry_after_s) == ("quota", False, 3600)
            assert f"(refused by the vendor: {first.key_id}; allowance used up: {second.key_id})" in str(error)

    run_in_virtual_time(main())


def test_a_cool_down_that_outlasts_the_deadline_is_told_at_once() -> None:
    async def main() -> None:
        async with KeyPool(["one"]) as pool:
            lease = await pool.acquire(deadline_s=0)
            lease.fault(Fault(category="rate", message="", retry_after_s=30))
            error = await refused(pool, 8)
            assert now() == 0
            assert (error.category, error.retryable) == ("rate", True)
            assert error.fault.retry_after_s == pytest.approx(30)
            assert "told to wait" in str(error)

    run_in_virtual_time(main())


def test_nothing_left_of_a_limit_spares_the_key_until_it_is_reset() -> None:
    async def main() -> None:
        async with KeyPool(["one"]) as pool:
            lease = await pool.acquire(deadline_s=0)
            lease.limits((Limit(name="tokens", limit=1000, remaining=500, reset_s=30),))
            await pool.acquire(deadline_s=0)
            lease.limits(
                (
                    Limit(name="requests", limit=100, remaining=0, reset_s=9),
                    Limit(name="tokens", limit=1000, remaining=999, reset_s=60),
                )
            )
            await pool.acquire(deadline_s=20)
            assert 9.0 <= now() <= 9.2

    run_in_virtual_time(main())


def test_little_left_of_a_limit_slows_the_key_down() -> None:
    async def main() -> None:
        async with KeyPool(["one", "two"], sessions_per_key=5, linger_s=0) as pool:
            low = await pool.acquire(deadline_s=0)
            low.limits((Limit(name="tokens", limit=1000, remaining=50, reset_s=20),))
            others = [await pool.acquire(deadline_s=0) for _ in range(5)]
            assert low.key_id not in {other.key_id for other in others}
            moments = []
            for _ in range(4):
                lease = await pool.acquire(deadline_s=20)
                assert lease.key_id == low.key_id
                moments.append(round(now()))
            assert moments == [4, 8, 12, 16]

    run_in_virtual_time(main())


def test_odd_limits_do_no_harm() -> None:
    async def main() -> None:
        async with KeyPool(["one"]) as pool:
            lease = await pool.acquire(deadline_s=0)
            nan = float("nan")
            lease.limits(())
            lease.limits([Limit(name="x"), Limit(name="x", limit=0, remaining=1, reset_s=5)])
            lease.limits([Limit(name="x", limit=9, remaining=nan, reset_s=5)])
            lease.limits([Limit(name="x", limit=9, remaining=0.5, reset_s=nan)])
            lease.limits([Limit(name="x", limit=nan, remaining=0.5, reset_s=-3)])
            await pool.acquire(deadline_s=0)
            lease.limits([Limit(name="x", limit=9, remaining=-1, reset_s=float("inf"))])
            await pool.acquire(deadline_s=2)
            assert now() == pytest.approx(1.0, abs=0.01)

    run_in_virtual_time(main())


def test_no_minute_has_more_connects_than_allowed() -> None:
    async def main() -> None:
        async with KeyPool(["one"], sessions_per_key=100, connects_per_minute=12, linger_s=0) as pool:
            moments = []
            for _ in range(40):
                (await pool.acquire(deadline_s=60)).release()
                moments.append(now())
            assert all(sum(at <= later < at + 60 for later in moments) <= 12 for at in moments)
            assert moments[-1] == pytest.approx(39 * 5, abs=0.1)

    run_in_virtual_time(main())


def test_tenants_that_wait_take_turns_and_each_is_served_in_order() -> None:
    async def main() -> None:
        async with no_leaked_tasks(), KeyPool(["one"], sessions_per_key=1, linger_s=0.1) as pool:
            served: list[str] = []

            async def caller(tenant: str, number: int) -> None:
                async with pool.lease(deadline_s=100, tenant=tenant):
                    served.append(f"{tenant}{number}")
                    await asyncio.sleep(1)

            async with asyncio.TaskGroup() as group:
                for tenant, count in (("a", 5), ("b", 2), ("c", 1)):
                    for number in range(count):
                        group.create_task(caller(tenant, number))
                        await asyncio.sleep(0.01)
            assert served == ["a0", "b0", "c0", "a1", "b1", "a2", "a3", "a4"]

    run_in_virtual_time(main())


def test_a_waiter_that_is_cancelled_leaves_nothing_behind() -> None:
    async def main() -> None:
        chance = random.Random(5)
        async with no_leaked_tasks():
            pool = KeyPool(["one", "two"], sessions_per_key=2, linger_s=0.1)
            ended: list[str] = []

            async def caller() -> None:
                try:
                    async with pool.lease(deadline_s=chance.uniform(0, 3)):
                        await asyncio.sleep(chance.uniform(0, 0.5))
                        ended.append("served")
                except NoFreeKey:
                    ended.append("late")

            tasks = []
            for _ in range(500):
                tasks.append(asyncio.create_task(caller()))
                await asyncio.sleep(chance.choice([0, 0, 0.01, 0.05]))
                chance.choice(tasks).cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert {"served", "late"} <= set(ended)
            assert ended.count("served") > 50
            await asyncio.sleep(0.2)
            snapshot = await pool.snapshot()
            assert [state.taken for state in snapshot.keys.values()] == [0, 0]
            assert snapshot.waiting == {}
            await asyncio.gather(*(pool.acquire(deadline_s=0) for _ in range(4)))
            await pool.aclose()

    run_in_virtual_time(main())


class Unreachable(VoiceBridgeError):
    category: Category = "network"


class SlowStore(MemoryLeaseStore):
    """As on a server: an answer takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = False

    def must_be_there(self) -> None:
        if self.lost:
            raise Unreachable("The store is gone.")

    async def renew(self, lease_ids: Collection[str], *, ttl_s: float) -> frozenset[str]:
        self.must_be_there()
        return await super().renew(lease_ids, ttl_s=ttl_s)

    async def acquire(self, keys: Sequence[Key], asks: Sequence[Ask], *, ttl_s: float) -> Mapping[str, Lease | Refusal]:
        self.must_be_there()
        answers = await super().acquire(keys, asks, ttl_s=ttl_s)
        await asyncio.sleep(0.05)
        return answers


@pytest.mark.parametrize("after_s", [0, 0.01, 0.05, 0.06, 0.3])
def test_cancelled_while_the_store_answers(after_s: float) -> None:
    async def main() -> None:
        store = SlowStore()
        async with no_leaked_tasks():
            pool = KeyPool(["one"], sessions_per_key=1, linger_s=0, store=store)
            holder = await pool.acquire(deadline_s=0)
            waiter = asyncio.create_task(pool.acquire(deadline_s=10))
            await asyncio.sleep(0.1)
            holder.release()
            await asyncio.sleep(after_s)
            waiter.cancel()
            [outcome] = await asyncio.gather(waiter, return_exceptions=True)
            if isinstance(outcome, KeyLease):
                outcome.release()
            await asyncio.sleep(0.2)
            assert await taken(pool) == {holder.key_id: 0}
            assert not pool._held
            assert not pool._waiting

    run_in_virtual_time(main())


def test_a_deadline_counts_what_the_store_takes() -> None:
    async def main() -> None:
        async with KeyPool(["one"], sessions_per_key=1, store=SlowStore()) as pool:
            await pool.acquire(deadline_s=0)
            began = now()
            await refused(pool, 0.2)
            assert now() - began == pytest.approx(0.2)

    run_in_virtual_time(main())


def test_a_store_that_is_gone_for_a_while_ends_no_call(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        store = SlowStore()
        async with no_leaked_tasks(), KeyPool(["one"], sessions_per_key=1, store=store, linger_s=0) as pool:
            lease = await pool.acquire(deadline_s=0)
            waiter = asyncio.create_task(pool.acquire(deadline_s=None))
            await asyncio.sleep(1)
            store.lost = True
            with pytest.raises(Unreachable):
                await pool.acquire(deadline_s=5)
            await asyncio.sleep(60)
            store.lost = False
            assert await taken(pool) == {lease.key_id: 0}
            await refused(pool, 0)  # calls that go on come before new ones
            assert await taken(pool) == {lease.key_id: 1}
            await asyncio.sleep(1)
            assert not waiter.done()
            lease.release()
            (await waiter).release()

    run_in_virtual_time(main())
    assert "can't reach its lease store: Unreachable" in caplog.text


def test_closing_ends_waits_and_gives_everything_back() -> None:
    async def main() -> None:
        store = MemoryLeaseStore()
        async with no_leaked_tasks():
            pool = KeyPool(["one"], sessions_per_key=1, store=store)
            lease = await pool.acquire(deadline_s=0)
            waiter = asyncio.create_task(refused(pool, None))
            await asyncio.sleep(1)
            await pool.aclose()
            await pool.aclose()
            assert (await waiter).category == "closed"
            assert (await refused(pool, 5)).category == "closed"
            lease.release()
            lease.fault(AUTH)
            assert lease.released
            assert (await store.snapshot([])).waiting == {}
            await asyncio.sleep(3)
            assert (await store.snapshot([Key(id=lease.key_id)])).keys[lease.key_id].taken == 0

    run_in_virtual_time(main())


def test_one_loop_after_another() -> None:
    pool = KeyPool(["one"], sessions_per_key=1, linger_s=0)

    async def leave_it() -> KeyLease:
        return await pool.acquire(deadline_s=0)

    left = asyncio.run(leave_it())
    left.release()
    left.fault(Fault(category="network", message=""))
    again = asyncio.run(leave_it())
    assert again.key.get_secret_value() == "one"
    asyncio.run(pool.aclose())


def test_two_loops_at_once_are_refused() -> None:
    pool = KeyPool(["one"])

    async def use() -> None:
        await pool.acquire(deadline_s=0)

    with asyncio.Runner() as first:
        first.run(use())
        with pytest.raises(ConfigError, match="another event loop"):
            asyncio.run(use())


def test_keys_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEYS", " one, two,,one,\n")
    pool = KeyPool.from_env("SOME_KEYS", sessions_per_key=3)
    assert pool.key_ids == (fingerprint("one"), fingerprint("two"))
    assert pool.name == "SOME_KEYS"
    monkeypatch.setenv("SOME_KEYS", " ,")
    with pytest.raises(ConfigError, match="Set SOME_KEYS to one API key or more, separated by commas"):
        KeyPool.from_env("SOME_KEYS")


@pytest.mark.parametrize(
    ("keys", "settings", "told"),
    [
        ([], {}, "needs one key"),
        ([""], {}, "Key 1 .* is empty"),
        (["good", "sk-CANARY and more"], {}, "Key 2 .* white space"),
        (["good", "sk-CANARY\n"], {}, "Key 2 .* white space"),
        ("sk-CANARY", {}, "a list of keys"),
        (["good"], {"sessions_per_key": 0}, "sessions_per_key .* must be a whole number, 1 or more, not 0"),
        (["good"], {"connects_per_minute": -1}, "connects_per_minute"),
        (["good"], {"connects_per_minute": 0}, "connects_per_minute"),
        (["good"], {"linger_s": float("nan")}, "linger_s"),
        (["good"], {"ttl_s": 0}, "ttl_s"),
        (None, {}, "a list of keys, not NoneType"),
        ({"good": "sk-CANARY"}, {}, "a list of keys, not dict"),
        (["good", None], {}, "Key 2 .* no text, but NoneType"),
        ([7], {}, "Key 1 .* no text, but int"),
        (["good"], {"sessions_per_key": 2.5}, "sessions_per_key .* a whole number, 1 or more, not 2.5"),
        (["good"], {"sessions_per_key": "3"}, "sessions_per_key .* not '3'"),
        (["good"], {"sessions_per_key": True}, "sessions_per_key .* not True"),
        (["good"], {"linger_s": "2"}, "linger_s .* a number, 0 or more, not '2'"),
        (["good"], {"store": object()}, "a LeaseStore, such as MemoryLeaseStore.*: object has no acquire"),
        (["good"], {"cooling": 5}, "cooling of a key pool is a CoolingPolicy"),
        (["good"], {"chance": 0.5}, "chance of a key pool is a function"),
        (["good"], {"name": 7}, "name of a key pool is a text"),
    ],
)
def test_settings_that_do_not_fit(keys: Any, settings: Mapping[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as raised:
        KeyPool(keys, **settings)
    assert "CANARY" not in str(raised.value)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"deadline_s": float("nan")}, "deadline_s must be a number of seconds, or None, not nan"),
        ({"deadline_s": "5"}, "deadline_s .* not '5'"),
        ({"deadline_s": True}, "deadline_s .* not True"),
        ({"deadline_s": 1, "tenant": 7}, "tenant must be a text"),
    ],
)
def test_what_can_not_be_asked_for_is_refused(asked: Any, told: str) -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match=told):
            await KeyPool(["one"]).acquire(**asked)

    run_in_virtual_time(main())


@pytest.mark.parametrize("value", ["1", -1, float("inf"), None, True])
def test_a_cooling_policy_that_does_not_fit(value: Any) -> None:
    with pytest.raises(ConfigError, match="longest_s of a cooling policy is a number of seconds"):
        CoolingPolicy(longest_s=value)


def test_no_key_is_shown_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    canary = "sk-CANARY-0123456789"
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []

    async def main() -> None:
        store = MemoryLeaseStore()
        pool = KeyPool([canary], sessions_per_key=1, store=store, linger_s=0)
        lease = await pool.acquire(deadline_s=0)
        try:
            await pool.acquire(deadline_s=0.5)
        except NoFreeKey as error:
            shown.extend(
                [*traceback.format_exception(error), repr(error), repr(error.fault), repr(pickle.dumps(error))]
            )
        await store.release([lease.id])
        await asyncio.sleep(10)
        for thing in (pool, lease):
            for copied in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="can't be pickled or copied") as refusal:
                    copied(thing)
                shown.append(str(refusal.value))
        shown.extend([repr(lease), str(lease), f"{lease}", repr(lease.record), repr(pool), str(pool), repr(vars(pool))])
        shown.append(repr(vars(lease)))
        shown.append(repr(await pool.snapshot()))
        store._clock = abs  # type: ignore[assignment]  # something that can be pickled
        shown.append(repr(pickle.dumps(store)))
        store._clock = asyncio.get_running_loop().time
        lease.fault(AUTH)
        lease.release()
        shown.append(repr(lease))
        shown.extend(traceback.format_exception(await refused(pool, 5)))
        with pytest.raises(ConfigError) as refusal_of_name:
            pool.reinstate("no such key")
        shown.append(str(refusal_of_name.value))
        await pool.aclose()

    run_in_virtual_time(main())
    text = "\n".join([*shown, caplog.text, *(str(vars(record)) for record in caplog.records)])
    assert "spares key" in text
    assert fingerprint(canary) in text
    for secret in (canary, "CANARY", repr(canary.encode())):
        assert secret not in text
