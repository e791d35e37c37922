"""Connections that are opened ahead."""

from __future__ import annotations

import asyncio

from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.transport.http_connection import HttpConnection
from voicebridge.transport.http_pool import HttpPool


def test_an_opening_that_was_about_to_run_out_of_time_is_begun_anew() -> None:
    async def main() -> None:
        dialled: list[float] = []

        async def dial() -> HttpConnection:
            dialled.append(asyncio.get_running_loop().time())
            if len(dialled) == 1:
                await asyncio.Event().wait()
            return HttpConnection("host")

        pool = HttpPool("host", dial, 30)
        ahead = asyncio.create_task(pool.get_ready(pool, 3))
        await asyncio.sleep(2.9)
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(3):
            await pool.take(3)
        assert asyncio.get_running_loop().time() - began < 0.2
        assert len(dialled) == 2
        await ahead
        await pool.aclose()

    run_in_virtual_time(main())
