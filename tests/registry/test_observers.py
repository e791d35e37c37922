"""Hooks that watch a session, and those that impose rules on it."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.commands import Command, SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BrokenPlugin
from voicebridge.contract.events import Event, OutputAudio, OutputText
from voicebridge.registry.hookspecs import hookimpl
from voicebridge.registry.observers import Observers, imposed_policies, observers
from voicebridge.registry.registry import Registry

SESSION: Any = object()
COMMAND = SendAudio(pcm=b"..")
TEXT = OutputText(response_id="r1", delta="My number is 555-0199.")
AUDIO = OutputAudio(response_id="r1", pcm=b"..", offset_ms=0.0)


@pytest.fixture
def empty(site: object) -> Registry:
    return Registry()


class Watcher:
    def __init__(self) -> None:
        self.seen: list[object] = []

    @hookimpl
    def command_sent(self, session: object, command: Command) -> None:
        assert session is SESSION
        self.seen.append(command)

    @hookimpl
    def event_received(self, event: Event) -> None:
        self.seen.append(event)

    @hookimpl
    def output_audio(self, audio: OutputAudio) -> None:
        self.seen.append(audio)


class Failing:
    calls = 0

    @hookimpl
    def event_received(self, session: object, event: OutputText) -> None:
        self.calls += 1
        raise ValueError(event.delta)


class Waiting:
    @hookimpl
    async def command_sent(self, command: Command) -> None:
        raise AssertionError("nobody waits for it")


def test_where_no_plugin_watches_there_is_nothing_to_call(empty: Registry) -> None:
    assert observers(empty) == Observers((), (), ())
    assert imposed_policies(SessionConfig(), empty) == ()


def test_a_plugin_that_only_brings_backends_is_not_called(empty: Registry) -> None:
    class Bringing:
        @hookimpl
        def register_backends(self, register: object) -> None: ...

    empty.join(Bringing())
    assert observers(empty) == Observers((), (), ())


def test_a_plugin_watches(empty: Registry) -> None:
    watcher = Watcher()
    empty.join(watcher)
    seen = observers(empty)
    for sent in seen.command_sent:
        sent(SESSION, COMMAND)
    for received in seen.event_received:
        received(SESSION, TEXT)
    for heard in seen.output_audio:
        heard(SESSION, AUDIO)
    assert watcher.seen == [COMMAND, TEXT, AUDIO]


def test_an_installed_plugin_watches(install: Any, site: object) -> None:
    install(
        "spy",
        """
        from voicebridge import hookimpl
        seen = []
        @hookimpl
        def output_audio(session, audio):
            seen.append(audio)
        """,
    )
    [heard] = observers(Registry()).output_audio
    heard(SESSION, AUDIO)
    import voicebridge_spy  # type: ignore[import-not-found]  # installed by this test

    assert voicebridge_spy.seen == [AUDIO]


def test_one_that_fails_is_off_for_that_session_alone(empty: Registry, caplog: pytest.LogCaptureFixture) -> None:
    failing, watcher = Failing(), Watcher()
    empty.join(failing)
    empty.join(watcher)
    first, second = observers(empty), observers(empty)
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            for received in first.event_received:
                received(SESSION, TEXT)
    assert failing.calls == 1
    assert watcher.seen == [TEXT] * 3, "the others go on"
    assert len(caplog.records) == 1
    assert "ValueError in event_received" in caplog.text
    assert "555-0199" not in caplog.text, "what was said does not get into the log"
    for received in second.event_received:
        received(SESSION, TEXT)
    assert failing.calls == 2


@pytest.mark.filterwarnings("error")
def test_a_coroutine_is_refused(empty: Registry, caplog: pytest.LogCaptureFixture) -> None:
    empty.join(Waiting())
    [sent] = observers(empty).command_sent
    sent(SESSION, COMMAND)
    sent(SESSION, COMMAND)
    assert caplog.text.count("write a plain function") == 1


def test_a_plugin_imposes_rules(empty: Registry) -> None:
    class Strict:
        @hookimpl
        def session_opening(self, config: SessionConfig) -> CallPolicy | None:
            return CallPolicy(max_duration_s=60) if config.language == "de" else None

    empty.join(Strict())
    assert imposed_policies(SessionConfig(), empty) == ()
    assert imposed_policies(SessionConfig(language="de"), empty) == (CallPolicy(max_duration_s=60),)


@pytest.mark.parametrize("answer", [ValueError("no"), True])
def test_no_call_begins_without_the_rules(empty: Registry, answer: object) -> None:
    class Broken:
        @hookimpl
        def session_opening(self, config: SessionConfig) -> object:
            if isinstance(answer, Exception):
                raise answer
            return answer

    empty.join(Broken(), "strict")
    with pytest.raises(BrokenPlugin, match="'strict'"):
        imposed_policies(SessionConfig(), empty)
