"""A managed session keeps every promise of a session, over backends that need nothing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item
from voicebridge.contract.session import Backend, VoiceSession
from voicebridge.core.interruption_policy import InterruptionPolicy
from voicebridge.session.door import connect
from voicebridge.testing.contract import BackendContract, Subject
from voicebridge.testing.script import Reply
from voicebridge.testing.scripted_session import ScriptedBackend

from ..testing.contract import test_cascade, test_scripted_session


class Managed:
    """A backend whose sessions are those of `voicebridge.connect`. Is a `Backend`."""

    def __init__(self, backend: Backend, **settings: Any) -> None:
        self._backend, self._settings = backend, settings

    @property
    def capabilities(self) -> Capabilities:
        return replace(self._backend.capabilities, formats_in=(DOOR_FORMAT,), formats_out=(DOOR_FORMAT,))

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[VoiceSession]:
        settings = {name: getattr(config, name) for name in type(config).model_fields if name != "options"}
        key = settings.pop("api_key")
        api_key = None if key is None else key.get_secret_value()
        given = {"history": history, "api_key": api_key, **settings, **config.options, **self._settings}
        async with connect(self._backend, **given) as session:
            yield session


class TestManagedScript(BackendContract):
    virtual_time = True
    test_hostile_server = None  # a script has no wire; over one, the realtime backend's tests have it

    def subject(self) -> Subject:
        subject = test_scripted_session.TestScriptedSession().subject()

        @asynccontextmanager
        async def dropping() -> AsyncIterator[Subject]:
            over = Fault(category="quota", message="There is no money left.")  # dialling again would not help
            backend = ScriptedBackend(Reply("one two three", word_s=1), moments=[(2.5, over)])
            yield replace(subject, backend=Managed(backend))

        return replace(subject, backend=Managed(subject.backend), dropping=dropping)


class TestManagedCascade(BackendContract):
    virtual_time = True
    test_hostile_server = test_lost_connection = None  # it has no wire

    def subject(self) -> Subject:
        subject = test_cascade.scripted_subject()
        return replace(subject, backend=Managed(subject.backend))


class TestManagedByPolicy(BackendContract):
    """The session stops the agent itself; backends don't."""

    virtual_time = True
    test_hostile_server = test_lost_connection = None  # it has no wire
    test_no_barge_in = None  # a policy that is given decides, whatever `auto_interrupt` says

    def subject(self) -> Subject:
        subject = test_scripted_session.TestScriptedSession().subject()
        backend = ScriptedBackend(test_scripted_session.answer, ready_s=0.5, user=("please stop",))
        return replace(subject, backend=Managed(backend, interruption=InterruptionPolicy(protect_ms=0)))


class TestManagedCascadeByPolicy(BackendContract):
    virtual_time = True
    test_hostile_server = test_lost_connection = None  # it has no wire
    test_no_barge_in = None  # a policy that is given decides, whatever `auto_interrupt` says

    def subject(self) -> Subject:
        subject = test_cascade.scripted_subject()
        return replace(subject, backend=Managed(subject.backend, interruption=InterruptionPolicy()))
