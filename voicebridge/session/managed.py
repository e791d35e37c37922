"""The session that an application gets: it outlives its backends, knows what was heard, and keeps a call's rules.

Each part is a machine of its own; this is where their events meet.

a backend's event -> disclosure -> the agent's voice -> tools, limits, history -> the last hook -> the application
a command         -> what was heard               -> history -> the backend that has the call

what it owns                     from          until
the carrier: legs and history    `start`       `aclose`
what runs tools, what writes     `start`       `aclose`, before the carrier
the history down
a timer                          a machine     it is due, or another one is sooner; `aclose`
                                 names a time
tasks that send what a machine   an event      they are sent; `aclose`
asks for
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from voicebridge.contract.account import Account, Disclosed
from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import (
    Command,
    Configure,
    Interrupt,
    ReportPlayed,
    SendAudio,
)
from voicebridge.contract.errors import ConfigError, SessionClosed, Unsupported, VoiceBridgeError
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    Interruption,
    OutputAudio,
    OutputHeard,
    ResponseEnded,
    ToolCall,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.session import Backend
from voicebridge.core.call_limits import CallLimits
from voicebridge.core.chronicle import Chronicle
from voicebridge.core.disclosure import DisclosureGate, Withheld
from voicebridge.core.interruption_policy import Signals, Verdict
from voicebridge.core.policy_check import check_disclosure, check_usage
from voicebridge.core.silence_watch import SilenceWatch
from voicebridge.registry.observers import imposed_policies, observers

from .agent_voice import AgentVoice
from .call_policy import OutputGuard, combined_policy, redactor
from .call_record import CallRecord
from .call_setup import CallSetup
from .candidate import Candidate, config_fields
from .command_check import check
from .courier import CLOSED
from .handover_session import HandoverSession
from .heard_notes import HeardNotes
from .log_redaction import KnownSecrets, redacted_logs
from .own_commands import OwnCommands
from .settings import Settings
from .tool_desk import ToolDesk

__all__ = ["ManagedSession", "managed"]

_log = logging.getLogger("voicebridge")


@asynccontextmanager
async def managed(setup: CallSetup) -> AsyncIterator[ManagedSession]:
    """Begin a call.

    Raises:
        ConfigError: a setting does not fit, or no backend takes the config.
    """
    policy = combined_policy(setup.policy, imposed_policies(setup.config))
    for candidate in setup.candidates:
        check_disclosure(policy, candidate.backend.capabilities, setup.config.outputs, candidate.name)
        check_usage(policy, candidate.backend.capabilities, candidate.name)
    session = ManagedSession(setup, policy)
    with redacted_logs(session.secrets, redactor(policy)):
        try:
            await session.start()
            yield session
        finally:
            await session.aclose()


class ManagedSession:
    """A `VoiceSession` over any backends. Made by `managed`."""

    def __init__(self, setup: CallSetup, policy: CallPolicy) -> None:
        self._setup, self._policy = setup, policy
        config = setup.config
        self._clock = asyncio.get_running_loop().time
        self._observers = observers()
        self.secrets = KnownSecrets()
        """Out of the logs."""
        self._voice = AgentVoice(config.output_format, self._verdict, self._purge)
        self._gate = DisclosureGate(policy, config.output_format) if policy.disclosure else None
        self._limits = CallLimits(policy) if policy.limited else None
        self._silence = SilenceWatch(config.output_format)
        self._record = CallRecord(setup, policy, lambda fault: self._put([BackendError(fault=fault)]))
        self._notes: HeardNotes | None = None
        self._carrier: HandoverSession | None = None
        self._desk: ToolDesk | None = None
        self._own = OwnCommands()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._guard: OutputGuard | None = None
        self._closed = False

    # What it is

    @property
    def carrier(self) -> HandoverSession:
        """What carries the call over its connections."""
        assert self._carrier is not None, "the session was not started"
        return self._carrier

    @property
    def capabilities(self) -> Capabilities:
        """What the backend that has the call can do."""
        return self.carrier.capabilities

    @property
    def backend(self) -> str:
        """The spec of the backend that has the call."""
        return self.carrier.backend

    @property
    def agent(self) -> str | None:
        """The name of the team's member who has the floor."""
        agent = None if self._desk is None else self._desk.agent
        return None if agent is None else agent.name

    @property
    def conversation(self) -> str:
        """The name of the conversation in its store."""
        return self._setup.conversation

    @property
    def history(self) -> tuple[Any, ...]:
        """What was said so far: items, answers cut to what was heard. A later process that goes on with the
        conversation is told the same.

        The store has more of each: `await store.load(session.conversation)` gives records with all that was said, and
        the `key` by which `await store.audio(session.conversation, key)` gives its sound, where that is kept.
        """
        return self.carrier.briefing.chronicle.items()

    @property
    def account(self) -> Account:
        """Where every sample is, both ways."""
        return self.carrier.account()

    @property
    def disclosure(self) -> Disclosed | None:
        """When the disclosure of the policy was made, and how that is known. None: not yet, or there is none."""
        return None if self._gate is None else self._gate.disclosed

    @property
    def withheld_ms(self) -> float:
        """Milliseconds of the agent's voice that `CallPolicy.output_audio` did not give back: silence was delivered."""
        return 0.0 if self._guard is None else self._setup.config.output_format.ms(self._guard.withheld_bytes)

    def settings(self) -> dict[str, Any]:
        """What the call is set to now: fields of `SessionConfig`, and `backend`."""
        return self.carrier.settings()

    # Its life

    async def start(self) -> None:
        """Begin to dial.

        Raises:
            ConfigError: no backend takes the config.
            VoiceBridgeError: the store can't be read.
        """
        setup, config = self._setup, self._setup.config
        chronicle = Chronicle((*await self._record.resume(), *setup.said))
        for candidate in setup.candidates:
            self._learn(candidate)
        # A backend that stops at the user's first sound would never get through its disclosure.
        decides = setup.interruption is not None or (self._gate is not None and self._policy.disclosure_as == "speech")
        settings = Settings(config, setup.candidates, decides_interruptions=decides)
        self._carrier = carrier = HandoverSession(
            settings, chronicle, setup.retry, told=self._told, playing=self._is_playing
        )
        self._notes = HeardNotes(carrier)
        carrier.delivery.on_dropped = self._dropped
        carrier.delivery.on_taken = self._audio_taken
        if self._policy.output_audio is not None:
            self._guard = OutputGuard(self._policy.output_audio, config.output_format, lambda error: self._put([error]))
        tools = setup.team or setup.toolbox
        if tools is not None:
            self._desk = ToolDesk(self, tools, setup.called, setup.spec, keys=setup.keys, **setup.tools.options)
        self._record.start(chronicle)
        await carrier.start()
        await self._record.settle()

    async def aclose(self) -> None:
        """End the session. Takes some seconds at the most; cancelled, it goes on all the same."""
        self._closed = True
        self._set_timer(None)
        if self._carrier is not None:
            self._put(self._voice.end(self._clock()))
        stopped = False
        try:
            await self._stop()
            stopped = True
        finally:
            if self._closing is None:
                self._closing = asyncio.create_task(self._let_go(stopped), name="session: close")
            await asyncio.shield(self._closing)

    async def _stop(self) -> None:
        """End what runs here, but for whoever called."""
        if self._desk is not None:
            await self._desk.aclose()
        await self._record.stop()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _let_go(self, stopped: bool) -> None:
        try:
            if not stopped:
                await self._stop()
        finally:
            await self._leave()

    async def _leave(self) -> None:
        try:
            if self._carrier is not None:
                await self._carrier.aclose()
        finally:
            await self._record.aclose()

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self.carrier)

    # Commands

    async def send(self, command: Command) -> None:
        """Give a command. See `VoiceSession.send`. `Configure` also takes `backend`: see `switch`."""
        inside = self._desk is not None and self._desk.owns(command.id)  # before it is settled, and so forgotten
        await self._taken(command)
        if not inside:
            for seen in self._observers.command_sent:
                seen(self, command)

    async def _taken(self, command: Command) -> None:
        carrier = self.carrier
        if type(command) is not SendAudio or type(command.pcm) is not bytes:
            check(command)
        if isinstance(command, SendAudio):  # fifty times a second
            if type(command.pcm) is not bytes:  # a buffer that its owner may fill again
                command = replace(command, pcm=bytes(command.pcm))
            await carrier.send_audio(command)
            self._record.heard_audio(command.pcm)
        elif isinstance(command, Interrupt):
            await self._interrupt(command)
        elif isinstance(command, ReportPlayed):
            self._put(self._voice.report(command, self._clock()))
            self._schedule()
            await carrier.send(command)
        else:
            await carrier.send(self._resolved(command) if isinstance(command, Configure) else command)
            self._record.sent(command)

    async def switch(self, backend: str | Backend, **settings: Any) -> None:
        """Move the call to another backend. Returns when it has moved, which it does when the moment is right:
        `SessionRestarted` tells of it. Cancelled, it moves all the same.

        Args:
            backend: a spec or a `Backend`.
            settings: what changes with it, such as `voice`: fields of `SessionConfig`, and the backend's own options.
                The `voice`, `options`, `api_key` (a key or a `KeyPool`), `base_url` and `model` of the old backend
                don't go along.

        Raises:
            ConfigError: there is no such backend, or a setting does not fit.
            VoiceBridgeError: it could not be opened; the call goes on as it was.
        """
        if backend is None:
            raise ConfigError("switch takes a backend, such as 'local': what else changes, Configure does.")
        command = Configure(patch={"backend": backend, **config_fields(settings)})
        fate, sent = self._own.awaited(command.id), False
        try:
            await self.send(command)
            sent = True
            fault = await fate
        finally:
            self._own.leave(command.id, sent=sent)
        if fault is not None and fault.code == CLOSED.code and fault.category == "closed":
            raise SessionClosed(fault.message, command_id=command.id)
        if fault is not None:
            raise VoiceBridgeError(fault, command_id=command.id)

    async def played(self, response_id: str, ms: float) -> None:
        """Tell how far the player has come: `ReportPlayed`."""
        await self.send(ReportPlayed(response_id=response_id, ms=ms))

    def _resolved(self, command: Configure) -> Configure:
        """With a candidate in place of what names a backend."""
        backend = command.patch.get("backend")
        if backend is None:
            return command
        candidate = self._setup.candidate_of(backend, command.patch)
        self._learn(candidate)
        capabilities = candidate.backend.capabilities
        if self._gate is not None and not self._gate.open:
            check_disclosure(self._policy, capabilities, self._setup.config.outputs, candidate.name)
        check_usage(self._policy, capabilities, candidate.name)
        return replace(command, patch={**command.patch, "backend": candidate})

    def _learn(self, candidate: Candidate) -> None:
        """Its keys are to be in no log."""
        self.secrets.add_those_in(candidate.own)
        if candidate.keys is not None:
            self.secrets.add(*candidate.keys.in_clear())

    def _verdict(self, signals: Signals) -> Verdict:
        """What the user's voice does to the agent's: nothing to the disclosure; what was said is answered after it."""
        if self._gate is not None and self._gate.response_id in signals.response_ids:
            return Verdict("ignore", "disclosure", answer=True)
        return self._setup.judge(self.carrier.turns)(signals)

    def _interrupted(self, command: Interrupt) -> Interrupt:
        if self._gate is not None and not self._gate.open:
            waiting = {one: 0.0 for one in self._gate.held if command.response_id in (None, one)}
            command = replace(command, heard={**waiting, **command.heard})
            self._do(self._gate.interrupted(command.response_id))
        completed, told = self._voice.interrupt(command, self._clock())
        self.carrier.delivery.purge(command.response_id)
        self._put(told)
        self._schedule()
        return completed

    async def _interrupt(self, command: Interrupt) -> None:
        """Silenced here, an answer is silent, whether or not the backend can be told to stop."""
        self._own.interrupts(command.id)
        try:
            await self.carrier.send(self._interrupted(command))
        except Unsupported:
            self._told(CommandSettled(command_id=command.id))
        except BaseException:
            self._own.forget(command.id)
            raise

    def _ask(self, command: Command) -> None:
        """Send what a machine asks for. Who sends has not to wait for room: commands that are no audio need none."""
        if self._closed:
            return
        self._own.add(command.id)
        self._spawn(self._sent(command), type(command).__name__)

    async def _sent(self, command: Command) -> None:
        try:
            await self.carrier.send(self._resolved(command) if isinstance(command, Configure) else command)
        except SessionClosed:
            return
        except VoiceBridgeError as error:
            self._own_settled(CommandSettled(command_id=command.id, fault=error.fault))
            self._schedule()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"session: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Events

    def _told(self, event: Event) -> None:
        """What the carrier tells."""
        if isinstance(event, OutputAudio):
            self.carrier.ledger.received(event.response_id, len(event.pcm))
            if self._gate is None or self._gate.open:
                self._sound(event)
            else:
                self._do(self._gate.happened(event, self._clock()))
            return
        if self._gate is None or self._gate.open:
            self._pass(event)
        else:
            self._do(self._gate.happened(event, self._clock()))
        self._schedule()

    def _do(self, effects: Iterable[Event | Command | Fault | Withheld]) -> None:
        """What the machines ask for."""
        for effect in effects:
            if isinstance(effect, OutputAudio):
                self._sound(effect)
            elif isinstance(effect, Event):
                self._pass(effect)
            elif isinstance(effect, Interrupt):
                self._ask(self._interrupted(effect))
            elif isinstance(effect, Command):
                self.carrier.briefing.answer_due.beside(effect.id)
                self._ask(effect)
            elif isinstance(effect, Withheld):
                self._dropped(effect.response_id, effect.size)
            else:
                self._spawn(self._end(effect), "end")

    def _sound(self, event: OutputAudio) -> None:
        """A piece of the agent's voice, fifty times a second."""
        if not self._voice.audio(event, self._clock()):
            self.carrier.ledger.undelivered(event.response_id, len(event.pcm))
            return
        silent = self._silence.heard(event.response_id, event.pcm)
        if self._guard is not None:
            event = self._marked(self._guard, event)
        delivery = self.carrier.delivery
        if not delivery.ended:
            self._record.happened(event)
            for seen in self._observers.output_audio:
                seen(self, event)
        delivery.put(event)
        if silent is not None:
            self._unheard(event.response_id, silent)

    def _marked(self, guard: OutputGuard, event: OutputAudio) -> OutputAudio:
        """A piece as the last hook gives it back."""
        withheld, marked = guard.withheld_bytes, guard(event)
        if guard.withheld_bytes != withheld and self._gate is not None:
            self._gate.silenced(event.response_id)
        return marked

    def _unheard(self, response_id: str, silent: Fault) -> None:
        """An answer that comes as silence: another backend gives it, if there is one."""
        if self._gate is not None:
            self._gate.silenced(response_id)
        self._put([BackendError(fault=silent)])
        if self.carrier.can_abandon(response_id):
            self._put(self._voice.unheard(response_id, self._clock()))
            self.carrier.abandon(response_id, silent)

    def _pass(self, event: Event) -> None:
        """An event that may be told."""
        if isinstance(event, CommandSettled):
            if self._own.is_own(event):
                self._own_settled(event)
                return
            event = self._own.told(event)
        elif isinstance(event, BackendError) and event.fatal:
            self._put(self._voice.end(self._clock()))
        desk = self._desk
        if desk is not None and desk.told(event, self.carrier.generation) and not isinstance(event, ToolCall):
            return  # the fate of a command of the desk's
        if isinstance(event, ResponseEnded):
            self._silence.ended(event.response_id)
            if event.status in ("lost", "failed"):
                self._keep_delivered(event.response_id)
        self._put(self._voice.happened(event, self._clock()))

    def _put(self, effects: Iterable[Event | Command]) -> None:
        """Tell the application, and whoever has to know; give the backend what follows."""
        delivery = self.carrier.delivery
        for effect in effects:
            if isinstance(effect, Command):
                self._ask(effect)
                continue
            if isinstance(effect, OutputHeard):
                self._heard(effect)
            if isinstance(effect, Interruption):
                self._decided(effect)
            over = delivery.ended  # nobody gets it any more
            delivery.put(effect)
            self._record.happened(effect)
            for seen in () if over else self._observers.event_received:
                seen(self, effect)
            if self._limits is not None:
                self._do(self._limits.happened(effect, self._clock(), self._audible()))
            if isinstance(effect, OutputHeard):
                if self._gate is not None and not self._gate.open:  # what it held back follows
                    self._do(one for one in self._gate.happened(effect, self._clock()) if one is not effect)
                self.carrier.moved()  # a move may have waited for it

    def _heard(self, heard: OutputHeard) -> None:
        """It is known how much of an answer was heard, or known better."""
        assert self._notes is not None
        if (note := self._notes.heard(heard)) is not None:
            self._ask(note)

    def _purge(self, response_id: str) -> None:
        self.carrier.delivery.purge(response_id)

    def _decided(self, decision: Interruption) -> None:
        if self._setup.on_interrupt is not None:
            try:
                self._setup.on_interrupt(decision)
            except Exception:
                _log.exception("on_interrupt failed")

    def _keep_delivered(self, response_id: str) -> None:
        """Who spoke is lost, or failed: what the application has of the answer will be heard to its end."""
        if expected := self._voice.clock.expected(response_id):
            self.carrier.briefing.chronicle.happened(expected)

    def _audio_taken(self, event: OutputAudio) -> None:
        """The application has a piece of the agent's voice, and plays it: fifty times a second."""
        if self._voice.clock.taken(event, self._clock()):
            self._schedule()

    def _dropped(self, response_id: str, size: int) -> None:
        """Audio that came, and that the application will not get."""
        self.carrier.ledger.undelivered(response_id, size)
        self._put(self._voice.clock.undelivered(response_id, self._setup.config.output_format.ms(size)))

    def _own_settled(self, settled: CommandSettled) -> None:
        """The fate of a command that a machine asked for."""
        if self._own.settle(settled):
            return
        for machine in (self._gate, self._limits):
            if machine is not None and machine.owns(settled.command_id):
                self._do(machine.happened(settled, self._clock()))
                return
        if settled.fault is not None and settled.fault.category not in ("closed", "unsupported"):
            self._put([BackendError(fault=settled.fault)])

    # Time

    def _audible(self) -> tuple[str, ...]:
        return self._voice.clock.audible(self._clock())

    def _is_playing(self) -> bool:
        return bool(self._audible())

    def _schedule(self) -> None:
        machines = (self._voice, self._gate, self._limits)
        times = [machine.due_at() for machine in machines if machine is not None]
        at = min((one for one in times if one is not None), default=None)
        if at != self._timer_at:
            self._set_timer(at)

    def _set_timer(self, at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = None if self._closed else at
        loop = asyncio.get_running_loop()
        self._timer = None if self._timer_at is None else loop.call_at(self._timer_at, self._due)

    def _due(self) -> None:
        self._timer = self._timer_at = None
        now = self._clock()
        self._put(self._voice.due(now))
        if self._gate is not None:
            self._do(self._gate.due(now))
        if self._limits is not None:
            self._do(self._limits.due(now, self._audible()))
        self.carrier.moved()
        self._schedule()

    async def _end(self, fault: Fault) -> None:
        """A rule of the call ends it."""
        await self.carrier.end(fault)
