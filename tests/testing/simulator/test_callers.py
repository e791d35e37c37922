"""Draws by caller and turn, records of what happened, and how another process sets and reads them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.simulator.callers import Callers, shown_caller
from voicebridge.testing.simulator.profile import Profile, StageTime
from voicebridge.testing.simulator.turn_log import TurnLog

from .conftest import Serve

SLOW = Profile(
    name="slow",
    about="",
    stages={"answer": StageTime(median_ms=200, sigma=0.3), "first_answer": StageTime(median_ms=900)},
)


def drawn(callers: Callers, caller: str, cause: str = "chat", stage: str = "answer") -> float:
    async def one() -> float:
        with callers.turn(caller, cause=cause, connection=1) as turn:
            return turn.ms(stage)

    return run_in_virtual_time(one())


def test_a_draw_depends_on_seed_caller_turn_and_stage_alone() -> None:
    one, same, other = Callers(SLOW, 1), Callers(SLOW, 1), Callers(SLOW, 2)
    mine = [drawn(one, "a") for _ in range(4)]
    drawn(same, "b")  # another caller's turns disturb nothing
    assert mine == [drawn(same, "a") for _ in range(4)]
    assert mine[0] == 900, "the first turn has times of its own"
    assert len(set(mine)) == 4
    assert mine[1:] != [drawn(other, "a") for _ in range(4)][1:]
    assert mine[1:] != [drawn(one, "b") for _ in range(4)][1:]
    assert drawn(one, "a", stage="nothing") == 0


def test_each_endpoint_counts_its_own_turns() -> None:
    callers = Callers(SLOW, 1)
    assert drawn(callers, "a", "chat") == drawn(callers, "a", "speech") == 900
    assert drawn(callers, "a", "chat") == drawn(callers, "a", "speech") != 900


def test_a_turn_that_is_set_is_drawn_again() -> None:
    callers = Callers(SLOW, 1)
    callers.set_turn("a", 3)
    third = drawn(callers, "a")
    assert third == drawn(callers, "a") != 900
    callers.set_turn("a", 1)
    assert drawn(callers, "a") == 900
    callers.serve(TurnLog())
    assert [drawn(callers, "a") for _ in range(3)][2] == third, "a new server has no callers yet"


def test_a_turn_waits_from_its_request() -> None:
    callers = Callers(SLOW, 1)
    log = TurnLog()
    callers.serve(log)

    async def main() -> float:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(5)
        with callers.turn("a", cause="chat", connection=4, at=loop.time() - 0.4) as turn:
            await turn.wait("answer")
            turn.stamp("first_token")
            await asyncio.sleep(1)
            turn.stamp("first_token")
        return loop.time()

    assert run_in_virtual_time(main()) == pytest.approx(6.5)
    [record] = log.turns
    assert (record.connection, record.caller, record.turn, record.status) == (4, "a", 1, "completed")
    assert record.drawn_ms == {"answer": 900.0}
    assert record.stamps == pytest.approx({"requested": 4.6, "first_token": 5.5, "done": 6.5})


@pytest.mark.parametrize(("error", "status"), [(ValueError("x"), "failed"), (asyncio.CancelledError(), "cancelled")])
def test_a_turn_that_ends_early_is_logged(error: BaseException, status: str) -> None:
    log = TurnLog()
    callers = Callers(SLOW, 1)
    callers.serve(log)

    async def main() -> None:
        with pytest.raises(type(error)), callers.turn("a", cause="chat", connection=1):
            raise error

    run_in_virtual_time(main())
    [record] = log.turns
    assert record.status == status
    assert status in record.stamps
    assert "done" not in record.stamps


def test_a_key_that_may_be_real_is_not_written_down() -> None:
    key = "sk-" + "0123456789abcdef" * 3
    assert key not in shown_caller(key)
    assert shown_caller(key) != shown_caller(key + "x")
    assert shown_caller("caller-7") == "caller-7"


async def test_another_process_sets_turns_and_reads_records(talking: Serve) -> None:
    async with talking(profile=SLOW, seed=5) as served, httpx.AsyncClient(base_url=served.url) as http:
        key = "sk-" + "x" * 60
        for caller, turn in ((key, 3), ("other", 2), (key, 3), (key, 4)):
            told = await http.put("/simulator/turn", json={"caller": caller, "turn": turn})
            assert told.json() == {"caller": caller, "turn": turn}
            await http.get("/none", headers={"Authorization": caller})
        answer = await http.get("/simulator/turns", params={"caller": key})
        records = [json.loads(line) for line in answer.text.splitlines()]
        assert [record["turn"] for record in records] == [3, 3, 4]
        drawn_ms = [record["drawn_ms"]["answer"] for record in records]
        assert drawn_ms[0] == drawn_ms[1] != drawn_ms[2]
        assert key not in answer.text
        assert len((await http.get("/simulator/turns")).text.splitlines()) == 4
        assert (await http.get("/simulator/turns?caller=nobody")).text == ""


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "3",
        '{"caller": "a"}',
        '{"caller": 1, "turn": 1}',
        '{"caller": "a", "turn": 0}',
        '{"caller": "a", "turn": true}',
        '{"caller": "a", "turn": "1"}',
        "[" * 100_000,
    ],
    ids=lambda body: body[:30],
)
async def test_a_turn_that_can_not_be_set(talking: Serve, body: Any) -> None:
    async with talking() as served, httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.put("/simulator/turn", content=body)).status_code == 400
        assert (await http.post("/simulator/turn", content=body)).status_code == 405
        assert (await http.post("/simulator/turns")).status_code == 405
