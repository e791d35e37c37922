"""The rules of a call against users, backends, plugins and stores that make it hard: whole sessions in virtual time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

import voicebridge
from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.commands import Command, Interrupt, Respond, SendText, SendToolResult
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, SessionClosed, SessionFailed
from voicebridge.contract.events import (
    BackendError,
    Event,
    Interruption,
    OutputAudio,
    ResponseEnded,
    ResponseStarted,
    SessionRestarted,
    UsageReported,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item
from voicebridge.core.interruption_policy import InterruptionPolicy
from voicebridge.testing.script import SCRIPTED_CAPABILITIES, Reply
from voicebridge.testing.scripted_session import ScriptedBackend, ScriptedSession

from .managed_call import Call, call, virtually

DISCLOSURE = "You are talking to an AI assistant of the bank."
"""2.8 s."""
ANSWER = "Of course."
RULE = CallPolicy(disclosure=DISCLOSURE)
SLOW = Reply(DISCLOSURE, word_s=0.3)
STOPS_BY_ITSELF = replace(
    SCRIPTED_CAPABILITIES, interrupt=frozenset({"verb", "auto"}), respond=frozenset({"verb", "instructions"})
)
"""The backend can't be told not to stop at the user's voice, and makes its answers as slowly as they are spoken."""


def asked(backend: ScriptedBackend) -> list[Respond]:
    """The requests for a text word by word."""
    received = [command for session in backend.sessions for command in session.received]
    return [command for command in received if isinstance(command, Respond) and (command.say or command.instructions)]


async def until(user: Call, holds: Callable[[], bool], seconds: float = 60.0) -> None:
    for _ in range(round(seconds / 0.02)):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"it never came to that; got {user.events}")


def disclosed(user: Call) -> bool:
    return user.managed.disclosure is not None


# Disclosure


@pytest.mark.parametrize(
    "policy", [None, InterruptionPolicy(), InterruptionPolicy.at_once()], ids=["none", "own", "at once"]
)
@virtually
async def test_the_user_does_not_speak_over_the_disclosure(policy: Any) -> None:
    backend = ScriptedBackend(ANSWER)
    async with call(backend, policy=RULE, interruption=policy) as user:
        await user.speak(2500)
        await user.pause(3000)
        assert len(asked(backend)) == 1
        assert user.said() == [DISCLOSURE, ANSWER], "what was said over it is answered after it"
        told = user.all(Interruption)
        assert [(one.action, one.reason) for one in told] == [("ignore", "disclosure")]
        assert user.managed.disclosure is not None
        assert user.managed.disclosure.basis == "estimated"
        assert user.managed.disclosure.at == pytest.approx(2.82, abs=0.1)


@virtually
async def test_after_the_disclosure_the_user_interrupts_as_ever() -> None:
    async with call(ScriptedBackend(ANSWER * 20), policy=RULE) as user:
        await until(user, lambda: disclosed(user))
        await user.session.send(SendText(text="Go on."))
        await user.pause(1000)
        await user.speak(500)
        assert [one.action for one in user.all(Interruption)] == ["interrupt"]


@virtually
async def test_a_backend_that_stops_by_itself_is_asked_again_once_the_user_is_silent() -> None:
    backend = ScriptedBackend(SLOW, ANSWER, SLOW, capabilities=STOPS_BY_ITSELF)
    async with call(backend, policy=RULE) as user:
        await user.pause(200)
        await user.speak(5000)
        assert len(asked(backend)) == 1, "each request costs money"
        await user.pause(5000)
        assert disclosed(user)
        assert len(asked(backend)) == 2
        assert user.said()[1:] == [DISCLOSURE, ANSWER]


@virtually
async def test_a_user_who_never_lets_it_be_said_ends_the_call() -> None:
    backend = ScriptedBackend(SLOW, capabilities=STOPS_BY_ITSELF)
    async with call(backend, policy=RULE, turns={"auto_respond": False}) as user:
        with suppress(SessionClosed):
            for _ in range(200):
                if len(user.all(ResponseStarted)) > len(user.all(ResponseEnded)):
                    await user.speak(100)
                await user.pause(400)
        assert isinstance(user.failure, SessionFailed)
        assert user.failure.fault.code == "disclosure_failed"
        assert len(asked(backend)) == 6
        assert user.managed.disclosure is None


@virtually
async def test_an_application_that_stops_it_again_and_again_is_asked_for_little() -> None:
    backend = ScriptedBackend(ANSWER)
    async with call(backend, policy=RULE) as user:
        with suppress(SessionClosed):
            for _ in range(200):
                await user.session.send(Interrupt())
                await asyncio.sleep(0.3)
        assert len(asked(backend)) <= 6
        await until(user, lambda: user.failure is not None)


@pytest.mark.parametrize("short_ms", [0, 60, 200])
@virtually
async def test_a_player_that_stops_reporting_before_the_end_hears_it_once(short_ms: int) -> None:
    backend = ScriptedBackend(ANSWER)
    async with call(backend, policy=RULE) as user:
        await user.session.send(SendText(text="Hello?"))
        first = await user.wait(ResponseEnded)
        whole_ms = DISCLOSURE_MS
        for ms in range(100, whole_ms, 100):
            await asyncio.sleep(0.1)
            await user.managed.played(first.response_id, min(ms, whole_ms - short_ms))
        await user.managed.played(first.response_id, whole_ms - short_ms)
        await until(user, lambda: disclosed(user))
        assert user.managed.disclosure is not None
        assert user.managed.disclosure.basis == "measured"
        assert user.managed.disclosure.missing_ms == pytest.approx(short_ms, abs=1)
        await asyncio.sleep(30)
        assert user.said() == [DISCLOSURE, ANSWER]


DISCLOSURE_MS = len(DISCLOSURE) * 60


class Silent(ScriptedBackend):
    """Its voice is not one."""

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[ScriptedSession]:
        async with super().connect(config, history, resume) as session:
            put = session._delivery.put
            session._delivery.put = lambda event: put(  # type: ignore[method-assign]  # what it gives, without a sound
                replace(event, pcm=bytes(len(event.pcm))) if isinstance(event, OutputAudio) else event
            )
            yield session


@pytest.mark.parametrize("silences", ["hook", "backend"])
@virtually
async def test_silence_is_no_disclosure(silences: str) -> None:
    hook = (lambda audio: None) if silences == "hook" else None
    backend = ScriptedBackend(ANSWER) if silences == "hook" else Silent(ANSWER)
    text = DISCLOSURE * 2  # it takes three seconds of silence to notice a silent backend
    async with call(backend, policy=CallPolicy(disclosure=text, output_audio=hook)) as user:
        await until(user, lambda: user.failure is not None)
        assert isinstance(user.failure, SessionFailed)
        assert user.failure.fault.code == "disclosure_failed"
        assert user.managed.disclosure is None


@virtually
async def test_a_fallback_that_can_not_say_it_is_refused_by_name() -> None:
    mute = ScriptedBackend(ANSWER, capabilities=replace(SCRIPTED_CAPABILITIES, respond=frozenset({"verb"})))
    with pytest.raises(ConfigError, match="The backend ScriptedBackend can't be asked"):
        async with voicebridge.connect(ScriptedBackend(ANSWER), fallback=[mute], policy=RULE):
            pass


@virtually
async def test_the_call_does_not_move_to_one_that_can_not_say_it_before_it_was_said() -> None:
    mute = ScriptedBackend(ANSWER, capabilities=replace(SCRIPTED_CAPABILITIES, respond=frozenset({"verb"})))
    async with call(ScriptedBackend(ANSWER), policy=RULE) as user:
        with pytest.raises(ConfigError, match="can't be asked"):
            await user.managed.switch(mute)
        await until(user, lambda: disclosed(user))
        await user.managed.switch(mute)
        assert user.all(SessionRestarted)


# Limits


@virtually
async def test_at_a_limit_only_what_is_heard_and_the_last_words_are_said() -> None:
    long = "Long answer. " * 20
    policy = CallPolicy(max_duration_s=3, say_at_limit="Goodbye.", grace_s=60)
    async with call(ScriptedBackend(long), policy=policy) as user:
        with suppress(SessionClosed):
            for number in range(100):
                await user.session.send(SendText(text=f"more {number}"))
                await asyncio.sleep(1)
        assert isinstance(user.failure, SessionFailed)
        assert user.failure.fault.code == "limit_reached"
        said = user.said()
        assert (said[0], said.count("Goodbye.")) == (long, 1)
        heard_ms = user.managed.account.output.played / 24
        assert heard_ms == pytest.approx((len(long) + len("Goodbye.")) * 60, abs=100)
        assert asyncio.get_running_loop().time() < 20


@virtually
async def test_a_limit_on_what_nobody_counts_is_refused_and_a_unit_that_never_comes_is_told() -> None:
    policy = CallPolicy(max_usage={"output_audio_tokens": 5.0, "audio_s": 3.0})
    with pytest.raises(ConfigError, match="reports no usage"):
        async with voicebridge.connect(ScriptedBackend(ANSWER), policy=policy):
            pass
    used = UsageReported(units={"output_audio_tokens": 3.0}, model="a/b", basis="exact")
    counts = ScriptedBackend(
        ANSWER, capabilities=replace(SCRIPTED_CAPABILITIES, usage="exact"), moments=((1.0, used), (5.0, used))
    )
    with pytest.raises(ConfigError, match="reports no usage"):
        async with voicebridge.connect(counts, fallback=[ScriptedBackend(ANSWER)], policy=policy):
            pass
    async with call(counts, policy=policy) as user:
        await user.session.send(SendText(text="Hello?"))
        await until(user, lambda: user.failure is not None)
        codes = [one.fault.code for one in user.all(BackendError)]
        assert codes == ["unit_not_counted", "limit_reached"]


# Plugins that watch


class Watching:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.commands: list[Command] = []

    @voicebridge.hookimpl
    def event_received(self, event: Event) -> None:
        self.events.append(event)

    @voicebridge.hookimpl
    def command_sent(self, command: Command) -> None:
        self.commands.append(command)


@pytest.fixture
def watching() -> Any:
    from voicebridge.registry.registry import Registry, use_registry

    plugin, plugins = Watching(), Registry(allow=[])
    plugins.join(plugin, "watching")
    before = use_registry(plugins)
    yield plugin
    use_registry(before)


def seen_by_the_application(user: Call) -> list[Event]:
    return [event for event in user.events if not isinstance(event, OutputAudio)]


def test_a_plugin_sees_each_event_that_the_application_gets_the_last_one_too(watching: Watching) -> None:
    def broken(audio: OutputAudio) -> OutputAudio:
        raise ValueError("no mark")

    async def talk() -> None:
        gone = Fault(category="auth", code="gone", message="Gone for good.")
        backend = ScriptedBackend(ANSWER, moments=((3.0, gone),))
        store = BrokenStore()
        async with call(backend, policy=CallPolicy(output_audio=broken), history=store) as user:
            await user.session.send(SendText(text="Hello?"))
            await until(user, lambda: user.failure is not None)
        codes = [one.fault.code for one in user.all(BackendError)]
        assert codes[-1] == "gone"
        assert {"output_hook_failed", "history_failed"} <= set(codes)
        assert watching.events == seen_by_the_application(user)

    virtually(talk)()


def test_a_plugin_sees_the_commands_of_the_application_alone(watching: Watching) -> None:
    async def look_up(what: str) -> str:
        """Look it up."""
        return f"{what}: 42"

    from voicebridge.testing.script import Call as ToolCalled

    async def talk() -> None:
        first = Reply(calls=(ToolCalled("look_up", '{"what": "it"}'),))
        backend = ScriptedBackend(first, ANSWER)
        async with call(backend, policy=RULE, tools=[look_up]) as user:
            mine = SendText(text="Look it up.")
            await user.session.send(mine)
            await until(user, lambda: ANSWER in user.said())
            assert [one for one in backend.sessions[0].received if isinstance(one, SendToolResult)]
            assert asked(backend)
            switched = ScriptedBackend(ANSWER)
            await user.managed.switch(switched)
        assert [type(one).__name__ for one in watching.commands] == ["SendText", "Configure"]
        assert watching.commands[0] is mine

    virtually(talk)()


class BrokenStore(voicebridge.MemoryHistoryStore):
    async def write(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the disk is full")


# What is kept


async def kept_of(store: voicebridge.MemoryHistoryStore) -> tuple[list[str], bytes]:
    """The words and the voices in a store."""
    records = await store.load("kept")
    words = [record.item.text for record in records if isinstance(record.item, voicebridge.MessageItem)]
    voices = [await store.audio("kept", record.key) for record in records if record.key]
    return words, b"".join(pcm for pcm, _ in voices)


def consents(after_s: float, answer: bool) -> Callable[[], Any]:
    async def consent() -> bool:
        await asyncio.sleep(after_s)
        return answer

    return consent


@pytest.mark.parametrize(
    ("consent", "before", "after"),
    [
        (consents(0, True), True, True),
        (consents(8, True), False, True),
        (consents(0, False), False, False),
        (consents(1e6, True), False, False),
        (lambda: True, True, True),
        (lambda: time.sleep(0.05), False, False),
    ],
    ids=["at once", "late", "no", "never", "plain", "plain no"],
)
@virtually
async def test_what_is_said_without_consent_is_never_kept(consent: Any, before: bool, after: bool) -> None:
    store = voicebridge.MemoryHistoryStore(keeps_audio=True)
    backend = ScriptedBackend("First.", "Second.", user=("one", "two"))
    options = {"history": store, "conversation": "kept", "policy": CallPolicy(consent=consent)}
    async with call(backend, **options) as user:
        await user.pause(100)
        await user.speak(500)
        await user.pause(9000)
        await user.speak(500)
        await user.pause(2000)
    words, voices = await kept_of(store)
    assert words == ["one", "First."] * before + ["two", "Second."] * after
    assert bool(voices) is after
    if before is after is False:
        assert await store.conversations() == []


@virtually
async def test_the_voice_is_kept_as_it_was_delivered() -> None:
    def mark(audio: OutputAudio) -> OutputAudio | None:
        return replace(audio, pcm=b"M" * len(audio.pcm)) if audio.offset_ms < 100 else None

    store = voicebridge.MemoryHistoryStore(keeps_audio=True)
    policy = CallPolicy(consent=consents(0, True), output_audio=mark)
    async with call(ScriptedBackend(ANSWER), history=store, conversation="kept", policy=policy) as user:
        await user.session.send(SendText(text="Can you help me?"))
        await user.wait(ResponseEnded)
        withheld_ms = user.managed.withheld_ms
    _, voices = await kept_of(store)
    assert voices == b"".join(event.pcm for event in user.all(OutputAudio))
    assert set(voices) == {ord("M"), 0}
    assert withheld_ms == pytest.approx(voices.count(0) / 48, abs=0.1)


# Logs


class Foreign:
    """A plugin's backend that tells its key to everyone."""

    capabilities = SCRIPTED_CAPABILITIES

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[ScriptedSession]:
        assert config.api_key is not None
        raise RuntimeError(f"401 for {config.api_key.get_secret_value()}, said jo@example.com")
        yield  # a generator


@pytest.mark.parametrize(
    "key", ["sk-a-very-secret-key", voicebridge.KeyPool(["sk-a-very-secret-key"])], ids=["key", "pool"]
)
def test_no_key_comes_into_a_log(key: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def talk() -> None:
        own = {"backend": Foreign(), "api_key": key}
        async with call(ScriptedBackend(ANSWER, moments=((1.0, LOST),)), own, hears=False) as user:
            await until(user, lambda: bool(user.all(SessionRestarted)))

    with caplog.at_level(logging.DEBUG):
        virtually(talk)()
    assert "A backend failed" in caplog.text
    assert "401 for [hidden], said [email]" in caplog.text
    assert "very-secret" not in caplog.text


LOST = Fault(category="network", code="lost", message="Gone.", retryable=True)
