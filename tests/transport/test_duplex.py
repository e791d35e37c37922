"""A conversation over a socket that is none: what the half says goes out, what comes in reaches the half."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.transport.duplex import Duplex

LOST = Fault(category="network", message="lost", code="lost", retryable=True)


class Peer:
    """Answers by a table; a frame that it has no answer for is only kept."""

    def __init__(self, answers: dict[str, list[str]] | None = None) -> None:
        self.sent: list[tuple[float, str | bytes]] = []
        self.stuck = False
        self._answers = answers or {}
        self._coming: asyncio.Queue[str | bytes | Fault] = asyncio.Queue()

    def give(self, frame: str | bytes | Fault) -> None:
        self._coming.put_nowait(frame)

    async def send(self, frame: str | bytes) -> None:
        if self.stuck:
            await asyncio.Event().wait()
        self.sent.append((asyncio.get_running_loop().time(), frame))
        for answer in self._answers.get(str(frame), []):
            self.give(answer)

    async def receive(self) -> str | bytes:
        frame = await self._coming.get()
        if isinstance(frame, Fault):
            raise VoiceBridgeError(frame)
        return frame


class Counting:
    """Sends each number, and counts down the answers; asks to be woken 4 s after the last number."""

    def __init__(self) -> None:
        self.open = 0
        self.woken: list[float] = []
        self._due: float | None = None

    @property
    def due(self) -> float | None:
        return self._due

    @property
    def over(self) -> bool:
        return self.open == 0

    def take(self, piece: int, now: float) -> Iterable[str | int]:
        self.open += 1
        self._due = now + 4
        return [f"take {piece}", piece * 100]

    def end(self, now: float) -> Iterable[str | int]:
        return ["end"]

    def receive(self, frame: str | bytes, now: float) -> Iterable[str | int]:
        self.open -= 1
        return [int(frame)]

    def tick(self, now: float) -> Iterable[str | int]:
        self.woken.append(now)
        self._due = now + 4
        return ["alive"]


async def numbers(*pieces: int, after_s: float = 0.0, forever: bool = False) -> AsyncIterator[int]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(after_s)
    if forever:
        await asyncio.Event().wait()


def test_it_ends_when_the_input_has_and_all_is_answered():
    async def talk() -> None:
        peer, half = Peer({"take 1": ["7"], "take 2": ["8", "end of it"][:1]}), Counting()
        got = [output async for output in Duplex[int, int](peer, half).run(numbers(1, 2))]
        assert sorted(got) == [7, 8, 100, 200]
        assert [frame for _, frame in peer.sent] == ["take 1", "take 2", "end"]

    run_in_virtual_time(talk())


def test_an_answer_after_the_end_of_the_input_is_waited_for():
    async def talk() -> None:
        peer, half = Peer({"end": ["9"]}), Counting()
        assert [output async for output in Duplex[int, int](peer, half).run(numbers(1))] == [100, 9]

    run_in_virtual_time(talk())


def test_the_half_is_woken_when_it_is_due_and_not_before():
    async def talk() -> None:
        peer, half = Peer(), Counting()
        async with aclosing(Duplex[int, int](peer, half).run(numbers(1, forever=True))) as outputs:
            assert await anext(outputs) == 100
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(13):
                    await anext(outputs)
        assert half.woken == [4, 8, 12]
        assert [at for at, frame in peer.sent if frame == "alive"] == [4, 8, 12]

    run_in_virtual_time(talk())


def test_the_end_of_the_connection_is_told():
    async def talk() -> None:
        peer = Peer()
        peer.give(LOST)
        with pytest.raises(VoiceBridgeError) as failed:
            async for _ in Duplex[int, int](peer, Counting()).run(numbers(forever=True)):
                pass
        assert failed.value.fault is LOST

    run_in_virtual_time(talk())


def test_a_peer_that_takes_nothing_is_given_up():
    async def talk() -> None:
        peer = Peer()
        peer.stuck = True
        with pytest.raises(VoiceBridgeError) as failed:
            async for _ in Duplex[int, int](peer, Counting()).run(numbers(1, forever=True)):
                pass
        assert failed.value.fault.code == "not_taken"
        assert failed.value.retryable
        assert asyncio.get_running_loop().time() == 5

    run_in_virtual_time(talk())


def test_whatever_the_half_raises_is_raised():
    class Broken(Counting):
        def receive(self, frame: str | bytes, now: float) -> Iterable[str | int]:
            raise VoiceBridgeError("no such frame")

    async def talk() -> None:
        peer = Peer()
        peer.give("?")
        with pytest.raises(VoiceBridgeError, match="no such frame"):
            async for _ in Duplex[int, int](peer, Broken()).run(numbers(forever=True)):
                pass

    run_in_virtual_time(talk())


def test_an_input_that_fails_is_told():
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise LookupError("the model failed")

    async def talk() -> None:
        with pytest.raises(LookupError):
            async for _ in Duplex[int, int](Peer(), Counting()).run(broken()):
                pass

    run_in_virtual_time(talk())


def test_nothing_runs_on_after_it_is_closed():
    async def talk() -> None:
        run = Duplex[int, int](Peer(), Counting()).run(numbers(1, forever=True))
        assert await anext(run) == 100
        await run.aclose()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    run_in_virtual_time(talk())


def test_what_was_told_before_a_failure_still_comes():
    async def talk() -> None:
        peer = Peer()
        peer.give("6")
        peer.give(LOST)
        run = Duplex[int, int](peer, Counting()).run(numbers(1, forever=True))
        assert sorted([await anext(run), await anext(run)]) == [6, 100]
        with pytest.raises(VoiceBridgeError):
            await anext(run)

    run_in_virtual_time(talk())


class Pinged(Peer):
    """Answers pings, or not."""

    def __init__(self, *, alive: bool) -> None:
        super().__init__()
        self.alive, self.pings = alive, 0

    async def ping(self) -> asyncio.Future[None]:
        self.pings += 1
        pong = asyncio.get_running_loop().create_future()
        if self.alive:
            pong.set_result(None)
        return pong


def test_a_peer_that_answers_no_ping_is_gone():
    async def talk() -> None:
        with pytest.raises(VoiceBridgeError) as failed:
            async for _ in Duplex[int, int](Pinged(alive=False), Counting()).run(numbers(forever=True)):
                pass
        assert (failed.value.fault.code, failed.value.category) == ("silent", "network")
        assert asyncio.get_running_loop().time() == 10

    run_in_virtual_time(talk())


def test_a_peer_that_has_nothing_to_say_is_not():
    async def talk() -> None:
        peer = Pinged(alive=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(61), aclosing(Duplex(peer, Counting()).run(numbers(forever=True))) as outputs:
                await anext(outputs)
        assert peer.pings == 12

    run_in_virtual_time(talk())


def test_a_peer_that_closes_after_its_last_answer_does_no_harm_to_a_slow_reader():
    async def talk() -> None:
        peer, half, got = Peer({"end": ["9"]}), Counting(), []
        asyncio.get_running_loop().call_later(0.5, peer.give, LOST)
        async for output in Duplex[int, int](peer, half).run(numbers(1)):
            got.append(output)
            await asyncio.sleep(1)
        assert got == [100, 9]

    run_in_virtual_time(talk())
