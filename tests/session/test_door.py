"""The door: what a spec string opens, and audio in the caller's formats."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voicebridge
from voicebridge import (
    AudioFormat,
    Capabilities,
    Command,
    ConfigError,
    EndTurn,
    Event,
    Interrupt,
    Item,
    MessageItem,
    OutputAudio,
    ReportPlayed,
    ResponseEnded,
    ResponseStarted,
    SendAudio,
    SendText,
    SessionConfig,
    SessionFailed,
    SessionReady,
    SessionRestarted,
    Tool,
    Unsupported,
)
from voicebridge.contract.fault import Fault
from voicebridge.session.history_store import open_store
from voicebridge.session.sqlite_store import SqliteHistoryStore
from voicebridge.testing.scripted_session import ScriptedBackend
from voicebridge.transport.delivery import Delivery

IN, OUT = AudioFormat(rate=16_000), AudioFormat(rate=22_050)


class Probe:
    """A backend in its own formats that writes down what reaches it, and says what the test tells it to."""

    capabilities = Capabilities(formats_in=(IN,), formats_out=(OUT,), outputs=frozenset({"audio"}))

    def __init__(self) -> None:
        self.config: SessionConfig | None = None
        self.history: Sequence[Item] = ()
        self.commands: list[Command] = []
        self.closed = 0

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[Any]:
        self.config, self.history = config, history
        self.events = Delivery(OUT, lambda: 1.5)
        yield self
        await self.aclose()

    async def send(self, command: Command) -> None:
        self.commands.append(command)

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self.events)

    async def aclose(self) -> None:
        self.closed += 1
        self.events.end()

    @property
    def heard(self) -> bytes:
        return b"".join(c.pcm for c in self.commands if isinstance(c, SendAudio))


async def until_the_end(session: voicebridge.VoiceSession) -> list[Event]:
    events: list[Event] = []
    async for event in session:
        events.append(event)
        if isinstance(event, ResponseEnded):
            break
    return events


async def test_settings_reach_the_backend_portable_and_own_apart() -> None:
    probe = Probe()
    said = [MessageItem(role="user", text="hi")]
    async with voicebridge.connect_raw(
        probe,
        instructions="Be kind.",
        voice="amy",
        tools=[Tool(name="a"), {"name": "b"}],
        api_key="secret",
        base_url="http://127.0.0.1",
        history=said,
        speed=1.5,
        turns={"silence_ms": 300},
        own_option=7,
    ):
        pass
    config = probe.config
    assert config is not None
    assert (config.instructions, config.voice, config.speed, config.turns.silence_ms) == ("Be kind.", "amy", 1.5, 300)
    assert [tool.name for tool in config.tools] == ["a", "b"]
    assert config.options == {"own_option": 7}
    assert config.api_key is not None
    assert config.api_key.get_secret_value() == "secret"
    assert "secret" not in repr(config)
    assert probe.history == tuple(said)
    assert probe.closed


@pytest.mark.parametrize("door_rate", [8_000, 16_000, 24_000, 48_000])
async def test_input_is_converted_as_one_stream_whatever_its_pieces(door_rate: int) -> None:
    probe = Probe()
    door = AudioFormat(rate=door_rate)
    tone = np.sin(np.arange(door_rate) * 2 * np.pi * 440 / door_rate) * 12_000
    pcm = tone.astype("<i2").tobytes()
    async with voicebridge.connect_raw(probe, input_format=door) as session:
        for start in range(0, len(pcm), 333):
            await session.send(SendAudio(pcm=pcm[start : start + 333]))
    heard = np.frombuffer(probe.heard, "<i2").astype(float)
    assert abs(len(heard) - 16_000) <= 80
    expected = np.sin(np.arange(len(heard)) * 2 * np.pi * 440 / 16_000) * 12_000
    assert np.abs(heard - expected)[100:-100].max() < 40  # no click at any of the borders


async def test_output_is_converted_with_exact_offsets_and_its_tail_comes_before_the_end() -> None:
    probe = Probe()
    async with voicebridge.connect_raw(probe) as session:
        probe.events.put(ResponseStarted(response_id="r1", cause="user"))
        for piece in range(5):
            pcm = b"\x00\x10" * (OUT.rate // 5)
            probe.events.put(OutputAudio(response_id="r1", pcm=pcm, offset_ms=piece * 200.0))
        probe.events.put(ResponseEnded(response_id="r1", status="completed"))
        events = await until_the_end(session)
    audio = [event for event in events if isinstance(event, OutputAudio)]
    assert sum(len(event.pcm) for event in audio) == 48_000
    position = 0.0
    for event in audio:
        assert event.offset_ms == pytest.approx(position)
        assert event.at == 1.5
        position += len(event.pcm) / 48
    assert isinstance(events[-1], ResponseEnded)


async def test_an_interrupted_response_has_no_tail() -> None:
    probe = Probe()
    async with voicebridge.connect_raw(probe) as session:
        probe.events.put(OutputAudio(response_id="r1", pcm=b"\x00\x10" * 4000, offset_ms=0.0))
        probe.events.put(ResponseEnded(response_id="r1", status="interrupted"))
        events = await until_the_end(session)
    assert [type(event) for event in events] == [OutputAudio, ResponseEnded]


async def test_a_tail_that_waits_for_its_reader_is_purged_by_an_interrupt() -> None:
    probe = Probe()
    async with voicebridge.connect_raw(probe) as session:
        probe.events.put(OutputAudio(response_id="r1", pcm=b"\x00\x10" * 4000, offset_ms=0.0))
        probe.events.put(ResponseEnded(response_id="r1", status="completed"))
        reader = aiter(session)
        await anext(reader)
        tail = await anext(reader)
        assert isinstance(tail, OutputAudio)
        await session.send(Interrupt())
        assert isinstance(await anext(reader), ResponseEnded)
        assert isinstance(probe.commands[-1], Interrupt)


class Narrow(Probe):
    """It takes commands only while its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def send(self, command: Command) -> None:
        if not isinstance(command, Interrupt | ReportPlayed):
            await self.gate.wait()
        await super().send(command)


