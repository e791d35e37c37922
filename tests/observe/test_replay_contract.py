"""A recording is a backend like any other: each check's conversation is recorded, and checked again with its replay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.items import Item
from voicebridge.contract.session import Backend, VoiceSession
from voicebridge.observe.recorder import RecordedBackend
from voicebridge.observe.replay import Pace, ReplayBackend
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.contract import CHECKS, Subject, Verdict, run_check

from ..testing.contract import test_cascade, test_scripted_session

SUBJECTS: dict[str, Callable[[], Subject]] = {
    "session": test_scripted_session.TestScriptedSession().subject,
    "cascade": test_cascade.scripted_subject,
}


class Folders:
    """Where the sessions of a check are kept, one after the other."""

    def __init__(self, parent: Path) -> None:
        self._parent, self._count = parent, 0

    def __call__(self) -> Path:
        self._count += 1
        return self._parent / str(self._count)


class Replays:
    """Each session is the replay of the next recording. Is a `Backend`."""

    def __init__(self, capabilities: Capabilities, folders: Folders, pace: Pace) -> None:
        self.capabilities, self._folders, self._pace = capabilities, folders, pace

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[VoiceSession]:
        async with ReplayBackend(self._folders(), self._pace).connect(config, history, resume) as session:
            yield session


def with_backend(subject: Subject, wrap: Callable[[Backend], Backend]) -> Subject:
    """The subject, and the one that loses its server, with another backend."""
    dropping = subject.dropping
    if dropping is None:
        return replace(subject, backend=wrap(subject.backend))

    @asynccontextmanager
    async def dropped() -> AsyncIterator[Subject]:
        async with dropping() as lost:
            yield replace(lost, backend=wrap(lost.backend))

    return replace(subject, backend=wrap(subject.backend), dropping=dropped)


def recorded(name: str, subject: Subject, parent: Path) -> Verdict:
    """Carry out a check, each of its sessions recorded."""
    folders = Folders(parent)
    recording = with_backend(subject, lambda backend: RecordedBackend(backend, folders, in_thread=False))
    return run_in_virtual_time(run_check(CHECKS[name], recording))


def replayed(name: str, subject: Subject, parent: Path, pace: Pace) -> Verdict:
    """Carry out a check, each of its sessions a replay of the recorded one."""
    folders = Folders(parent)
    again = with_backend(subject, lambda backend: Replays(backend.capabilities, folders, pace))
    return run_in_virtual_time(run_check(CHECKS[name], again))


@pytest.mark.parametrize("pace", ["recorded", "instant"])
@pytest.mark.parametrize("source", SUBJECTS)
@pytest.mark.parametrize("name", [name for name in CHECKS if name != "hostile_server"])  # a replay has no wire
def test_replay_keeps_the_promise(name: str, source: str, pace: Pace, tmp_path: Path) -> None:
    if name == "unread_audio" or (name, pace) == ("nobody_reads", "recorded"):
        pytest.skip("a recording keeps the pace and the order of the one who read: here nobody did")
    first = recorded(name, SUBJECTS[source](), tmp_path)
    if first.status != "pass" and name == "lost_connection":
        pytest.skip("a cascade of scripted stages has no connection that could be lost")
    assert first.status == "pass", str(first)
    verdict = replayed(name, SUBJECTS[source](), tmp_path, pace)
    assert verdict.status == "pass", str(verdict)
