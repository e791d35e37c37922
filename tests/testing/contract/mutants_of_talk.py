"""Broken promises in the talk itself: fates of commands, responses, turns, interruption."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from voicebridge.contract.commands import Command, EndTurn, Interrupt, ReportPlayed, Respond, SendAudio, SendText
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import Unsupported
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    UserTurn,
)
from voicebridge.contract.fault import Fault

from .mutant import Mutant, caught_by

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


@caught_by("spoken_turn", r"\[committed first\] r1 answers .* not yet committed")
class CommitsLate(Mutant):
    """Tells that a turn is committed once the response that answers it has started."""

    held: Event | None = None

    def told(self, event: Event) -> Sequence[Event]:
        if isinstance(event, UserTurn) and event.phase == "committed" and self.config.turns.mode != "manual":
            self.held = event
            return []
        if isinstance(event, ResponseStarted) and (held := self.held):
            self.held = None
            return [event, replace(held, at=event.at)]
        return [event]


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


@caught_by("interruption_by_id", "came after the Interrupt")
class IgnoresNames(Mutant):
    async def send(self, command: Command) -> None:
        named = isinstance(command, Interrupt) and command.response_id
        await super().send(Interrupt(id=command.id, response_id="no") if named else command)


@caught_by("interruption_by_id", "named other responses")
class StopsWhateverRuns(Mutant):
    async def send(self, command: Command) -> None:
        await super().send(replace(command, response_id=None) if isinstance(command, Interrupt) else command)


@caught_by("truncation", "no OutputHeard")
class IgnoresWhatWasHeard(Mutant):
    async def send(self, command: Command) -> None:
        await super().send(replace(command, heard={}) if isinstance(command, Interrupt) else command)

    def told(self, event: Event) -> Sequence[Event]:
        return [] if isinstance(event, OutputHeard) else [event]


@caught_by("truncation", "were heard, and OutputHeard says 0 ms")
class CutsToNothing(Mutant):
    async def send(self, command: Command) -> None:
        if isinstance(command, Interrupt):
            command = replace(command, heard=dict.fromkeys(command.heard, 0.0))
        await super().send(command)


@caught_by("reports_played", "KeyError")
class KnowsNoStrangers(Mutant):
    async def send(self, command: Command) -> None:
        if isinstance(command, ReportPlayed) and not command.response_id.startswith("r"):
            raise KeyError(command.response_id)
        await super().send(command)


@caught_by("empty_turn", "nothing was said, and it was answered")
class AnswersSilence(Mutant):
    async def send(self, command: Command) -> None:
        await super().send(Respond(id=command.id) if isinstance(command, EndTurn) else command)


@caught_by("odd_pieces", "in odd pieces")
class DropsOddBytes(Mutant):
    async def send(self, command: Command) -> None:
        if isinstance(command, SendAudio):
            command = SendAudio(id=command.id, pcm=command.pcm[: min(len(command.pcm), 4000)])
        await super().send(command)


@caught_by("response_instructions", "Unsupported")
class TakesNoInstructions(Mutant):
    async def send(self, command: Command) -> None:
        if isinstance(command, Respond) and command.instructions:
            raise Unsupported("It has no instructions.")
        await super().send(command)


@caught_by("nobody_reads", "is placed at|never ended|no Response|settled 0")
class DropsUnread(QueueOfItsOwn):
    """Keeps three events for whoever does not read."""

    async def read(self) -> None:
        async for event in self.inner:
            if self.queue.qsize() >= 3:
                self.queue.get_nowait()
            self.queue.put_nowait(event)
        self.queue.put_nowait(StopAsyncIteration())


@caught_by("nobody_reads", "took .* s to be read")
class WorksWhileIterated(Mutant):
    """What came is made into events when somebody wants one."""

    async def __anext__(self) -> Event:
        event = await super().__anext__()
        self.more.insert(0, event)  # a wait that is cancelled loses nothing
        await asyncio.sleep(0.3)
        return self.more.pop(0)


@caught_by("nobody_reads", "until somebody read")
class ReadsWhileIterated(Mutant):
    """The wire is read by whoever iterates."""

    def told(self, event: Event) -> Sequence[Event]:
        return [replace(event, at=asyncio.get_running_loop().time())]


@caught_by("unread_audio", "more than the two minutes that may wait")
class KeepsEverything(QueueOfItsOwn):
    """Reads ahead without end."""


@caught_by("hostile_server", "ValueError")
class DiesOfGarbage(Mutant):
    def told(self, event: Event) -> Sequence[Event]:
        if isinstance(event, OutputText):
            raise ValueError("no JSON")
        return [event]