async def test_under_back_pressure_each_sample_is_sent_once_and_in_order() -> None:
    probe = Narrow()
    async with voicebridge.connect_raw(probe, input_format=IN) as session:
        sent: list[Command] = [
            SendAudio(pcm=b"1111"),
            ReportPlayed(response_id="r1", ms=1),
            SendAudio(pcm=b"2222"),
            EndTurn(),
            SendAudio(pcm=b"3333"),
            Interrupt(),
            SendText(text="hi"),
        ]
        tasks = []
        for command in sent:
            tasks.append(asyncio.create_task(session.send(command)))
            await asyncio.sleep(0)
        # What an interruption and a player say, passes the audio.
        assert [type(command) for command in probe.commands] == [ReportPlayed, Interrupt]
        probe.gate.set()
        await asyncio.gather(*tasks)
        came = [command.pcm if isinstance(command, SendAudio) else type(command) for command in probe.commands[2:]]
        assert came == [b"1111", b"2222", EndTurn, b"3333", SendText]


async def test_a_send_that_is_cancelled_did_all_or_nothing() -> None:
    probe = Narrow()
    async with voicebridge.connect_raw(probe, input_format=IN) as session:
        first, second, third = (
            asyncio.create_task(session.send(command))
            for command in (SendAudio(pcm=b"1111"), SendAudio(pcm=b"2222"), EndTurn())
        )
        await asyncio.sleep(0)
        for task in (first, second):
            task.cancel()
        await asyncio.sleep(0)
        probe.gate.set()
        await asyncio.wait([first, second, third])
        # Whether it waited for the backend or for its turn: nothing of it was taken, and what follows goes on.
        assert [type(command) for command in probe.commands] == [EndTurn]
        await session.send(SendAudio(pcm=b"3333"))
        assert probe.heard == b"3333"


async def test_a_buffer_may_be_filled_again_once_it_was_given() -> None:
    probe = Narrow()
    async with voicebridge.connect_raw(probe, input_format=IN) as session:
        buffer = bytearray(b"1111")
        tasks = [asyncio.create_task(session.send(SendAudio(pcm=buffer))) for _ in range(2)]
        await asyncio.sleep(0)
        buffer[:] = b"9999"
        probe.gate.set()
        await asyncio.gather(*tasks)
        assert probe.heard == b"11111111"


async def test_what_is_no_command_reaches_nobody() -> None:
    probe = Probe()
    bad: Any = None
    async with voicebridge.connect_raw(probe) as session:
        for command in (bad, SendAudio(pcm=bad), SendText(text=bad), ReportPlayed(response_id="r1", ms=bad)):
            with pytest.raises(ConfigError):
                await session.send(command)
    assert probe.commands == []


