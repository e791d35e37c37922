"""What is written down of a call, and whether its sound may be.

what it owns              from      until
what writes, a task       `start`   `aclose`
the question for consent  `start`   it is answered, or `stop`
the store, if it is ours            `aclose`
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.commands import Command
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import Event
from voicebridge.contract.fault import Fault
from voicebridge.core.chronicle import Chronicle

from .call_policy import Consent
from .call_setup import CallSetup
from .scribe import Scribe

__all__ = ["CallRecord"]

_CONSENT_S = 0.05


class CallRecord:
    """Gets everything that is told and sent. Without a store nothing of it is kept.

    Args:
        faulted: gets what goes wrong with the store.
    """

    def __init__(self, setup: CallSetup, policy: CallPolicy, faulted: Callable[[Fault], None]) -> None:
        self._setup, self._asks, self._faulted = setup, policy.consent is not None, faulted
        self._consent = Consent(policy)
        self._asked: asyncio.Task[None] | None = None
        self._scribe: Scribe | None = None

    async def resume(self) -> tuple[Any, ...]:
        """What was said in the conversation before.

        Raises:
            ConfigError: the store keeps audio, and nobody is asked for consent.
            VoiceBridgeError: the store can't be read.
        """
        setup = self._setup
        if setup.store is None:
            return ()
        if setup.store.keeps_audio and not self._asks:
            raise ConfigError(
                "This store keeps audio, and nobody is asked for consent: give policy=CallPolicy(consent=...), a "
                "function that returns True once the caller has agreed, or keep the words alone.",
                code="no_consent",
            )
        self._scribe = Scribe(
            setup.store,
            setup.conversation,
            input_format=setup.config.input_format,
            output_format=setup.config.output_format,
            faulted=self._faulted,
            may_record=not self._asks,
        )
        return tuple(await self._scribe.resume())

    def start(self, chronicle: Chronicle) -> None:
        """Write down what is in the chronicle, and begin to ask."""
        if self._scribe is not None:
            self._scribe.start(chronicle.changed)
        if self._asks:
            self._asked = asyncio.create_task(self._ask(), name="session: consent")

    async def _ask(self) -> None:
        given = await self._consent.ask()
        if self._scribe is not None:
            self._scribe.may_record = given

    async def settle(self) -> None:
        """Who has consented before the call says so at once, and nothing of the call is to be missing."""
        if self._asked is not None and self._scribe is not None:
            await asyncio.wait({self._asked}, timeout=_CONSENT_S)

    # The call

    def heard_audio(self, pcm: bytes) -> None:
        """The user's voice, fifty times a second."""
        if self._scribe is not None:
            self._scribe.heard_audio(pcm)

    def sent(self, command: Command) -> None:
        """A command was sent."""
        if self._scribe is not None:
            self._scribe.sent(command)

    def happened(self, event: Event) -> None:
        """Something was told."""
        if self._scribe is not None:
            self._scribe.happened(event)

    # The end

    async def stop(self) -> None:
        """Nobody is asked any more, and nothing more of the sound is kept."""
        await self._consent.aclose()
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.gather(self._asked, return_exceptions=True)

    async def aclose(self) -> None:
        """Write down what is left, and let go of the store."""
        try:
            if self._scribe is not None:
                await self._scribe.aclose()
        finally:
            if self._setup.store is not None and self._setup.owns_store:
                await self._setup.store.aclose()
