"""Broken promises around the talk: tools, capabilities, settings, cancellation, the end."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, Configure, Respond, SendAudio, SendText, SendToolResult
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import SessionClosed
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    OutputAudio,
    ResponseEnded,
    SessionReady,
    ToolCall,
    UsageReported,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item

from .mutant import LEAKED, Mutant, caught_by
from .mutants_of_talk import QueueOfItsOwn

# Tools, capabilities, settings


@caught_by("parallel_tools", "before the last call had its result")
class AnswersEachTool(Mutant):
    async def send(self, command: Command) -> None:
        await super().send(command)
        if isinstance(command, SendToolResult):
            await super().send(Respond())


@caught_by("tool_round", r"\[known ids\] the call id|used twice")
class OneCallId(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [event, event] if isinstance(event, ToolCall) else [event]


@caught_by("tool_result_without_answer", "was answered")
class AnswersEveryResult(Mutant):
    async def send(self, command: Command) -> None:
        await super().send(replace(command, respond=True) if isinstance(command, SendToolResult) else command)


@caught_by("refusals", "inputs has no 'image'.* was taken")
class SwallowsImages(Mutant):
    async def send(self, command: Command) -> None:
        await super().send(replace(command, images=()) if isinstance(command, SendText) else command)


@caught_by("refusals", "respond has no 'say'.* was taken")
class CanMoreThanItSays(Mutant):
    @staticmethod
    def declared(can: Capabilities) -> Capabilities:
        return replace(can, respond=can.respond - {"say"})


@caught_by("tool_round", "made 0 calls")
class ToolsOnPaper(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [] if isinstance(event, ToolCall) else [event]


@caught_by("spoken_turn", "input_transcript is 'none', and yet")
class WritesDownUndeclared(Mutant):
    @staticmethod
    def declared(can: Capabilities) -> Capabilities:
        return replace(can, input_transcript="none")


@caught_by("text_turn", "usage is 'exact', and yet")
class Estimates(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        if isinstance(event, ResponseEnded):
            used = UsageReported(at=event.at, units={"characters": 3}, model="m", basis="estimated")
            return [used, event]
        return [event]


@caught_by("text_turn", r"\[usage\] usage is 'exact', and r1 was complete without any")
class CountsNothing(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [] if isinstance(event, UsageReported) else [event]


@caught_by("text_turn", r"\[usage\] usage of r1 came after its end")
class CountsLate(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        if isinstance(event, ResponseEnded):
            used = UsageReported(
                at=event.at, units={"text_out": 1.0}, model="m", basis="exact", response_id=event.response_id
            )
            return [event, used]
        return [event]


@caught_by("opens", "more than the backend declared")
class Widens(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        if isinstance(event, SessionReady):
            can = replace(event.capabilities, inputs=frozenset({"audio", "text", "image"}))
            self.capabilities = can
            return [replace(event, capabilities=can)]
        return [event]


@caught_by("opens", "SessionReady came 2 times")
class ReadyTwice(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [event, event] if isinstance(event, SessionReady) else [event]


@caught_by("live_update", "no ToolCall")
class UpdatesNothing(Mutant):
    async def send(self, command: Command) -> None:
        await super().send(replace(command, patch={}) if isinstance(command, Configure) else command)


@caught_by("bad_settings", "KeyError")
class RaisesForeign(Mutant):
    async def send(self, command: Command) -> None:
        if isinstance(command, Configure):
            raise KeyError("no_such_field")
        await super().send(command)


@caught_by("unknown_option", "without a word")
class TakesAnyOption(Mutant):
    @staticmethod
    def opened(config: SessionConfig, history: Sequence[Item]) -> tuple[SessionConfig, Sequence[Item]]:
        return config.patched({"options": {}}), history


@caught_by("text_turn", "Unsupported")
class ImagesOnPaper(Mutant):
    @staticmethod
    def declared(can: Capabilities) -> Capabilities:
        return replace(can, inputs=can.inputs | {"image"})


@caught_by("text_turn", "CancelledError came out of the backend")
class CancelsItself(Mutant):
    async def send(self, command: Command) -> None:
        raise asyncio.CancelledError


@caught_by("text_turn", "the iterator raised CancelledError")
class CancelsItsReader(Mutant):
    async def __anext__(self) -> Event:
        raise asyncio.CancelledError


@caught_by("text_turn", "no VoiceBridgeError")
class TimesOut(Mutant):
    async def send(self, command: Command) -> None:
        raise TimeoutError("the server did not answer")


@caught_by("seeding", "it said")
class ForgetsHistory(Mutant):
    @staticmethod
    def opened(config: SessionConfig, history: Sequence[Item]) -> tuple[SessionConfig, Sequence[Item]]:
        return config, ()


# Cancellation and iteration


@caught_by("cancelled_wait", "after a wait was cancelled|the iteration stopped|never ended|no response")
class Generator(Mutant):
    """Events by an async generator, which a cancelled wait ends."""

    def __aiter__(self) -> AsyncIterator[Event]:
        if not hasattr(self, "generator"):
            self.generator = self.generate()
        return self.generator

    async def generate(self) -> AsyncIterator[Event]:
        async for event in self.inner:
            yield event


@caught_by("broken_off_iteration", "stopped|never|no response|settled 0|ended in another way")
class LosesOnBreak(Mutant):
    """Reads one ahead for each iteration."""

    def __aiter__(self) -> AsyncIterator[Event]:
        return self.generate()

    async def generate(self) -> AsyncIterator[Event]:
        ahead = await anext(aiter(self.inner))
        async for event in self.inner:
            yield ahead
            ahead = event
        yield ahead


@caught_by("two_waits", "neither is told|the second took")
class TwoMayWait(QueueOfItsOwn):
    pass


@caught_by("cancelled_send", "settled 2 times|settled, and no command")
class SendsAgain(Mutant):
    async def send(self, command: Command) -> None:
        await super().send(command)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            await super().send(command)
            raise


@caught_by("cancelled_audio", "sends of 1000 ms cancelled")
class SendsHalf(Mutant):
    async def send(self, command: Command) -> None:
        if isinstance(command, SendAudio) and len(command.pcm) > 10_000:
            half = len(command.pcm) // 4 * 2
            await super().send(SendAudio(pcm=command.pcm[:half]))
            await asyncio.sleep(0)
            await super().send(SendAudio(pcm=command.pcm[half:]))
        else:
            await super().send(command)


# The end


@caught_by("closed_is_closed", "was taken")
class TakesAfterTheEnd(Mutant):
    async def send(self, command: Command) -> None:
        try:
            await super().send(command)
        except SessionClosed:
            return


@caught_by("closed_is_closed", "does not end|no .* came")
class NeverStops(Mutant):
    async def __anext__(self) -> Event:
        try:
            return await super().__anext__()
        except StopAsyncIteration:
            await asyncio.sleep(1e6)
            raise


@caught_by("close_during_response", "never ended|ResponseEnded")
class LeavesOpen(Mutant):
    closed = False

    async def aclose(self) -> None:
        self.closed = True
        await super().aclose()

    def told(self, event: Event) -> Sequence[Event]:
        return [] if self.closed and isinstance(event, ResponseEnded) else [event]


@caught_by("close_under_pressure", "raised RuntimeError")
class ClosesOnce(Mutant):
    closing = False

    async def aclose(self) -> None:
        if self.closing:
            raise RuntimeError("already closing")
        self.closing = True
        await super().aclose()


@caught_by("closed_is_closed", "aclose took more than")
class ClosesSlowly(Mutant):
    async def aclose(self) -> None:
        await super().aclose()
        await asyncio.sleep(60)


@caught_by("lost_connection", "must raise SessionFailed")
class StopsSilently(Mutant):
    """The end of a session that failed is just an end."""

    async def __anext__(self) -> Event:
        if getattr(self, "dead", False):
            raise StopAsyncIteration
        event = await super().__anext__()
        if isinstance(event, OutputAudio):
            await self.inner.aclose()
            self.dead = True
            return BackendError(fault=Fault(category="network", message="gone"), fatal=True, at=event.at)
        return event


@caught_by("lost_connection", "came after a fatal BackendError")
class TalksAfterTheEnd(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        if isinstance(event, OutputAudio):
            return [BackendError(fault=Fault(category="network", message="gone"), fatal=True, at=event.at), event]
        return [event]


@caught_by("leaving_closes", "swallowed")
class Swallows(Mutant):
    swallows = True


@caught_by("text_turn", "tasks were left running")
class LeaksTasks(Mutant):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        LEAKED.append(asyncio.create_task(asyncio.sleep(1e6), name="keep-alive"))


@caught_by("nothing_left", "sockets after one session")
class LeaksSockets(Mutant):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        LEAKED.append(socket.socket())


@caught_by("nothing_left", "threads after one session")
class LeaksThreads(Mutant):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        over = threading.Event()
        thread = threading.Thread(target=over.wait, daemon=True)
        thread.start()
        LEAKED.append(over)


@caught_by("unknown_call", "as if it had been wanted")
class ThanksForAnything(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [replace(event, fault=None)] if isinstance(event, CommandSettled) else [event]


@caught_by("unknown_command", "unknown class was taken")
class SwallowsTheUnknown(Mutant):
    async def send(self, command: Command) -> None:
        if type(command).__module__.startswith("voicebridge.contract"):
            await super().send(command)


@caught_by("strange_text", "UnicodeEncodeError")
class CantWriteHalfCharacters(Mutant):
    async def send(self, command: Command) -> None:
        if isinstance(command, SendText):
            command.text.encode()
        await super().send(command)


@caught_by("live_turns", "silence committed one")
class KeepsItsTurns(Mutant):
    async def send(self, command: Command) -> None:
        await super().send(replace(command, patch={}) if isinstance(command, Configure) else command)


@caught_by("close_while_connecting", "aclose raised RuntimeError")
class ClosesOnlyWhatIsOpen(Mutant):
    opened_at = 0.0

    def told(self, event: Event) -> Sequence[Event]:
        self.opened_at = self.opened_at or event.at
        return [event]

    async def aclose(self) -> None:
        if not self.opened_at:
            raise RuntimeError("not connected")
        await super().aclose()


@caught_by("cancelled_connect", "it raised RuntimeError: not connected")
class TripsOverCancellation(Mutant):
    trips = True