async def test_responses_that_sound_at_the_same_time_are_each_whole() -> None:
    probe = Probe()
    async with voicebridge.connect_raw(probe) as session:
        for piece in range(4):
            for response_id in ("r1", "aside"):
                pcm = (b"\x00\x10" if response_id == "r1" else b"\x00\x20") * (OUT.rate // 10)
                probe.events.put(OutputAudio(response_id=response_id, pcm=pcm, offset_ms=piece * 100.0))
        probe.events.put(ResponseEnded(response_id="aside", status="completed"))
        probe.events.put(ResponseEnded(response_id="r1", status="completed"))
        events = await until_the_end(session) + await until_the_end(session)
    for response_id, loud in (("r1", 4096), ("aside", 8192)):
        pieces = [event for event in events if isinstance(event, OutputAudio) and event.response_id == response_id]
        samples = np.frombuffer(b"".join(piece.pcm for piece in pieces), "<i2")
        assert len(samples) == 24 * 400
        assert np.abs(samples[200:-200] - loud).max() < 8
        position = 0.0
        for said in pieces:
            assert said.offset_ms == pytest.approx(position)
            position += len(said.pcm) / 48
    assert not session._sounds


async def test_after_an_interrupt_no_converter_holds_a_tail() -> None:
    probe = Probe()
    async with voicebridge.connect_raw(probe) as session:
        probe.events.put(OutputAudio(response_id="r1", pcm=b"\x00\x10" * 4000, offset_ms=0.0))
        await anext(aiter(session))
        probe.events.put(ResponseEnded(response_id="r1", status="completed"))  # undelivered as yet
        await session.send(Interrupt(response_id="r1"))
        assert [type(event) for event in await until_the_end(session)] == [ResponseEnded]


async def test_a_backend_without_audio() -> None:
    probe = Probe()
    probe.capabilities = Capabilities(inputs=frozenset({"text"}), outputs=frozenset({"text"}))
    async with voicebridge.connect_raw(probe) as session:
        assert (session.capabilities.formats_in, session.capabilities.formats_out) == ((), ())
        with pytest.raises(Unsupported, match="takes no audio"):
            await session.send(SendAudio(pcm=b"1111"))
        await session.send(SendText(text="hi"))
        assert [type(command) for command in probe.commands] == [SendText]


EIGHT = AudioFormat(rate=8_000)


def ready_in(format: AudioFormat) -> SessionReady:
    capabilities = Capabilities(formats_in=(format,), formats_out=(format,))
    return SessionReady(session_id="s", model="m", capabilities=capabilities, input_format=format, output_format=format)


async def test_what_was_negotiated_counts_from_then_on() -> None:
    probe = Narrow()
    second = b"\x00\x10" * 24_000
    async with voicebridge.connect_raw(probe) as session:
        early = asyncio.create_task(session.send(SendAudio(pcm=second)))
        await asyncio.sleep(0)
        early.cancel()
        await asyncio.wait([early])
        assert probe.heard == b"", "nothing of it was taken"
        probe.gate.set()
        await session.send(SendAudio(pcm=second))
        before = len(probe.heard)
        probe.events.put(ready_in(EIGHT))
        told = await anext(aiter(session))
        assert isinstance(told, SessionReady)
        assert (told.input_format, told.output_format) == (AudioFormat(), AudioFormat())
        assert told.capabilities.formats_in == (AudioFormat(),)
        await session.send(SendAudio(pcm=second))
        # The end of the first second, which the converter still held, goes on in the new format.
        seconds = before / 2 / IN.rate + (len(probe.heard) - before) / 2 / EIGHT.rate
        assert seconds == pytest.approx(1.996, abs=0.0005), "all but what the other converter still holds"
        probe.events.put(OutputAudio(response_id="r1", pcm=b"\x00\x10" * 800, offset_ms=0))
        probe.events.put(ResponseEnded(response_id="r1", status="completed"))
        audio = [event.pcm for event in await until_the_end(session) if isinstance(event, OutputAudio)]
        assert len(b"".join(audio)) == 100 * 48


async def test_another_connection_may_speak_another_format() -> None:
    probe = Probe()
    async with voicebridge.connect_raw(probe) as session:
        await session.send(SendAudio(pcm=b"\x00\x10" * 24_000))
        before = len(probe.heard)
        probe.events.put(
            SessionRestarted(ready=ready_in(EIGHT), reason="swap", carried="items", gap_ms=0, lost_audio_ms=0)
        )
        told = await anext(aiter(session))
        assert isinstance(told, SessionRestarted)
        assert (told.ready.input_format, told.ready.output_format) == (AudioFormat(), AudioFormat())
        assert told.ready.capabilities.formats_out == (AudioFormat(),)
        await session.send(SendAudio(pcm=b"\x00\x10" * 24_000))
        assert (len(probe.heard) - before) / 2 == pytest.approx(8_000, abs=40)


async def test_no_tools_and_no_history_may_be_none() -> None:
    probe = Probe()
    async with voicebridge.connect_raw(probe, tools=None, history=None):
        pass
    assert probe.config is not None
    assert (probe.config.tools, probe.history) == ((), ())


async def test_ready_and_capabilities_tell_the_door_s_formats() -> None:
    probe = Probe()
    door = AudioFormat(rate=48_000, channels=2)
    async with voicebridge.connect_raw(probe, output_format=door) as session:
        ready = SessionReady(
            session_id="s", model="m", capabilities=probe.capabilities, input_format=IN, output_format=OUT
        )
        probe.events.put(ready)
        told = await anext(aiter(session))
        assert isinstance(told, SessionReady)
        assert (told.input_format, told.output_format) == (AudioFormat(), door)
        assert session.capabilities.formats_in == (AudioFormat(),)
        assert told.capabilities == session.capabilities


async def test_a_session_that_dies_raises_after_its_last_event() -> None:
    probe = Probe()
    async with voicebridge.connect_raw(probe) as session:
        probe.events.end(Fault(category="network", message="The line is dead."))
        with pytest.raises(SessionFailed, match="The line is dead"):
            async for _ in session:
                pass


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("nosuch", {}, "nosuch"),
        ("", {}, "written"),
        ("a+b", {}, "three stages"),
        (None, {}, "NoneType"),
        (7, {}, "int"),
        (Probe(), {"speed": 17}, "speed"),
        (Probe(), {"speed": "fast"}, "speed"),
        (Probe(), {"tools": [{"name": "a b"}]}, "tools"),
        (Probe(), {"options": {}}, "options"),
        (Probe(), {"output_format": 24_000}, "output_format"),
        (Probe(), {"tools": "weather"}, "tools is a list, not str"),
        (Probe(), {"tools": {"name": "a"}}, "tools is a list, not dict"),
        (Probe(), {"tools": 7}, "tools is a list, not int"),
        (Probe(), {"history": 7}, "history is a list, not int"),
        (Probe(), {"history": [{"role": "user", "content": "x"}]}, "history holds MessageItem.* not dict"),
    ],
)
async def test_what_does_not_fit_is_refused_in_words(spec: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        async with voicebridge.connect_raw(spec, **options):
            pass


@pytest.mark.parametrize(
    ("path", "url"),
    [
        (Path("calls.db"), "sqlite:///calls.db"),
        (Path("/var/my calls?.db"), "sqlite:////var/my%20calls%3F.db"),
    ],
)
async def test_a_path_is_answered_with_its_url(path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f'history="{url}"')):
        async with voicebridge.connect(Probe(), history=path):  # type: ignore[arg-type]  # what is tested
            pass
    store = open_store(url)
    assert isinstance(store, SqliteHistoryStore)
    assert store.path == path


