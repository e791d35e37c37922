"""The door: what a spec string opens, and audio in the caller's formats."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

import voicebridge
from voicebridge import (
    AudioFormat,
    Capabilities,
    Command,
    ConfigError,
    Event,
    Interrupt,
    Item,
    MessageItem,
    OutputAudio,
    ResponseEnded,
    ResponseStarted,
    SendAudio,
    SessionConfig,
    SessionFailed,
    SessionReady,
    Tool,
)
from voicebridge.contract.fault import Fault
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
    async with voicebridge.connect(
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
    async with voicebridge.connect(probe, input_format=door) as session:
        for start in range(0, len(pcm), 333):
            await session.send(SendAudio(pcm=pcm[start : start + 333]))
    heard = np.frombuffer(probe.heard, "<i2").astype(float)
    assert abs(len(heard) - 16_000) <= 80
    expected = np.sin(np.arange(len(heard)) * 2 * np.pi * 440 / 16_000) * 12_000
    assert np.abs(heard - expected)[100:-100].max() < 40  # no click at any of the borders


async def test_output_is_converted_with_exact_offsets_and_its_tail_comes_before_the_end() -> None:
    probe = Probe()
    async with voicebridge.connect(probe) as session:
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
    async with voicebridge.connect(probe) as session:
        probe.events.put(OutputAudio(response_id="r1", pcm=b"\x00\x10" * 4000, offset_ms=0.0))
        probe.events.put(ResponseEnded(response_id="r1", status="interrupted"))
        events = await until_the_end(session)
    assert [type(event) for event in events] == [OutputAudio, ResponseEnded]


async def test_a_tail_that_waits_for_its_reader_is_purged_by_an_interrupt() -> None:
    probe = Probe()
    async with voicebridge.connect(probe) as session:
        probe.events.put(OutputAudio(response_id="r1", pcm=b"\x00\x10" * 4000, offset_ms=0.0))
        probe.events.put(ResponseEnded(response_id="r1", status="completed"))
        reader = aiter(session)
        await anext(reader)
        tail = await anext(reader)
        assert isinstance(tail, OutputAudio)
        await session.send(Interrupt())
        assert isinstance(await anext(reader), ResponseEnded)
        assert isinstance(probe.commands[-1], Interrupt)


async def test_ready_and_capabilities_tell_the_door_s_formats() -> None:
    probe = Probe()
    door = AudioFormat(rate=48_000, channels=2)
    async with voicebridge.connect(probe, output_format=door) as session:
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
    async with voicebridge.connect(probe) as session:
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
    ],
)
async def test_what_does_not_fit_is_refused_in_words(spec: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        async with voicebridge.connect(spec, **options):
            pass
