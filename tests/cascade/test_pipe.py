"""The pipe to the recogniser: order, the bound on audio, and the time allowed for a text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from voicebridge.cascade.pipe import Pipe
from voicebridge.contract.stages import Mark
from voicebridge.testing.clock import run_in_virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


async def no_room(pipe: Pipe) -> bool:
    try:
        async with asyncio.timeout(1):
            await pipe.room()
    except TimeoutError:
        return True
    return False


def reader(pipe: Pipe) -> AsyncGenerator[bytes | Mark]:
    return pipe.read(asyncio.timeout(None), 5.0)


def test_pieces_come_in_order_and_as_they_come() -> None:
    async def main() -> None:
        pipe = Pipe(100)
        pipe.put(b"a")
        pipe.put(Mark(1, wanted=False))
        reading = reader(pipe)
        assert [await anext(reading), await anext(reading)] == [b"a", Mark(1, wanted=False)]
        asyncio.get_running_loop().call_later(3, pipe.put, b"b")
        assert await anext(reading) == b"b"
        assert now() == 3

    run_in_virtual_time(main())


def test_audio_is_bounded_and_marks_are_not() -> None:
    async def main() -> None:
        pipe = Pipe(4)
        for n in range(100):
            pipe.put(Mark(n, wanted=False))
        pipe.put(b"abc")
        assert not await no_room(pipe)
        pipe.put(b"de")
        assert await no_room(pipe)
        reading = reader(pipe)
        for _ in range(101):
            await anext(reading)
        assert not await no_room(pipe), "two bytes are left"

    run_in_virtual_time(main())


def test_clearing_makes_room() -> None:
    async def main() -> None:
        pipe = Pipe(4)
        pipe.put(b"abcdef")
        assert await no_room(pipe)
        pipe.clear()
        assert not await no_room(pipe)
        pipe.put(b"g")
        assert await anext(reader(pipe)) == b"g", "what waited is gone"

    run_in_virtual_time(main())


def test_the_next_reader_takes_over() -> None:
    async def main() -> None:
        pipe = Pipe(100)
        first = reader(pipe)
        pipe.put(b"a")
        await anext(first)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(first)
        pipe.put(b"b")
        assert await anext(reader(pipe)) == b"b"

    run_in_virtual_time(main())


async def read_for(pipe: Pipe, seconds: float) -> float | None:
    """Read as a recogniser does that answers nothing; when that was ended by its time, if it was."""
    try:
        async with asyncio.timeout(None) as deadline:
            try:
                async with asyncio.timeout(seconds):
                    async for _ in pipe.read(deadline, 5.0):
                        pass
            except TimeoutError:
                if not deadline.expired():
                    return None
                raise
    except TimeoutError:
        return now()
    return None


async def read_nothing(pipe: Pipe) -> None:
    async with asyncio.timeout(None) as deadline:
        pipe.read(deadline, 5.0)
        await asyncio.sleep(3600)


def test_a_mark_is_answered_in_time() -> None:
    async def main() -> None:
        pipe = Pipe(100)
        asyncio.get_running_loop().call_later(2, pipe.put, Mark(1))
        assert await read_for(pipe, 60) == 7.0, "the time runs from when the mark was put"

    run_in_virtual_time(main())


def test_the_time_runs_from_when_the_mark_was_put_whether_or_not_it_is_read() -> None:
    async def main() -> None:
        pipe = Pipe(100)
        pipe.put(Mark(1))
        await asyncio.sleep(2)
        assert await read_for(pipe, 60) == 5.0
        pipe.clear()
        asyncio.get_running_loop().call_later(1, pipe.put, Mark(2))
        with pytest.raises(TimeoutError):
            await read_nothing(pipe)
        assert now() == 11.0

    run_in_virtual_time(main())


def test_a_reader_is_told_what_is_asked_before_it_reads() -> None:
    async def main() -> None:
        pipe = Pipe(100)
        told: list[int] = []
        for n in (1, 2):
            pipe.put(Mark(n))
        pipe.answered(1)
        pipe.tell_asked(told.append)
        pipe.put(Mark(3, wanted=False))
        pipe.put(Mark(4))
        assert told == [2, 4]
        pipe.clear()
        pipe.put(Mark(5))
        assert told == [2, 4]

    run_in_virtual_time(main())


@pytest.mark.parametrize("put", [[], [b"a"], [Mark(1, fresh=True, wanted=False)]])
def test_nothing_else_must_be_answered(put: list[bytes | Mark]) -> None:
    async def main() -> None:
        pipe = Pipe(100)
        for piece in put:
            pipe.put(piece)
        assert await read_for(pipe, 3600) is None

    run_in_virtual_time(main())


def test_each_mark_has_its_own_time() -> None:
    async def main() -> None:
        pipe = Pipe(100)
        later = asyncio.get_running_loop().call_later
        pipe.put(Mark(1))
        later(2, pipe.put, Mark(2))
        later(4, pipe.answered, 1)
        assert await read_for(pipe, 60) == 7.0, "of the second"

    run_in_virtual_time(main())


def test_an_answer_counts_for_the_marks_before_it() -> None:
    async def main() -> None:
        pipe = Pipe(100)
        for n in (1, 2, 3):
            pipe.put(Mark(n))
        asyncio.get_running_loop().call_later(4, pipe.answered, 3)
        assert await read_for(pipe, 60) is None

    run_in_virtual_time(main())


def test_clearing_forgets_what_was_to_be_answered() -> None:
    async def main() -> None:
        pipe = Pipe(100)
        pipe.put(Mark(1))
        assert await read_for(pipe, 60) == 5.0
        pipe.clear()
        pipe.answered(1)
        assert await read_for(pipe, 60) is None

    run_in_virtual_time(main())
