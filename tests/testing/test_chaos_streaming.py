"""A client that streams while its connection ends, or while the line is narrow."""

from __future__ import annotations

import asyncio
import socket

import pytest

from voicebridge import ConfigError
from voicebridge.testing.chaos import ChaosProxy
from voicebridge.testing.toxics import Toxics

from .test_chaos import behind, dial, exactly, pattern, rest, until


@pytest.mark.parametrize("how", ["close_at", "close_after_s", "close", "stalled"])
async def test_a_client_that_streams_gets_a_fin(how: str) -> None:
    async with behind() as (server, proxy):
        server.echo = False
        if how == "close_at":
            proxy.up.close_at = 10
        elif how == "close_after_s":
            proxy.close_after_s = 0.05
        reader, writer = await dial(proxy)
        await until(lambda: proxy.connections == 1)
        proxy.up.stalled = how == "stalled"
        writer.write(pattern(400_000))
        if how in ("close", "stalled"):
            proxy.close()
        assert await rest(reader) == (b"", "closed")
        await until(lambda: server.endings)
        assert server.endings == ["closed"]
        writer.close()
        await until(lambda: proxy.connections == 0)


async def test_a_server_that_streams_gets_a_fin() -> None:
    async with behind() as (server, proxy):
        proxy.down.close_at = 1000
        reader, writer = await dial(proxy)
        writer.write(pattern(400_000))
        assert await exactly(reader, 1000) == pattern(1000)
        assert await rest(reader) == (b"", "closed")
        await until(lambda: server.endings)
        assert server.endings == ["closed"]
        writer.close()


@pytest.mark.parametrize("when", ["before", "later"])
async def test_a_narrow_line_is_felt_by_the_sender(when: str) -> None:
    async with behind() as (server, proxy):
        server.echo = False
        if when == "before":
            proxy.up.bytes_per_s = 50_000
        _, writer = await dial(proxy)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        writer.transport.set_write_buffer_limits(0)
        if when == "later":
            writer.write(b"x")
            await until(lambda: server.got)
            proxy.up.bytes_per_s = 50_000
        taken = 0
        while proxy.up.passed < 20_000:
            writer.write(bytes(1000))
            taken += 1000
            await writer.drain()
        assert taken - proxy.up.passed < 300_000  # before there was a bound: 4 MiB
        writer.transport.abort()


def test_what_a_narrow_line_holds_is_counted_in_time() -> None:
    toxics = Toxics()
    assert (toxics.held_bytes(), toxics.buffer_bytes()) == (4 * 1024 * 1024, None)
    toxics.bytes_per_s = 50_000
    assert (toxics.held_bytes(), toxics.buffer_bytes()) == (10_000, 10_000)
    toxics.latency_s = 1.0  # what is on its way is not what waits
    assert toxics.held_bytes() == 60_000
    toxics.bytes_per_s = 1
    assert (toxics.held_bytes(), toxics.buffer_bytes()) == (1, 8192)


async def test_an_end_on_its_way_does_not_pass_a_black_hole() -> None:
    async with behind() as (server, proxy):
        proxy.up.latency_s = 0.1
        _, writer = await dial(proxy)
        writer.write(b"abc")
        writer.write_eof()
        await asyncio.sleep(0.02)
        proxy.blackhole()
        await until(lambda: proxy.up.dropped == 3)
        await asyncio.sleep(0.1)
        assert (bytes(server.got), server.endings, proxy.connections) == (b"", [], 1)
        writer.transport.abort()


@pytest.mark.parametrize("name", ["latency_s", "jitter_s", "blackhole", "stalled"])
@pytest.mark.parametrize("value", [None, "soon", float("inf"), float("nan")])
def test_a_toxic_needs_a_value(name: str, value: object) -> None:
    toxics = Toxics()
    with pytest.raises(ConfigError, match=name):
        setattr(toxics, name, value)


@pytest.mark.parametrize(
    ("target", "said"),
    [("wss://h/x", "wants TLS"), ("https://h:1", "wants TLS"), ("ws://[::1]:80/", "IPv6"), ("[::1]:80", "IPv6")],
)
def test_targets_that_it_cannot_carry_are_refused_in_words(target: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ChaosProxy(target)
