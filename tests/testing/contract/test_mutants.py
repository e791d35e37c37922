"""The suite can fail: each of these backends breaks one promise, and the check that is about it says so."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import Any

import pytest

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import (
    Command,
    Configure,
    EndTurn,
    Interrupt,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import SessionClosed, Unsupported
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    ToolCall,
    UsageReported,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item
from voicebridge.contract.session import VoiceSession
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.contract import CHECKS, Verdict, run_check

from .test_cascade import scripted_subject


class Mutant:
    """A session that is right in all but what a subclass changes. Is a `VoiceSession`."""

    def __init__(self, session: VoiceSession, config: SessionConfig) -> None:
        self.inner, self.config = session, config
        self.capabilities = self.declared(session.capabilities)
        self.more: list[Event] = []

    @staticmethod
    def declared(can: Capabilities) -> Capabilities:
        return can

    async def send(self, command: Command) -> None:
        await self.inner.send(command)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self.more:
            event = await anext(aiter(self.inner))
            if isinstance(event, SessionReady):
                event = replace(event, capabilities=self.declared(event.capabilities))
            self.more += self.told(event)
        return self.more.pop(0)

    def told(self, event: Event) -> Sequence[Event]:
        return [event]

    async def aclose(self) -> None:
        await self.inner.aclose()

    @staticmethod
    def opened(config: SessionConfig, history: Sequence[Item]) -> tuple[SessionConfig, Sequence[Item]]:
        return config, history

    swallows = False


class MutantBackend:
    def __init__(self, mutant: type[Mutant]) -> None:
        self.mutant = mutant
        self.backend = scripted_subject().backend

    @property
    def capabilities(self) -> Capabilities:
        return self.mutant.declared(self.backend.capabilities)

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[Any]:
        async with self.backend.connect(*self.mutant.opened(config, history)) as session:
            mutant = self.mutant(session, config)
            try:
                yield mutant
            except ZeroDivisionError:
                if not mutant.swallows:
                    raise


CASES: list[tuple[type[Mutant], str, str]] = []


def caught_by(check: str, words: str) -> Callable[[type[Mutant]], type[Mutant]]:
    def add(mutant: type[Mutant]) -> type[Mutant]:
        CASES.append((mutant, check, words))
        return mutant

    return add


def verdict_on(mutant: type[Mutant], check: str) -> Verdict:
    subject = replace(scripted_subject(), backend=MutantBackend(mutant), patience_s=10.0)
    if check == "lost_connection":  # these lose their connections themselves
        broken = subject
        subject = replace(subject, dropping=lambda: nullcontext(broken))
    return run_in_virtual_time(run_check(CHECKS[check], subject))


@pytest.mark.parametrize("check", [name for name in CHECKS if name not in ("hostile_server", "lost_connection")])
def test_what_changes_nothing_passes(check: str) -> None:
    assert verdict_on(Mutant, check).status == "pass"


# Commands and their fate


@caught_by("text_turn", "settled 2 times")
class SettlesTwice(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [event, event] if isinstance(event, CommandSettled) else [event]


@caught_by("silent_note", "no CommandSettled")
class SettlesNoNotes(Mutant):
    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.notes: set[str] = set()

    async def send(self, command: Command) -> None:
        if isinstance(command, SendText) and not command.respond:
            self.notes.add(command.id)
        await super().send(command)

    def told(self, event: Event) -> Sequence[Event]:
        return [] if isinstance(event, CommandSettled) and event.command_id in self.notes else [event]


@caught_by("end_turn", "such commands are not")
class SettlesAudio(Mutant):
    async def send(self, command: Command) -> None:
        await super().send(command)
        if isinstance(command, SendAudio):
            self.more.append(CommandSettled(command_id=command.id, at=1e9))


@caught_by("text_turn", "'x1' was settled, and no command has that id")
class SettlesStrangers(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [event, CommandSettled(command_id="x1", at=event.at)] if isinstance(event, ResponseStarted) else [event]


@caught_by("idle_interrupt", "settled with the fault")
class FaultsIdleInterrupts(Mutant):
    async def send(self, command: Command) -> None:
        if isinstance(command, Interrupt):
            self.odd = command.id
        await super().send(command)

    def told(self, event: Event) -> Sequence[Event]:
        if isinstance(event, CommandSettled) and event.command_id == getattr(self, "odd", ""):
            return [replace(event, fault=Fault(category="protocol", message="cancel not active"))]
        return [event]


@caught_by("text_turn", "settles is 'reported', and SendText was settled by 'sent'")
class SettlesOtherwise(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [replace(event, basis="sent")] if isinstance(event, CommandSettled) else [event]


# Responses


@caught_by("text_turn", "never ended|no ResponseEnded")
class NeverEnds(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [] if isinstance(event, ResponseEnded) else [event]


@caught_by("several_turns", "started twice|audio of r is placed")
class OneIdForAll(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [replace(event, response_id="r")] if getattr(event, "response_id", None) else [event]


@caught_by("text_turn", "no ResponseStarted")
class AnswersNobody(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [replace(event, answers=())] if isinstance(event, ResponseStarted) else [event]


@caught_by("held_request", "started while r1 ran")
class TwoAtOnce(Mutant):
    """Tells the end of a response only after the start of the next."""

    held: Event | None = None

    def told(self, event: Event) -> Sequence[Event]:
        if isinstance(event, ResponseEnded) and event.response_id == "r1":
            self.held = event
            return []
        if isinstance(event, ResponseStarted) and (held := self.held):
            self.held = None
            return [event, replace(held, at=event.at)]
        return [event]


@caught_by("held_request", "Busy|busy")
class RefusesASecond(Mutant):
    runs = False

    def told(self, event: Event) -> Sequence[Event]:
        self.runs = isinstance(event, ResponseStarted) or (self.runs and not isinstance(event, ResponseEnded))
        return [event]

    async def send(self, command: Command) -> None:
        if isinstance(command, Respond) and self.runs:
            raise Unsupported("The backend is busy.")
        await super().send(command)


@caught_by("audio_answer", r"\[offsets\] audio of r1 is placed at")
class CountsFromZero(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [replace(event, offset_ms=0.0)] if isinstance(event, OutputAudio) else [event]


@caught_by("audio_answer", "ends in the middle of a sample")
class HalfSamples(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [replace(event, pcm=event.pcm[:-1])] if isinstance(event, OutputAudio) else [event]


@caught_by("audio_answer", "came after its end")
class LateAudio(Mutant):
    last: OutputAudio | None = None

    def told(self, event: Event) -> Sequence[Event]:
        if isinstance(event, OutputAudio):
            before, self.last = self.last, event
            return [before] if before else []
        return [event, self.last] if isinstance(event, ResponseEnded) and self.last else [event]


@caught_by("text_alone", "audio came")
class SpeaksAnyway(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        if isinstance(event, ResponseEnded):
            return [OutputAudio(response_id=event.response_id, pcm=bytes(480), offset_ms=0.0, at=event.at), event]
        return [event]


@caught_by("aside", "is no aside")
class ForgetsAsides(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [replace(event, aside=False)] if isinstance(event, ResponseStarted) else [event]


@caught_by("verbatim", "it was to say")
class SaysItsOwn(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [replace(event, delta="Sure! ")] if isinstance(event, OutputText) else [event]


@caught_by("audio_answer", "stamped")
class StampsBackwards(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [replace(event, at=-event.at)]


# Turns


@caught_by("spoken_turn", "no UserTurn told of speech")
class NoSpeechPhase(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [] if isinstance(event, UserTurn) and event.phase == "speech" else [event]


@caught_by("end_turn", "'committed' came after 'committed'")
class CommitsTwice(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [event, event] if isinstance(event, UserTurn) and event.phase == "committed" else [event]


@caught_by("spoken_turn", "no InputTranscript")
class WritesNothingDown(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [] if isinstance(event, InputTranscript) else [event]


@caught_by("spoken_turn", "is placed at")
class WrongPlace(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [replace(event, audio_ms=event.audio_ms + 60_000)] if isinstance(event, UserTurn) else [event]


@caught_by("discard_turn", "discarded turn was committed|no CommandSettled|came after")
class CommitsDiscarded(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        wrong = isinstance(event, UserTurn) and event.phase == "discarded"
        return [replace(event, phase="committed")] if wrong else [event]  # type: ignore[call-arg]  # it is a UserTurn


@caught_by("end_turn_without_answer", "was answered")
class AlwaysAnswers(Mutant):
    async def send(self, command: Command) -> None:
        await super().send(replace(command, respond=True) if isinstance(command, EndTurn) else command)


@caught_by("first_words", "were sent before SessionReady")
class LosesFirstWords(Mutant):
    sent = 0

    async def send(self, command: Command) -> None:
        self.sent += 1
        if self.sent > 5 or not isinstance(command, SendAudio):
            await super().send(command)


# Interruption


@caught_by("interruption", "came after the Interrupt")
class DoesNotInterrupt(Mutant):
    async def send(self, command: Command) -> None:
        await super().send(Interrupt(id=command.id, response_id="no") if isinstance(command, Interrupt) else command)


@caught_by("interruption", "came after the Interrupt")
class QueueOfItsOwn(Mutant):
    """Reads ahead, and forgets to purge."""

    async def __anext__(self) -> Event:
        if not hasattr(self, "queue"):
            self.queue: asyncio.Queue[Event | Exception] = asyncio.Queue()
            self.reader = asyncio.create_task(self.read())
        if isinstance(got := await self.queue.get(), Exception):
            raise got
        return got

    async def read(self) -> None:
        async for event in self.inner:
            self.queue.put_nowait(event)
        self.queue.put_nowait(StopAsyncIteration())


@caught_by("interruption_before_start", "audio")
class OrphansSpeak(Mutant):
    async def send(self, command: Command) -> None:
        if isinstance(command, Interrupt):
            self.more.append(CommandSettled(command_id=command.id))
        else:
            await super().send(command)


@caught_by("truncation", "were heard, and OutputHeard says")
class HearsMore(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        return [replace(event, heard_ms=event.heard_ms + 500)] if isinstance(event, OutputHeard) else [event]


@caught_by("barge_in", "the user spoke, and the response ended 'completed'|ResponseEnded")
class NotInterruptedByVoice(Mutant):
    def __init__(self, session: Any, config: SessionConfig) -> None:
        super().__init__(session, config)
        session._turns.policy = config.turns.model_copy(update={"auto_interrupt": False})


@caught_by("no_barge_in", "stopped the response")
class AlwaysInterruptedByVoice(Mutant):
    def __init__(self, session: Any, config: SessionConfig) -> None:
        super().__init__(session, config)
        session._turns.policy = config.turns.model_copy(update={"auto_interrupt": True})


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


@caught_by("broken_off_iteration", "stopped|never|no response|settled 0")
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


LEAKED: list[Any] = []


@pytest.fixture(autouse=True)
def nothing_kept() -> Any:
    yield
    for one in LEAKED:
        if isinstance(one, socket.socket):
            one.close()
        elif isinstance(one, threading.Event):
            one.set()
    LEAKED.clear()


@pytest.mark.parametrize(("mutant", "check", "words"), CASES, ids=[case[0].__name__ for case in CASES])
def test_each_is_caught(mutant: type[Mutant], check: str, words: str) -> None:
    verdict = verdict_on(mutant, check)
    assert verdict.status == "fail", f"{mutant.__name__} got away: {verdict}"
    assert re.search(words, verdict.reason), verdict.reason
