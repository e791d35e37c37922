"""What every stage of a cascade promises, whatever its seat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, ClassVar, TypeVar

from voicebridge.cascade.seat_settings import OwnOptions
from voicebridge.contract.config import checked
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import GetsReady, Usage
from voicebridge.registry.registry import registry
from voicebridge.registry.rows import Seat
from voicebridge.testing.clock import run_in_virtual_time

from .verdict import expect

__all__ = ["LONGEST_S", "StageContract"]

_T = TypeVar("_T")
LONGEST_S = 60.0
"""No check takes longer, however slow the machine."""
_CANCEL_S = 0.1
_REAL_CANCEL_S = 2.0
"""On the machine's clock: it does other things as well, so that 100 ms can only be seen in virtual time. A stage that
waits for its peer takes longer still."""


class StageContract:
    """What the seats have in common. Subclass that of a seat."""

    seat: ClassVar[Seat]
    name: ClassVar[str] = ""
    """Of the stage, as in a spec."""
    config: ClassVar[Mapping[str, Any]] = {}
    """Fields of its `SessionConfig`, beside those that `world` gives."""
    virtual_time: ClassVar[bool] = False
    dies_after_s: ClassVar[float] = 20.0
    """Seconds within which it must have noticed that its peer is dead."""

    def stage(self) -> Any:
        """What is checked, as it was made: not configured. Made anew for each check."""
        if not self.name:
            raise TypeError(f"{type(self).__name__} needs a `name`, or a method `stage`")
        return registry().stage(self.seat, self.name)

    @asynccontextmanager
    async def world(self) -> AsyncIterator[Mapping[str, Any]]:
        """What must run around a check, on its event loop; gives fields of the config."""
        yield {}

    @asynccontextmanager
    async def dying_world(self) -> AsyncIterator[Mapping[str, Any]]:
        """The same with a peer that dies in the middle of what it answers. Not overridden: the check is skipped."""
        import pytest

        pytest.skip("no `dying_world`")
        yield {}

    async def works(self, stage: Any) -> list[Any]:
        """Do one piece of work to its end, and give its outputs."""
        raise NotImplementedError

    def begun(self, stage: Any) -> Any:
        """A stream of outputs of a piece of work that does not end by itself soon."""
        raise NotImplementedError

    def run(self, check: Callable[[Any], Coroutine[Any, Any, _T]], *, warm: bool = True, dying: bool = False) -> _T:
        """Carry out a check on a stage that is configured."""

        async def main() -> _T:
            async with asyncio.timeout(LONGEST_S), self.dying_world() if dying else self.world() as fields:
                stage = self.stage()
                stage.configure(checked({**self.config, **fields}))
                try:
                    if warm:
                        await stage.warm()
                    return await check(stage)
                finally:
                    await stage.aclose()

        return run_in_virtual_time(main()) if self.virtual_time else asyncio.run(main())

    # What is checked

    def test_it_is_closed_without_having_been_warm_and_again(self) -> None:
        """`aclose` may be called again, and without `warm`."""
        self.run(lambda stage: stage.aclose(), warm=False)
        self.run(lambda stage: stage.aclose())

    def test_one_that_was_only_made_tells_its_traits(self) -> None:
        """Traits are known without settings, and fit."""
        traits = self.stage().traits
        expect(traits.usage in ("exact", "estimated", "none"), f"usage is {traits.usage!r}")
        known = {"tool_choice", "noise_reduction", "base_url", "api_key"}
        expect(traits.heeds <= known, f"it heeds {sorted(traits.heeds - known)}, which is no such setting")
        if (format := getattr(traits, "format", None)) is not None:
            expect(format.channels == 1 and format.encoding == "pcm16", f"its format is {format}, no mono PCM16")

    def test_it_refuses_an_option_that_it_does_not_know(self) -> None:
        """An unknown option is refused, or never looked at: then a cascade refuses it."""

        async def check(stage: Any) -> None:
            options = OwnOptions({"no_such_option": 1})
            config = checked(dict(self.config)).model_copy(update={"options": options})
            try:
                stage.configure(config)
            except ConfigError as error:
                expect("no_such_option" in str(error), f"it does not say which option it refuses: {error}")
            else:
                expect(not options.seen, "it looked at an option that it can't know, and took it")

        self.run(check, warm=False)

    def test_it_takes_settings_again(self) -> None:
        """`configure` may come again while it works for a session."""

        async def check(stage: Any) -> None:
            async with self.world() as fields:
                stage.configure(checked({**self.config, **fields}))
                await self.works(stage)

        self.run(check)

    def test_getting_ready_is_a_hint(self) -> None:
        """`get_ready` may come often, be cancelled at will, and changes no answer."""

        async def check(stage: Any) -> None:
            if isinstance(stage, GetsReady):
                ready = [asyncio.ensure_future(stage.get_ready()) for _ in range(2)]
                await asyncio.sleep(0)
                ready[0].cancel()
                await asyncio.wait(ready)
                await stage.get_ready()
            await self.works(stage)

        self.run(check)

    def test_it_works_again_and_again(self) -> None:
        """One stage serves a whole session."""

        async def check(stage: Any) -> None:
            for _ in range(3):
                expect(await self.works(stage), "it gave nothing")

        self.run(check)

    def test_it_tells_what_it_used_as_it_declares(self) -> None:
        """Usage is reported if the traits say so, and never more exactly than it is."""

        async def check(stage: Any) -> None:
            usages = [output for output in await self.works(stage) if isinstance(output, Usage)]
            declared = stage.traits.usage
            expect(bool(usages) == (declared != "none"), f"usage is declared {declared!r}, and it told {usages}")
            for usage in usages:
                expect(usage.basis == "exact" or declared == "estimated", f"usage is declared exact: {usage}")
                expect(all(amount >= 0 for amount in usage.units.values()), f"less than nothing was used: {usage}")

        self.run(check)

    def test_it_lets_go_when_it_is_cancelled(self) -> None:
        """Cancelling the task that reads its outputs, or closing them, ends its work within 100 ms; then it goes on.

        On the real clock no more than 2 s are checked: a busy machine takes its time.
        """

        async def check(stage: Any) -> None:
            for close in (False, True):
                for after_s in (0.0, 0.02, 0.2):
                    await self._cancelled(stage, after_s, close=close)
                    expect(await self.works(stage), "it gave nothing after it had been cancelled")

        self.run(check)

    async def _cancelled(self, stage: Any, after_s: float, *, close: bool) -> None:
        outputs = self.begun(stage)

        async def read() -> None:
            async with aclosing(outputs):
                async for _ in outputs:
                    if close:
                        return

        task = asyncio.ensure_future(read())
        await asyncio.wait([task], timeout=after_s)
        clock = asyncio.get_running_loop().time
        began = clock()
        task.cancel()
        await asyncio.wait([task])
        took = clock() - began
        limit = _CANCEL_S if self.virtual_time else _REAL_CANCEL_S
        expect(took <= limit, f"it took {took:.2f} s to let go")
        if not task.cancelled() and (error := task.exception()):
            raise error

    def test_a_dying_peer_is_told_in_our_words(self) -> None:
        """When its peer dies in the middle, it raises a `VoiceBridgeError`, soon, and nothing else."""

        async def check(stage: Any) -> None:
            try:
                async with asyncio.timeout(self.dies_after_s):
                    outputs = await self.works(stage)
            except VoiceBridgeError as error:
                expect(error.fault.message, "its fault says nothing")
            except TimeoutError:
                expect(False, f"it did not notice in {self.dies_after_s} s")
            else:
                expect(False, f"it ended as if nothing had happened, with {outputs!r:.300}")

        self.run(check, warm=False, dying=True)
