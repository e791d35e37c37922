"""The suite as a pytest class: one test for each check."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from voicebridge.contract.session import Backend
from voicebridge.session.door import backend_of
from voicebridge.testing.clock import run_in_virtual_time

from .subject import Subject
from .suite import CHECKS, Check, run_check
from .verdict import Verdict

__all__ = ["BackendContract"]


class BackendContract:
    """Subclass it, say which backend, and pytest finds a test for each promise.

        class TestMine(BackendContract):
            spec = "mine/model"

    To say more, override `subject`; to start a server around each check, override `world`.
    """

    spec: ClassVar[str] = ""
    """Of the backend, as `voicebridge.connect` takes it."""
    config: ClassVar[Mapping[str, Any]] = {}
    """Fields of `SessionConfig` for every session."""
    virtual_time: ClassVar[bool] = False
    """For backends that do nothing but wait on the event loop: no waiting, and the same order on every run."""

    def backend(self) -> Backend:
        """What is checked. Made anew for each check."""
        if not self.spec:
            raise TypeError(f"{type(self).__name__} needs a `spec`, or a method `backend`")
        return backend_of(self.spec)

    def subject(self) -> Subject:
        """The backend, and how to talk to it."""
        return Subject(backend=self.backend(), config=self.config, virtual_time=self.virtual_time)

    @asynccontextmanager
    async def world(self) -> AsyncIterator[Subject]:
        """What must run around a check, on its event loop."""
        yield self.subject()

    def verdict(self, check: Check) -> Verdict:
        """Carry out a check."""

        async def main() -> Verdict:
            async with self.world() as subject:
                return await run_check(check, subject)

        runner: Callable[[Coroutine[Any, Any, Verdict]], Verdict]
        runner = run_in_virtual_time if self.virtual_time else asyncio.run
        return runner(main())


def _as_test(check: Check) -> Callable[[BackendContract], None]:
    def test(self: BackendContract) -> None:
        verdict = self.verdict(check)
        if verdict.status == "fail":
            raise AssertionError(str(verdict))
        if verdict.reason:
            print(verdict)  # noqa: T201  # what was not checked: pytest shows it with -rA
        if verdict.status != "pass":
            import pytest

            pytest.skip(f"{verdict.status}: {verdict.reason}")

    test.__doc__ = check.promise
    return test


for _check in CHECKS.values():
    setattr(BackendContract, f"test_{_check.name}", _as_test(_check))
