"""A client that streams while its connection ends, or while the line is narrow."""

from __future__ import annotations

import pytest

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
