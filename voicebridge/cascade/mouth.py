"""The answering half of a cascade: which response runs, what of it is told, what of it was heard.

what it owns                 from                          until
the running response's task  `_start`, `guess`             it ends, `interrupt`, or `aclose`
the guess's task             `guess`                       adopted by `_start`, `drop_guess`, or `aclose`
cancelled tasks              the moment they are cancelled they are gone; `aclose` awaits them all
timers of playback           a response ends               it was played, or `aclose`
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import (
    Event,
    OutputAudio,
    OutputHeard,
    OutputText,
    ProviderEvent,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    UsageReported,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem
from voicebridge.contract.stages import Prompt, Speech, ToolRequest, Usage
from voicebridge.core.arbiter import Arbiter, Request
from voicebridge.core.history import History
from voicebridge.core.playback import Player
from voicebridge.transport.delivery import Delivery

from .reply import Output, Reply, StageError
from .seats import Seats
from .stage_fault import fault_of

__all__ = ["Mouth", "SpeculationCount"]

_CONVERSION_MS = 1.0
"""A player at another rate may count this much less for the whole of a response."""


@dataclass(slots=True)
class SpeculationCount:
    """What guessing the end of turns gained and cost in this session."""

    guesses: int = 0
    used: int = 0
    """Guesses whose answer was spoken."""
    wasted_characters: int = 0
    """Written by the model for answers that were thrown away."""
    wasted_audio_ms: float = 0.0
    """Spoken for answers that were thrown away."""

    @property
    def used_share(self) -> float:
        """0 to 1; 0 without guesses."""
        return self.used / self.guesses if self.guesses else 0.0


@dataclass(slots=True)
class _Response:
    """A response from the moment its reply is being made, which for a guess is before it has an id."""

    id: str = ""
    reply: Reply = field(init=False)
    task: asyncio.Task[None] = field(init=False)
    request: Request | None = None
    turn_id: str = ""
    guessed_text: str | None = None
    offset_ms: float = 0.0
    wanted: asyncio.Event = field(default_factory=asyncio.Event)


class Mouth:
    """Starts, holds back, adopts, stops and accounts for responses.

    Args:
        delivery: where events go; its undelivered audio is purged when a response is stopped.
        settle: tells the fate of a command.
    """

    def __init__(
        self,
        seats: Seats,
        config: SessionConfig,
        history: Iterable[Item],
        delivery: Delivery,
        settle: Callable[[str, Fault | None], None],
        *,
        timeout_s: float,
    ) -> None:
        self.history = History(history)
        self.speculation = SpeculationCount()
        self._seats, self._config, self._timeout_s = seats, config, timeout_s
        self._delivery, self._settle = delivery, settle
        self._arbiter = Arbiter()
        self._player = Player()
        self._current: _Response | None = None
        self._guess: _Response | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._count = 0
        self._clock = asyncio.get_running_loop().time

    def configure(self, config: SessionConfig) -> None:
        """Answer with other settings from the next response on. A guess made with the old ones is dropped."""
        self._config = config
        self.drop_guess()

    # Asking for responses

    def ask(self, request: Request) -> None:
        """Respond now, or when the running response has ended."""
        if ready := self._arbiter.ask(request):
            self._start(ready)

    def hold_for_user(self, speaks: bool) -> None:
        """Whether the user has the floor. Answers to tools wait until it is free."""
        self._arbiter.user_speaks = speaks
        if not speaks and (ready := self._arbiter.resume()):
            self._start(ready)

    def guess(self, turn_id: str, text: str) -> None:
        """Begin to answer a turn that may be over. Nothing of it is told before `commit`."""
        self.drop_guess()
        if self._arbiter.busy or self._seats.llm.traits.speculative == "unsafe":
            return
        self.speculation.guesses += 1
        response = _Response(turn_id=turn_id, guessed_text=text)
        said = MessageItem(role="user", text=text)
        self._make(response, self.prompt((said,), speculative=True), held=True)
        self._guess = response

    def drop_guess(self) -> None:
        """The user goes on: throw the answer away. What its stages used was used all the same."""
        guess, self._guess = self._guess, None
        if guess is None:
            return
        self._cancel(guess)
        work = guess.reply.work
        self.speculation.wasted_characters += work.characters
        self.speculation.wasted_audio_ms += self._audio_ms(work.speech_bytes)
        for seat, usage in work.usages:
            self.report_usage(seat, usage, turn_id=guess.turn_id)

    def commit(self, turn_id: str, text: str, *, respond: bool, settles: tuple[str, ...] = ()) -> None:
        """The user's turn joins the conversation, and is answered if `respond`; by the guess, if that was right."""
        self.history.append(MessageItem(role="user", text=text))
        if self._guess and (self._guess.turn_id != turn_id or self._guess.guessed_text != text or not respond):
            self.drop_guess()
        if respond:
            self.ask(Request(cause="user", answers=(turn_id,), settles=settles))

    def tool_result(self, command_id: str, result: ToolResultItem, *, respond: bool) -> bool:
        """Take the answer to a call, settle the command, and respond once all calls are answered.

        False if no such call is open.
        """
        if not self._arbiter.knows_call(result.call_id):
            return False
        self.drop_guess()
        self.history.append(result)
        self._settle(command_id, None)
        if request := self._arbiter.answer_call(result.call_id, command_id, respond=respond):
            self.ask(request)
        return True

    # Stopping them

    def interrupt(self, response_id: str | None = None, heard: Mapping[str, float] | None = None) -> None:
        """Stop a response, or all that run or are asked for, and keep only what was heard of them."""
        for id, ms in (heard or {}).items():
            self._player.cut(id, ms)
        if response_id is None:
            self._withdraw()
        stopped = self._current if self._current and response_id in (None, self._current.id) else None
        if stopped:
            self._cancel(stopped)
        ids = set(self._player.unsettled()) if response_id is None else {response_id}
        for id in sorted(ids | set(heard or ())):
            self._delivery.purge(id)
            self._settle_playback(id)
        if stopped:
            if stopped.reply.spoken and not self._player.response(stopped.id):
                self._heard_nothing(stopped.id)
            self._end(stopped, "interrupted")

    def played(self, response_id: str, ms: float) -> None:
        """The player reports how far it is."""
        self._player.report(response_id, ms)
        playback = self._player.response(response_id)
        if playback and playback.ended and ms >= playback.received_ms - _CONVERSION_MS:
            self._player.report(response_id, playback.received_ms)
            self._settle_playback(response_id)

    async def aclose(self) -> None:
        """Stop everything and wait until it is gone. Open responses end as lost."""
        self.drop_guess()
        for timer in self._timers.values():
            timer.cancel()
        if self._current:
            self._cancel(self._current)
            self._tell(ResponseEnded(response_id=self._current.id, status="lost", reason="closed"))
            self._current = None
        self._withdraw()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Making one

    def _start(self, request: Request) -> None:
        response = self._adopt(request) or _Response(turn_id=request.answers[0] if request.answers else "")
        self._count += 1
        response.id, response.request, self._current = f"r{self._count}", request, response
        if response.guessed_text is None:
            prompt = request.say or self.prompt(request=request)
            self._make(response, prompt, held=True)
        if not request.aside:
            self.history.open_response(response.id)
        started = ResponseStarted(
            response_id=response.id, cause=request.cause, answers=request.answers, aside=request.aside
        )
        self._tell(started)
        for command_id in request.settles:
            self._settle(command_id, None)
        response.reply.release()
        response.wanted.set()

    def _adopt(self, request: Request) -> _Response | None:
        """The guess, if it answers just this request. Any other guess is of no more use."""
        if self._guess is None or request.answers[-1:] != (self._guess.turn_id,):
            self.drop_guess()
            return None
        guess, self._guess = self._guess, None
        self.speculation.used += 1
        return guess

    def _make(self, response: _Response, prompt: Prompt | str, *, held: bool) -> None:
        modality = response.request.modality if response.request else None
        spoken = modality != "text" and "audio" in self._config.outputs
        response.reply = Reply(
            prompt,
            self._seats.llm,
            self._seats.tts if spoken else None,
            emit=partial(self._output, response),
            room=self._delivery.room,
            timeout_s=self._timeout_s,
            held=held,
        )
        response.task = asyncio.create_task(self._conduct(response), name=f"reply {response.id or 'guess'}")
        self._tasks.add(response.task)
        response.task.add_done_callback(self._tasks.discard)

    async def _conduct(self, response: _Response) -> None:
        fault = None
        try:
            await response.reply.run()
        except StageError as error:
            fault = fault_of(error.seat, error.__cause__ or error)
        await response.wanted.wait()
        self._end(response, "failed" if fault else "completed", fault)

    def prompt(
        self, items: tuple[Item, ...] = (), request: Request | None = None, *, speculative: bool = False
    ) -> Prompt:
        """What the model is asked: the conversation so far and `items`."""
        extra = request.instructions if request else None
        return Prompt(
            items=(*self.history.items(), *items),
            instructions="\n".join(filter(None, (self._config.instructions, extra))),
            tools=self._config.tools if self._seats.llm.traits.tools else (),
            speculative=speculative,
            heard=self.history.last_heard,
        )

    # What it gives

    def _output(self, response: _Response, output: Output) -> None:
        id, keep = response.id, not (response.request and response.request.aside)
        if isinstance(output, str):
            if keep:
                self.history.say(id, output)
            spoken = response.reply.spoken
            self._tell(OutputText(response_id=id, delta=output, kind="speech" if spoken else "text"))
        elif isinstance(output, Speech):
            self._audio(response, output)
        elif isinstance(output, ToolRequest):
            self._arbiter.open_call(output.call_id, id)
            self.history.append(ToolCallItem(call_id=output.call_id, name=output.name, arguments=output.arguments))
            call = ToolCall(response_id=id, call_id=output.call_id, name=output.name, arguments=output.arguments)
            self._tell(call)
        else:
            self.report_usage(output[0], output[1], response_id=id)

    def _audio(self, response: _Response, speech: Speech) -> None:
        duration_ms = self._audio_ms(len(speech.pcm))
        self._player.received(response.id, duration_ms, self._clock(), speech.text, speech.words)
        if speech.pcm:
            self._tell(OutputAudio(response_id=response.id, pcm=speech.pcm, offset_ms=response.offset_ms))
        response.offset_ms += duration_ms

    def report_usage(
        self, seat: str, usage: Usage, *, response_id: str | None = None, turn_id: str | None = None
    ) -> None:
        """Tell what a stage used."""
        model = self._seats.names[seat]
        self._tell(
            UsageReported(units=usage.units, model=model, basis=usage.basis, response_id=response_id, turn_id=turn_id)
        )

    def _end(
        self, response: _Response, status: Literal["completed", "interrupted", "failed"], fault: Fault | None = None
    ) -> None:
        if self._config.provider_events:
            self._tell(ProviderEvent(kind="cascade.timing", payload=self._timing(response)))
        if status == "failed":
            self._delivery.purge(response.id)
        self._tell(ResponseEnded(response_id=response.id, status=status, fault=fault))
        if (playback := self._player.response(response.id)) and not playback.settled:
            playback.ended = True
            at = asyncio.get_running_loop().call_at(playback.ends_at, self._played_out, response.id)
            self._timers[response.id] = at
        self._current = None
        if following := self._arbiter.ended():
            self._start(following)

    def _timing(self, response: _Response) -> dict[str, object]:
        times = response.reply.times
        return {
            "response_id": response.id,
            "turn_id": response.turn_id,
            "guessed": response.guessed_text is not None,
            "asked": times.asked,
            "first_token": times.first_token,
            "first_clause": times.first_clause,
            "first_speech": times.first_speech,
            "released": times.released,
        }

    # What was heard

    def _heard_nothing(self, response_id: str) -> None:
        """A response was stopped before it had any audio."""
        self.history.hear(response_id, "")
        self._tell(OutputHeard(response_id=response_id, heard_ms=0.0, text="", basis="measured"))

    def _played_out(self, response_id: str) -> None:
        """A player that plays at once has played it all. One that reports is waited for."""
        playback = self._player.response(response_id)
        if playback and playback.played_ms is None:
            self._settle_playback(response_id)

    def _settle_playback(self, response_id: str) -> None:
        """It is final what was heard of a response: all of it, or up to now. A player may still correct that."""
        if timer := self._timers.pop(response_id, None):
            timer.cancel()
        playback = self._player.settle(response_id, self._clock())
        if playback is None:
            return
        text = playback.text_until(playback.heard_ms)
        if playback.heard_ms < playback.received_ms:
            self.history.hear(response_id, text)
        self._tell(OutputHeard(response_id=response_id, heard_ms=playback.heard_ms, text=text, basis=playback.basis))

    def _withdraw(self) -> None:
        self.drop_guess()
        for request in self._arbiter.withdraw():
            for command_id in request.settles:
                self._settle(command_id, _WITHDRAWN)

    # Small things

    def _cancel(self, response: _Response) -> None:
        response.reply.drop()
        response.task.cancel()

    def _audio_ms(self, size: int) -> float:
        return self._seats.tts.traits.format.ms(size)

    def _tell(self, event: Event) -> None:
        self._delivery.put(event)


_WITHDRAWN = Fault(category="closed", code="withdrawn", message="Interrupted before the response started.")
