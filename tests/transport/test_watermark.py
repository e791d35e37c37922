"""The watermark never claims what did not arrive: by hand, by chance, and against real connections that are cut."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.codec import Liveness
from voicebridge.contract.commands import SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import SessionClosed, SessionFailed
from voicebridge.contract.lines import load
from voicebridge.testing.line_codec import LineCodec, ready_line
from voicebridge.transport.link import open_link
from voicebridge.transport.watermark import Watermark

from .peers import reset, server


def test_what_is_confirmed_is_what_was_sent_before_the_ping() -> None:
    watermark = Watermark()
    watermark.sent(100)
    watermark.passed()
    assert (watermark.confirmed_bytes, watermark.unconfirmed_bytes) == (0, 100), "a pong of no ping says nothing"
    watermark.barrier()
    assert watermark.barrier_is_out
    watermark.sent(50)
    watermark.passed()
    assert not watermark.barrier_is_out
    assert (watermark.sent_bytes, watermark.confirmed_bytes, watermark.unconfirmed_bytes) == (150, 100, 50)
    watermark.passed()
    assert watermark.confirmed_bytes == 100


@given(st.lists(st.integers(0, 500) | st.sampled_from(["ping", "pong"]), max_size=60), st.randoms())
def test_it_never_claims_more_than_what_arrived(steps: list[int | str], chance: random.Random) -> None:
    """Frames wait in line; a peer takes some of them now and then."""
    watermark, line, arrived, before = Watermark(), list[int | str](), 0, 0
    for step in steps:
        if isinstance(step, int):
            line.append(step)
            watermark.sent(step)
        elif step == "ping" and not watermark.barrier_is_out:
            line.append("ping")
            watermark.barrier()
        for _ in range(chance.randrange(4)):
            if line:
                taken = line.pop(0)
                if isinstance(taken, int):
                    arrived += taken
                else:
                    watermark.passed()
        assert before <= watermark.confirmed_bytes <= arrived
        before = watermark.confirmed_bytes


class Ear:
    """A server that counts what it receives, until it resets the connection, or falls silent without a word."""

    def __init__(self, cut_after_bytes: int, how: str) -> None:
        self.heard_bytes = 0
        self.cut, self.over = asyncio.Event(), asyncio.Event()
        self._cut_after_bytes, self._how = cut_after_bytes, how

    async def __call__(self, connection: ServerConnection) -> None:
        await connection.send(ready_line())
        await self.over.wait()
        connection.transport.abort()

    def received(self, connection: ServerConnection, line: bytes) -> None:
        """A frame has come. A library answers pings while frames before them still wait to be read."""
        self.heard_bytes += len(load(line).pcm)
        if self.heard_bytes >= self._cut_after_bytes and not self.cut.is_set():
            self.cut.set()
            if self._how == "reset":
                reset(connection)
            else:
                connection.transport.pause_reading()

    @property
    def connection(self) -> type[ServerConnection]:
        """What the server makes for each client."""
        ear = self

        class Connection(ServerConnection):
            def process_event(self, event: Any) -> None:
                if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    ear.received(self, bytes(event.data))
                super().process_event(event)

        return Connection


@pytest.mark.parametrize("seed", range(24))
async def test_a_connection_that_is_cut(seed: int) -> None:
    chance = random.Random(seed)
    how = ("reset", "silent")[seed % 2]
    ear = Ear(DOOR_FORMAT.size(chance.uniform(100, 4_000)), how)
    frame_ms, window_s = chance.choice([10, 20, 60, 250]), chance.choice([0.5, 2.0, None])
    liveness = Liveness(
        ping_interval_s=0.2, dead_after_s=0.6, barrier_interval_s=chance.choice([0.01, 0.05]), unconfirmed_s=window_s
    )
    async with server(ear, connection=ear.connection) as url:
        sent_ms, claims = 0.0, list[float]()
        async with open_link(LineCodec(url, liveness=liveness), SessionConfig()) as session:

            async def speak() -> None:
                nonlocal sent_ms
                for number in range(100_000):
                    await session.send(SendAudio(pcm=bytes(DOOR_FORMAT.size(frame_ms))))
                    sent_ms += frame_ms
                    claims.append(session.delivered_ms)
                    assert session.delivered_ms <= DOOR_FORMAT.ms(ear.heard_bytes)
                    if number % 3 == 0:
                        await asyncio.sleep(frame_ms / 10_000)

            async def listen() -> None:
                async for _ in session:
                    pass

            speaking = asyncio.create_task(speak())
            with pytest.raises(SessionFailed) as caught:
                await asyncio.wait_for(listen(), 10)
            with contextlib.suppress(SessionClosed):
                await asyncio.wait_for(speaking, 5)
            ear.over.set()
            heard_ms = DOOR_FORMAT.ms(ear.heard_bytes)
            assert ear.cut.is_set()
            assert caught.value.fault.code in ("reset", "silent")
            assert session.delivered_ms <= heard_ms <= sent_ms + frame_ms
            assert claims == sorted(claims)
            assert session.delivered_ms + session.unconfirmed_ms <= sent_ms + frame_ms


async def test_all_is_confirmed_when_all_has_arrived() -> None:
    ear, liveness = Ear(10**9, "never"), Liveness(barrier_interval_s=0.05)
    async with (
        server(ear, connection=ear.connection) as url,
        open_link(LineCodec(url, liveness=liveness), SessionConfig()) as session,
    ):
        for _ in range(50):
            await session.send(SendAudio(pcm=bytes(DOOR_FORMAT.size(20))))
        for _ in range(250):
            if session.delivered_ms >= 1_000:
                break
            await asyncio.sleep(0.02)
        assert (session.delivered_ms, session.unconfirmed_ms) == (1_000, 0)
        assert ear.heard_bytes == DOOR_FORMAT.size(1_000)
        ear.over.set()
