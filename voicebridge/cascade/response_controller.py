"""The answering half of a cascade: which response runs, and what of it is told.

what it owns                 from                          until
the running response's task  `_start`, `guess`             it ends, `interrupt`, or `stop`
the guess's task             `guess`                       adopted by `_start`, `drop_guess`, or `stop`
cancelled tasks              they are cancelled            they are gone; `open_tasks` are awaited at the close
playback                     see playback_tracker.py
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
from voicebridge.transport.delivery import Delivery

from .lineup import ServedUsage
from .playback_tracker import PlaybackTracker
from .reply import Output, Reply, StageError
from .seats import Seats
from .speculation_count import SpeculationCount
from .stage_fault import fault_of
from .whole_text import whole_text

__all__ = ["WITHDRAWN", "ResponseController"]

WITHDRAWN = Fault(category="closed", code="withdrawn", message="Interrupted before the response started.")


@dataclass(slots=True)
class _Response:
    """A response from the moment its reply is being made, which for a guess is before it has an id."""

    id: str = ""
    reply: Reply = field(init=False)
    request: Request | None = None
    turn_id: str = ""
    guessed_text: str | None = None
    offset_ms: float = 0.0
    task: asyncio.Task[None] = field(init=False)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    told: bool = False
    """Something of it was passed on."""
    broken: bool = False
    """It failed while it was a guess, and another try may help: nobody has missed it yet."""

    @property
    def aside(self) -> bool:
        return self.request is not None and self.request.aside


class ResponseController:
    """Starts, holds back, adopts, stops and accounts for responses.

    Args:
        delivery: where events go; its undelivered audio is purged when a response is stopped.
        settle: tells the fate of a command.
        timeout_s: the longest wait for a stage's next output.
        keep_markup: see `Reply`.
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
        keep_markup: bool = False,
    ) -> None:
        self.history = History(history)
        self.playback = PlaybackTracker(self.history, delivery)
        self.speculation = SpeculationCount()
        self._seats, self._config, self._timeout_s = seats, config, timeout_s
        self._keep_markup = keep_markup
        self._delivery, self._settle = delivery, settle
        self._arbiter = Arbiter()
        self._arbiter.open_earlier_calls(self.history.open_calls())
        self._current: _Response | None = None
        self._guess: _Response | None = None
        self.open_tasks: set[asyncio.Task[None]] = set()
        """Of replies, cancelled ones included, that are not gone yet."""
        self._count = 0

    def configure(self, config: SessionConfig) -> None:
        """Answer with other settings from the next response on. A guess made with the old ones is dropped."""
        self._config = config
        self.drop_guess()

    # Asking for responses

    def ask(self, request: Request) -> None:
        """Respond now, or when the running response has ended and the user has the floor no more."""
        if ready := self._arbiter.ask(request):
            self._start(ready)

    def user_speaks(self, speaks: bool) -> None:
        """Whether the user has the floor."""
        self._arbiter.user_speaks = speaks

    def resume(self) -> None:
        """Start what waited for the user, if it may start now."""
        if ready := self._arbiter.resume():
            self._start(ready)

    def append(self, item: Item) -> None:
        """Add to the conversation. A guess did not know of it."""
        self.drop_guess()
        self.history.append(item)

    def guess(self, turn_id: str, text: str) -> None:
        """Begin to answer a turn that may be over. Nothing of it is told before `commit`."""
        self.drop_guess()
        if self._arbiter.busy or self._seats.llm.traits.speculative == "unsafe":
            return
        self.speculation.guesses += 1
        response = _Response(turn_id=turn_id, guessed_text=text)
        said = MessageItem(role="user", text=text)
        self._make(response, self.prompt((said,), speculative=True))
        self._guess = response

    @property
    def guessing(self) -> bool:
        """Whether an answer is being made on a guess."""
        return self._guess is not None

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

    def commit(self, turn_id: str, text: str, *, respond: bool, command_id: str | None) -> None:
        """The user's turn joins the conversation, and is answered if `respond`; by the guess, if that was right."""
        if self._guess and (self._guess.turn_id != turn_id or self._guess.guessed_text != text or not respond):
            self.drop_guess()
        self.history.append(MessageItem(role="user", text=text))
        if respond:
            self.ask(Request(cause="user", answers=(*((command_id,) if command_id else ()), turn_id)))

    def tool_result(self, command_id: str, result: ToolResultItem, *, respond: bool) -> bool:
        """Take the answer to a call, settle the command, and respond once all calls are answered.

        False if no such call is open.
        """
        if not self._arbiter.knows_call(result.call_id):
            return False
        self.append(result)
        self._settle(command_id, None)
        if request := self._arbiter.answer_call(result.call_id, command_id, respond=respond):
            self.ask(request)
        return True

    # Stopping them

    def barge_in(self) -> None:
        """The user speaks: stop what runs or plays. What was asked for waits for the user."""
        self.drop_guess()
        self._stop(self._current, self.playback.unsettled(), {})

    def interrupt(self, response_id: str | None, heard: Mapping[str, float]) -> None:
        """Stop a response, or all that run or are asked for, and keep only what was heard of them."""
        running = self._current
        if response_id is None:
            self._withdraw()
            ids = {*self.playback.unsettled(), *heard}
        else:
            ids = {response_id, *heard}
        stopped = running if running and response_id in (None, running.id) else None
        if running and not stopped and running.id in ids:
            ids.discard(running.id)  # it was not to be stopped: this is no more than a report
            self.playback.report(running.id, heard[running.id])
        if heard:
            self.drop_guess()
        self._stop(stopped, sorted(ids), heard)

    def stop(self) -> None:
        """The session is over: open responses end as lost, requests are given up. Nothing more is told of them."""
        self.drop_guess()
        self.playback.close()
        if lost := self._current:
            self._current = None
            self._cancel(lost)
            self._tell(ResponseEnded(response_id=lost.id, status="lost", reason="closed"))
        self._withdraw()

    def _stop(self, response: _Response | None, ids: Iterable[str], heard: Mapping[str, float]) -> None:
        if response:
            self._cancel(response)
        self.playback.cut(ids, heard)
        if response:
            self._end(response, "interrupted")

    def _withdraw(self) -> None:
        self.drop_guess()
        for request in self._arbiter.withdraw():
            for command_id in request.settles:
                self._settle(command_id, WITHDRAWN)

    # Making one

    def _start(self, request: Request) -> None:
        response = self._adopt(request) or _Response(turn_id=request.answers[-1] if request.answers else "")
        self._count += 1
        response.id, response.request, self._current = f"r{self._count}", request, response
        if response.guessed_text is None:
            self._make(response, request.say or self.prompt(request=request))
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
        guess = self._guess
        plain = request.modality is None and request.instructions is None
        fits = guess and not guess.broken and request.cause == "user" and request.answers[-1] == guess.turn_id
        if guess is None or not fits or not plain:
            self.drop_guess()
            return None
        self._guess = None
        self.speculation.used += 1
        return guess

    def _make(self, response: _Response, prompt: Prompt | str) -> None:
        modality = response.request.modality if response.request else None
        spoken = modality != "text" and "audio" in self._config.outputs
        response.reply = Reply(
            prompt,
            self._seats.llm,
            self._seats.tts if spoken else None,
            emit=partial(self._output, response),
            room=self._delivery.room,
            timeout_s=self._timeout_s,
            keep_markup=self._keep_markup,
        )
        response.task = asyncio.create_task(self._conduct(response), name=f"reply {response.id or 'guess'}")
        self.open_tasks.add(response.task)
        response.task.add_done_callback(self.open_tasks.discard)

    async def _conduct(self, response: _Response) -> None:
        fault = None
        try:
            await response.reply.run()
        except StageError as error:
            fault = fault_of(error.seat, error.__cause__ or error)
        except Exception as error:
            if not response.reply.dropped:  # else nobody cares how a stage takes being cancelled
                fault = fault_of("cascade", error)
        if response.reply.dropped:
            return
        response.broken = fault is not None and fault.retryable and not response.wanted.is_set()
        if response.broken:
            return  # the turn is answered without it
        await response.wanted.wait()
        anew = fault and fault.retryable and fault.code != "stage_timeout"  # it has had its time
        if anew and not response.told and response.guessed_text is not None:
            self._make_anew(response)
            return
        self._end(response, "failed" if fault else "completed", fault)

    def _make_anew(self, response: _Response) -> None:
        """A guess that was adopted has failed. It is no guess any more: now all models may be asked, and again."""
        if response is not self._current:
            return
        response.guessed_text = None
        self._make(response, self.prompt(request=response.request))
        response.reply.release()

    def prompt(
        self, items: tuple[Item, ...] = (), request: Request | None = None, *, speculative: bool = False
    ) -> Prompt:
        """What the model is asked: the conversation so far and `items`."""
        extra = request.instructions if request else None
        with_tools = self._seats.llm.traits.tools and not (request and request.aside)
        return Prompt(
            items=(*self.history.items(placeholders=True), *items),
            instructions=whole_text("\n".join(filter(None, (self._config.instructions, extra)))),
            tools=self._config.tools if with_tools else (),
            speculative=speculative,
            heard=self.history.last_heard,
        )

    # What it gives

    def _output(self, response: _Response, output: Output) -> None:
        response.told = response.told or not isinstance(output, tuple)
        if isinstance(output, str):
            if not response.aside:
                self.history.say(response.id, output)
            kind: Literal["speech", "text"] = "speech" if response.reply.spoken else "text"
            self._tell(OutputText(response_id=response.id, delta=output, kind=kind))
        elif isinstance(output, Speech):
            self._audio(response, output)
        elif isinstance(output, ToolRequest):
            self._call(response, output)
        else:
            self.report_usage(output[0], output[1], response_id=response.id)

    def _call(self, response: _Response, call: ToolRequest) -> None:
        self._arbiter.open_call(call.call_id, response.id)
        if not response.aside:
            self.history.append(ToolCallItem(call_id=call.call_id, name=call.name, arguments=call.arguments))
        self._tell(ToolCall(response_id=response.id, call_id=call.call_id, name=call.name, arguments=call.arguments))

    def _audio(self, response: _Response, speech: Speech) -> None:
        duration_ms = self._audio_ms(len(speech.pcm))
        self.playback.received(response.id, duration_ms, speech.text, speech.words)
        if speech.pcm:
            self._tell(OutputAudio(response_id=response.id, pcm=speech.pcm, offset_ms=response.offset_ms))
        response.offset_ms += duration_ms

    def report_usage(
        self, seat: str, usage: Usage, *, response_id: str | None = None, turn_id: str | None = None
    ) -> None:
        """Tell what a stage used."""
        model = usage.model if isinstance(usage, ServedUsage) else self._seats.names[seat]
        self._tell(
            UsageReported(units=usage.units, model=model, basis=usage.basis, response_id=response_id, turn_id=turn_id)
        )

    def _end(
        self, response: _Response, status: Literal["completed", "interrupted", "failed"], fault: Fault | None = None
    ) -> None:
        if response is not self._current:
            return  # it was stopped: its end has been told
        self._current = None
        if self._config.provider_events:
            self._tell(ProviderEvent(kind="cascade.timing", payload=self._timing(response)))
        if status == "failed":
            self._delivery.purge(response.id)
            self.playback.tell_expected(response.id)
        if status != "completed" and response.reply.spoken and not self.playback.sounds(response.id):
            self.playback.heard_nothing(response.id)
        self._tell(ResponseEnded(response_id=response.id, status=status, fault=fault))
        self.playback.response_ended(response.id, whole=status == "completed")
        if following := self._arbiter.ended(response.id):
            self._start(following)

    def _timing(self, response: _Response) -> dict[str, object]:
        times, count = response.reply.times, self.speculation
        return {
            "response_id": response.id,
            "turn_id": response.turn_id,
            "guessed": response.guessed_text is not None,
            "asked": times.asked,
            "first_token": times.first_token,
            "first_clause": times.first_clause,
            "first_speech": times.first_speech,
            "released": times.released,
            "guesses": count.guesses,
            "guesses_used": count.used,
            "marks": count.marks,
            "wasted_marks": count.wasted_marks,
            "wasted_characters": count.wasted_characters,
            "wasted_audio_ms": count.wasted_audio_ms,
        }

    # Small things

    def _cancel(self, response: _Response) -> None:
        response.reply.drop()
        response.task.cancel()

    def _audio_ms(self, size: int) -> float:
        return self._seats.tts.traits.format.ms(size)

    def _tell(self, event: Event) -> None:
        self._delivery.put(event)