@pytest.mark.parametrize("name", [7, b"x", "", " "])
async def test_a_conversation_is_named_by_a_text(name: Any) -> None:
    with pytest.raises(ConfigError, match="conversation is a"):
        async with voicebridge.connect(Probe(), history="memory:", conversation=name):
            pass


async def test_a_conversation_is_of_a_store() -> None:
    with pytest.raises(ConfigError, match=r'add history="sqlite:///calls\.db"'):
        async with voicebridge.connect(Probe(), conversation="monday"):
            pass


# What is given to it


async def later(decision: Any) -> None:
    """What nobody would await."""


class Later:
    async def __call__(self, decision: Any) -> None:
        """Likewise."""


@pytest.mark.parametrize("given", ["never", True, later, Later(), voicebridge.InterruptionPolicy])
@pytest.mark.parametrize("name", ["interruption", "on_interrupt"])
async def test_what_is_called_when_it_matters_is_looked_at_before(name: str, given: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is an? .*, not "):
        async with voicebridge.connect(Probe(), **{name: given}):
            pass


async def test_a_function_of_any_kind_may_decide() -> None:
    decided: list[Any] = []
    async with voicebridge.connect(Probe(), interruption=voicebridge.InterruptionPolicy(), on_interrupt=decided.append):
        pass
    async with voicebridge.connect(Probe(), interruption=lambda signals: voicebridge.Verdict("ignore", "mine")):
        pass


async def test_what_a_call_is_switched_to_takes_options_by_their_own_names_as_at_the_door() -> None:
    other = Probe()
    async with voicebridge.connect(Probe()) as session:
        switching = asyncio.create_task(session.switch(other, voice="sage", depth=3))
        for _ in range(100):
            await asyncio.sleep(0)
        assert other.config is not None
        assert (other.config.voice, other.config.options) == ("sage", {"depth": 3})
        switching.cancel()


async def test_what_a_call_is_switched_to_may_refuse_its_options_at_once() -> None:
    async with voicebridge.connect(Probe()) as session:
        with pytest.raises(ConfigError, match="no option 'depth'"):
            await session.switch(ScriptedBackend(), depth=3)
        with pytest.raises(ConfigError, match="give functions to"):
            await session.switch(Probe(), tools=[len])
        with pytest.raises(ConfigError, match="switch takes a backend"):
            await session.switch(None, voice="sage")  # type: ignore[arg-type]  # the wrong type is the test
        with pytest.raises(ConfigError, match="never changes"):
            await session.switch(Probe(), input_format=AudioFormat(rate=8_000))
