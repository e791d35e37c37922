"""A session that hands a call over keeps every promise of a session, over backends that need nothing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item
from voicebridge.contract.session import Backend, VoiceSession
from voicebridge.core.chronicle import Chronicle
from voicebridge.session.candidate import Candidate
from voicebridge.session.handover_session import handing_over
from voicebridge.testing.contract import BackendContract, Subject
from voicebridge.testing.script import Reply
from voicebridge.testing.scripted_session import ScriptedBackend

from ..testing.contract import test_cascade, test_scripted_session


class HandingOver:
    """A backend with sessions that outlive their connections, in the formats of the door. Is a `Backend`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def capabilities(self) -> Capabilities:
        return replace(self._backend.capabilities, formats_in=(DOOR_FORMAT,), formats_out=(DOOR_FORMAT,))

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[VoiceSession]:
        async with handing_over(config, [Candidate.of(self._backend, config)], Chronicle(history)) as session:
            yield session


class TestHandingOverScript(BackendContract):
    virtual_time = True
    test_hostile_server = None  # a script has no wire; over one, the realtime backend's tests have it

    def subject(self) -> Subject:
        subject = test_scripted_session.TestScriptedSession().subject()

        @asynccontextmanager
        async def dropping() -> AsyncIterator[Subject]:
            over = Fault(category="quota", message="There is no money left.")  # dialling again would not help
            backend = ScriptedBackend(Reply("one two three", word_s=1), moments=[(2.5, over)])
            yield replace(subject, backend=HandingOver(backend))

        return replace(subject, backend=HandingOver(subject.backend), dropping=dropping)


class TestHandingOverCascade(BackendContract):
    virtual_time = True
    test_hostile_server = test_lost_connection = None  # it has no wire

    def subject(self) -> Subject:
        subject = test_cascade.scripted_subject()
        return replace(subject, backend=HandingOver(subject.backend))
