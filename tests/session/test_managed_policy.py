"""The rules of a call, kept by a whole session: in virtual time, over a scripted backend."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from typing import Any

import pytest

import voicebridge
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.commands import Interrupt, SendAudio, SendText
from voicebridge.contract.errors import ConfigError, SessionFailed
from voicebridge.contract.events import (
    BackendError,
    Event,
    OutputAudio,
    OutputText,
    ResponseEnded,
    SessionReady,
)
from voicebridge.core.policy_check import check_disclosure
from voicebridge.registry.hookspecs import hookimpl
from voicebridge.registry.registry import Registry, use_registry
from voicebridge.session.managed import ManagedSession
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.script import SCRIPTED_CAPABILITIES
from voicebridge.testing.scripted_session import ScriptedBackend

DISCLOSURE = "You are talking to an AI."
ANSWER = "Of course."


async def events_of(session: ManagedSession, seconds: float, told: list[Event] | None = None) -> list[Event]:
    """What is told in this time."""
    told = [] if told is None else told

    async def listen() -> None:
        async for event in session:
            told.append(event)

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(listen(), seconds)
    return told


def words(events: list[Event], kind: str = "speech") -> str:
    return "".join(event.delta for event in events if isinstance(event, OutputText) and event.kind == kind)


def voices(events: list[Event]) -> list[str]:
    """The responses that could be heard, in the order in which they began."""
    return list(dict.fromkeys(event.response_id for event in events if isinstance(event, OutputAudio)))


def test_the_disclosure_is_played_before_anything_else() -> None:
    async def call() -> None:
        backend = ScriptedBackend(ANSWER)
        async with voicebridge.connect(backend, policy=CallPolicy(disclosure=DISCLOSURE)) as session:
            await session.send(SendText(text="Can you help me?"))
            await session.send(SendAudio(pcm=bytes(DOOR_FORMAT.size(1_000))))
            first = await events_of(session, 0.5)
            assert words(first) == DISCLOSURE
            rest = await events_of(session, 10.0)
            assert words(rest) == ANSWER
            assert len(voices(first)) == len(voices(rest)) == 1
            assert voices(first) != voices(rest)
            spoken = [event for event in first + rest if isinstance(event, OutputAudio)]
            assert voices(first)[0] != spoken[-1].response_id
        account = session.account
        assert account.closed
        assert account.balanced, str(account)
        assert account.output.played == account.output.received
        assert account.input.delivered == account.input.captured == 24_000

    run_in_virtual_time(call())


def test_one_that_was_interrupted_is_said_again_before_the_answer() -> None:
    async def call() -> None:
        backend = ScriptedBackend(ANSWER)
        async with voicebridge.connect(backend, policy=CallPolicy(disclosure=DISCLOSURE)) as session:
            await session.send(SendText(text="Can you help me?"))
            told = await events_of(session, 0.5)
            await session.send(Interrupt(response_id=voices(told)[0]))
            await events_of(session, 20.0, told)
            said = [words([e for e in told if getattr(e, "response_id", None) == one]) for one in voices(told)]
            assert said == [DISCLOSURE, DISCLOSURE, ANSWER]
        assert session.account.balanced, str(session.account)

    run_in_virtual_time(call())


def test_everything_that_is_interrupted_while_it_waits_is_gone() -> None:
    async def call() -> None:
        backend = ScriptedBackend(ANSWER)
        async with voicebridge.connect(backend, policy=CallPolicy(disclosure=DISCLOSURE)) as session:
            await session.send(SendText(text="Can you help me?"))
            told = await events_of(session, 0.5)
            await session.send(Interrupt())
            await events_of(session, 20.0, told)
            ends = {event.response_id: event.status for event in told if isinstance(event, ResponseEnded)}
            assert [ends.pop(one) for one in voices(told)] == ["completed", "completed"], "the disclosure, twice"
            assert list(ends.values()) == ["interrupted"], "the answer, which nobody heard"
            said = [item.text for item in session.history]
            assert said[0] == "Can you help me?"
            assert said[-1] == DISCLOSURE
            assert ANSWER not in said
            [interrupt] = [one for one in backend.sessions[0].received if isinstance(one, Interrupt)]
            assert sorted(interrupt.heard.values()) == [0.0, pytest.approx(500)], "the backend forgets the answer, too"
        account = session.account
        assert account.balanced, str(account)

    run_in_virtual_time(call())


def test_in_writing_it_comes_at_once() -> None:
    async def call() -> None:
        policy = CallPolicy(disclosure=DISCLOSURE, disclosure_as="text")
        async with voicebridge.connect(ScriptedBackend(ANSWER), policy=policy) as session:
            await session.send(SendText(text="Can you help me?"))
            told = await events_of(session, 10.0)
            assert words(told, "text") == DISCLOSURE
            assert words(told) == ANSWER
            assert isinstance(told[0], SessionReady)

    run_in_virtual_time(call())


def test_a_backend_that_can_not_say_it_is_refused() -> None:
    async def call() -> None:
        can = replace(SCRIPTED_CAPABILITIES, respond=frozenset({"verb"}))
        backend, policy = ScriptedBackend(ANSWER, capabilities=can), CallPolicy(disclosure=DISCLOSURE)
        with pytest.raises(ConfigError, match="can't be asked"):
            check_disclosure(policy, can, {"audio"}, "a/b")
        with pytest.raises(ConfigError, match="can't be asked"):
            async with voicebridge.connect(backend, policy=policy):
                pass
        assert not backend.sessions

    run_in_virtual_time(call())


def test_nothing_passes_the_last_hook_unmarked() -> None:
    pieces = 0

    def mark(audio: OutputAudio) -> OutputAudio:
        nonlocal pieces
        pieces += 1
        if pieces == 2:
            raise ValueError("out of luck")
        return replace(audio, pcm=b"M" * len(audio.pcm))

    async def call() -> None:
        async with voicebridge.connect(ScriptedBackend(ANSWER), policy=CallPolicy(output_audio=mark)) as session:
            await session.send(SendText(text="Can you help me?"))
            told = await events_of(session, 10.0)
            heard = [event.pcm for event in told if isinstance(event, OutputAudio)]
            assert len(heard) == pieces > 1
            assert [set(pcm) for pcm in heard] == [{ord("M")}, {0}, *([{ord("M")}] * (pieces - 2))]
            assert [e.fault.code for e in told if isinstance(e, BackendError)] == ["output_hook_failed"]

    run_in_virtual_time(call())


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [({"max_duration_s": 30.0}, 30.0), ({"max_duration_s": 30.0, "say_at_limit": "Goodbye!"}, 30.5)],
)
def test_a_call_ends_at_its_limit(limits: dict[str, Any], seconds: float) -> None:
    async def call() -> None:
        loop = asyncio.get_running_loop()
        async with voicebridge.connect(ScriptedBackend(ANSWER), policy=CallPolicy(**limits)) as session:
            told: list[Event] = []
            with pytest.raises(SessionFailed) as raised:
                await events_of(session, 100.0, told)
            assert (raised.value.category, raised.value.fault.code) == ("planned_end", "limit_reached")
            assert words(told) == limits.get("say_at_limit", "")
            assert loop.time() == pytest.approx(seconds, abs=0.5)
        assert session.account.balanced, str(session.account)

    run_in_virtual_time(call())


def test_what_is_logged_during_a_call_is_redacted(caplog: pytest.LogCaptureFixture) -> None:
    async def call() -> None:
        async with voicebridge.connect(ScriptedBackend(ANSWER)):
            logging.getLogger("voicebridge").error("They said: %s", "jo@example.com")

    run_in_virtual_time(call())
    assert caplog.messages == ["They said: [email]"]


class Plugin:
    """Imposes rules, and watches."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    @hookimpl
    def session_opening(self) -> CallPolicy:
        return CallPolicy(max_duration_s=5, redact=lambda text: text)

    @hookimpl
    def command_sent(self, command: object) -> None:
        self.seen.append(type(command).__name__)

    @hookimpl
    def event_received(self, event: object) -> None:
        self.seen.append(type(event).__name__)

    @hookimpl
    def output_audio(self, session: ManagedSession, audio: OutputAudio) -> None:
        self.seen.append("voice")
        raise ValueError(session.backend)


def test_a_plugin_imposes_its_rules_and_sees_the_call(caplog: pytest.LogCaptureFixture) -> None:
    async def call() -> None:
        async with voicebridge.connect(ScriptedBackend(ANSWER), policy=CallPolicy(max_duration_s=60)) as session:
            await session.send(SendText(text="Can you help me?"))
            with pytest.raises(SessionFailed):
                await events_of(session, 100.0)
            assert asyncio.get_running_loop().time() < 10

    plugin, plugins = Plugin(), Registry(allow=[])
    plugins.join(plugin, "strict")
    before = use_registry(plugins)
    try:
        with caplog.at_level(logging.WARNING):
            run_in_virtual_time(call())
    finally:
        use_registry(before)
    assert {"SendText", "SessionReady", "ResponseStarted", "OutputHeard", "ResponseEnded"} <= set(plugin.seen)
    assert "OutputAudio" not in plugin.seen, "it has a hook of its own"
    assert plugin.seen.count("voice") == 1, "it failed, and was not called again"
    assert caplog.text.count("off for this session") == 1
