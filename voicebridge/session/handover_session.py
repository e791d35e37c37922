"""A session that outlives its connections: lost, at the end of their time, or left for another backend.

Make before break: the next connection is opened while the old one serves on. The conversation goes over as text, and
the user's voice since the last turn whose text is known as audio. An answer that was being spoken when its connection
was lost is over (`lost`), and the next one goes on with it.

what it owns                  from                        until
the legs (see legs.py)        `start`                     `aclose`
the user's latest audio       30 s of it, always
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from voicebridge.contract.account import Account
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import (
    Command,
    Configure,
    Interrupt,
    SendAudio,
)
from voicebridge.contract.config import SessionConfig, TurnPolicy
from voicebridge.contract.errors import SessionClosed
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
)
from voicebridge.contract.fault import Fault
from voicebridge.core.briefing import Briefing
from voicebridge.core.candidates import Candidates
from voicebridge.core.chronicle import Chronicle
from voicebridge.core.ledger import AudioLedger
from voicebridge.core.retry import RetryPolicy
from voicebridge.transport.delivery import Delivery

from .candidate import Candidate
from .courier import CLOSED, Courier
from .legs import Legs
from .settings import Settings

__all__ = ["HandoverSession", "handing_over"]

_log = logging.getLogger("voicebridge")


@asynccontextmanager
async def handing_over(
    config: SessionConfig,
    candidates: Sequence[Candidate],
    chronicle: Chronicle | None = None,
    *,
    policy: RetryPolicy | None = None,
    chance: Callable[[], float] = random.random,
) -> AsyncIterator[HandoverSession]:
    """A session that survives its connections, as long as the policy's patience lasts.

    Args:
        config: what holds on every backend: see `OWN_SETTINGS`.
        candidates: the preferred one first.
        chance: gives numbers from 0 to 1, for the random part of waits.

    Raises:
        ConfigError: the backend refuses the config.
    """
    session = HandoverSession(Settings(config, candidates), chronicle or Chronicle(), policy or RetryPolicy(), chance)
    try:
        await session.start()
        yield session
    finally:
        await session.aclose()


class HandoverSession:
    """A `VoiceSession` over one leg after another, in the formats of its settings. Made by `handing_over`.

    Args:
        told: gets every event in place of the queue of those who iterate. It puts there what they should see.
        playing: whether an answer is still being played.
    """

    def __init__(
        self,
        settings: Settings,
        chronicle: Chronicle,
        policy: RetryPolicy,
        chance: Callable[[], float] = random.random,
        *,
        told: Callable[[Event], None] | None = None,
        playing: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        shared = settings.shared
        self._clock = asyncio.get_running_loop().time
        self.delivery = Delivery(shared.output_format, self._clock)
        self._told = told or self.delivery.put
        self.briefing = Briefing(chronicle, shared.input_format, settings.candidates[0].backend.capabilities)
        settings.changed = self._heed_turns
        self._heed_turns()
        self.ledger = AudioLedger(shared.input_format, shared.output_format)
        self.briefing.backlog.on_lost = lambda start, end: self.ledger.dropped(start, end, "too_old")
        self._courier = Courier(settings, self.briefing, self.ledger, self.delivery, self._told)
        self._legs = Legs(
            settings,
            self.briefing,
            self._courier,
            self.delivery,
            Candidates(settings.candidates, policy, chance),
            policy.slow_after_s,
            self._clock,
            tell=self._told,
            playing=playing,
            over=self._finish,
        )
        self._closed = False
        self._closing: asyncio.Task[None] | None = None

    # What it is

    @property
    def capabilities(self) -> Capabilities:
        """What the backend that serves can do, in the formats of this session."""
        leg = self._courier.leg
        return self._legs.capabilities if leg is None or leg.session is None else leg.session.capabilities

    @property
    def backend(self) -> str:
        """The name of the backend that has the call, or had it last."""
        return self._legs.had_by.name

    @property
    def turns(self) -> TurnPolicy:
        """How turns are treated now."""
        return self._settings.shared.turns

    def _heed_turns(self) -> None:
        self.briefing.answer_due.auto_respond = self.turns.auto_respond and self.turns.mode != "manual"

    @property
    def generation(self) -> int:
        """The number of the leg that has the call: how often the call was handed to one."""
        return self._legs.handed

    def settings(self) -> dict[str, Any]:
        """What the leg that has the call is set to: fields of `SessionConfig`, and `backend`, as it was named."""
        leg = self._courier.leg
        candidate = self._settings.candidates[0] if leg is None else leg.candidate
        config = self._settings.config(candidate)
        settings = {name: getattr(config, name) for name in type(config).model_fields}
        return settings | {"backend": candidate.spec, "api_key": candidate.keys or config.api_key}

    def can_truncate(self, response_id: str) -> bool:
        """Whether the backend that has the call can be made to forget what was not heard of a response."""
        leg = self._courier.leg
        return leg is not None and leg.names.has(response_id) and self.capabilities.truncate != "none"

    def account(self) -> Account:
        """Where every sample is, both ways."""
        self._courier.count_delivered()
        return self.ledger.account()

    def moved(self) -> None:
        """Somebody begins or ends to speak. Costs nothing while no move is planned."""
        self._legs.moved()

    def can_abandon(self, response_id: str) -> bool:
        """Whether a response runs, and another backend could give it."""
        return not self._closed and self._legs.can_abandon(response_id)

    def abandon(self, response_id: str, fault: Fault) -> None:
        """The backend that has the call is of no use: another one goes on with it, and gives the answer."""
        self._legs.abandon(response_id, fault)

    # Its life

    async def end(self, fault: Fault) -> None:
        """End the session as if its backend had."""
        self._finish(fault)
        await self.aclose()

    async def start(self) -> None:
        """Begin to dial.

        Raises:
            ConfigError: the backend refuses the config.
        """
        self._legs.start()
        await asyncio.shield(self._legs.opened)

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self.delivery)

    # Commands

    async def send(self, command: Command) -> None:
        """Give a command. See `VoiceSession.send`. A `Configure` may also set `backend`, to a `Candidate`."""
        if self._closed:
            raise SessionClosed("The session is over: open a new one with voicebridge.connect.", command_id=command.id)
        if isinstance(command, SendAudio):
            await self.send_audio(command)
            return
        if isinstance(command, Interrupt):
            self.briefing.heeded(command)
        elif isinstance(command, Configure) and not self._settings.is_live(command.patch, self.capabilities):
            self._legs.move(command)
            return
        await self._courier.take(command)

    def send_audio(self, command: SendAudio) -> Awaitable[None]:
        """`send` for what comes fifty times a second."""
        if self._closed:
            raise SessionClosed("The session is over: open a new one with voicebridge.connect.", command_id=command.id)
        self._legs.watch_line()
        return self._courier.take_audio(command)

    # The end

    def _finish(self, fault: Fault | None) -> None:
        """The end, for what waits as well."""
        if self._closed and fault is not None:
            return
        self._closed = self._courier.closed = True
        self._legs.stop()
        self._legs.give_back_keys()
        told = False
        try:
            self._legs.let_go(fault)
            self._courier.give_up()
            for command_id in self._settings.end_move(done=False):
                self._told(CommandSettled(command_id=command_id, fault=CLOSED))
            if fault is not None:
                self._told(BackendError(fault=fault, fatal=True))
                told = True
        except Exception:  # whatever it was, the end must be told
            _log.exception("A session did not end in order")
        self.delivery.end(fault, told=told)

    async def aclose(self) -> None:
        """End the session. Takes some seconds at the most; cancelled, it goes on all the same."""
        if self._closing is None:
            self._closed = self._courier.closed = True
            self._legs.stop()
            self.delivery.purge()  # nothing waits for room any more
            self._closing = asyncio.create_task(self._close(), name="handover session: close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self._legs.closed()
        self._finish(None)
        self._courier.count_delivered()
        self.ledger.close(self._courier.sent_upto)
