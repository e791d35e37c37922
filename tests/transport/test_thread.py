"""Blocking functions of other people."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest

from voicebridge.transport.thread import in_thread

who = contextvars.ContextVar("who", default="nobody")


def test_it_runs_elsewhere_in_the_context_of_its_caller() -> None:
    async def main() -> tuple[str, str, bool]:
        who.set("me")
        return await in_thread(
            lambda: (who.get(), threading.current_thread().name, threading.current_thread().daemon), "my thread"
        )

    assert asyncio.run(main()) == ("me", "my thread", True)


@pytest.mark.parametrize(
    ("raised", "kind", "told"),
    [
        (ValueError("no"), ValueError, "^no$"),
        (StopIteration("over"), RuntimeError, "StopIteration: over"),
        (SystemExit(3), RuntimeError, "SystemExit: 3"),
        (KeyboardInterrupt(), RuntimeError, "KeyboardInterrupt"),
    ],
)
def test_what_it_raises_reaches_the_caller(raised: BaseException, kind: type[Exception], told: str) -> None:
    def fail() -> None:
        raise raised

    with pytest.raises(kind, match=told):
        asyncio.run(in_thread(fail, "t"))


@pytest.mark.parametrize("end", [lambda: None, lambda: 1 / 0])
def test_one_that_hangs_holds_up_neither_the_end_nor_another(end: Callable[[], Any]) -> None:
    never = threading.Event()

    def hang() -> None:
        never.wait()
        end()

    async def main() -> str:
        hanging = [asyncio.create_task(in_thread(hang, "hangs")) for _ in range(64)]
        await asyncio.sleep(0)
        said = await in_thread(lambda: "soon", "t")
        for task in hanging[:32]:
            task.cancel()
        return said

    assert asyncio.run(main()) == "soon"  # comes back, though the threads wait for ever
    threads = [thread for thread in threading.enumerate() if thread.name == "hangs"]
    assert len(threads) == 64
    never.set()
    for thread in threads:
        thread.join()  # without an error, though their loop is gone
