"""Keys are shown nowhere: in no log, error, event or representation, whatever a server repeats."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable

import pytest
import websockets
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from voicebridge.contract.codec import Endpoint
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import SessionFailed
from voicebridge.contract.events import Event
from voicebridge.core.closing import fault_of
from voicebridge.testing.line_codec import LineCodec, ready_line
from voicebridge.transport.link import open_link
from voicebridge.transport.wire import WireClosed, dial

from .peers import hold, refusal, server

Streams = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
KEY = "sk-CANARY-0123456789abcdefghijklmnop"


def leaks(*things: object) -> list[str]:
    """Where the key shows, or a good part of it."""
    texts = [text for thing in things for text in (str(thing), repr(thing))]
    return [text for text in texts if KEY[3:15] in text or KEY[-12:] in text]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


ECHOES = [
    lambda key: f"Incorrect API key provided: {key}. You can find yours at ...",
    lambda key: f'{{"error": {{"message": "Bearer {key} is unknown"}}}}',
    lambda key: "x" * 480 + key + "y" * 100,
    lambda key: key[:20],
    lambda key: f"no {key[:-3]}",
    lambda key: f"{key}{key}",
]
HEADERS = [{"Authorization": f"Bearer {KEY}"}, {"api-key": KEY}, {"Authorization": f'Token token="{KEY}"'}]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("headers", [*HEADERS, {}])
async def test_a_key_that_a_server_repeats_is_shown_nowhere(
    echo: Callable[[str], str], headers: dict[str, str], logged: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def refusing(connection: ServerConnection, request: Request) -> Response:
        asked.append(str(request.headers))
        return refusal(401, [("X-Echo", KEY)], echo(KEY))

    protocols = () if headers else ("realtime", f"insecure-api-key.{KEY}")
    async with server(hold, refusing) as url:
        endpoint = Endpoint(url=url, headers=headers, subprotocols=protocols)
        with pytest.raises(WireClosed) as caught:
            await dial(endpoint)
    assert KEY in asked[0], "it was sent"
    end = caught.value.closed
    ours = [record.getMessage() for record in logged.records if record.name.startswith("voicebridge")]
    shown = (end, fault_of(end), endpoint, caught.value, "".join(traceback.format_exception(caught.value)), *ours)
    assert leaks(*shown) == []
    assert "[hidden]" in end.body


@pytest.mark.parametrize("headers", [*HEADERS, {}])
async def test_a_key_in_the_reason_of_a_close_is_shown_nowhere(
    headers: dict[str, str], logged: pytest.LogCaptureFixture
) -> None:
    protocols = () if headers else (f"insecure-api-key.{KEY}",)

    async def handler(connection: ServerConnection) -> None:
        await connection.send(ready_line())
        await connection.close(1008, f"unknown: {KEY}, that is {'x' * 40} {KEY}"[:120])

    class Codec(LineCodec):
        def endpoint(self, config: SessionConfig) -> Endpoint:
            return Endpoint(url=url, headers=headers, subprotocols=protocols)

    events: list[Event] = []
    async with websockets.serve(handler, "127.0.0.1", 0, subprotocols=[*map(websockets.Subprotocol, protocols)]) as s:
        url = f"ws://127.0.0.1:{next(iter(s.sockets)).getsockname()[1]}"
        async with open_link(Codec(), SessionConfig()) as session:
            with pytest.raises(SessionFailed) as caught:  # noqa: PT012 - the loop is what ends so
                async for event in session:
                    events.append(event)
            told = [repr(session), caught.value, caught.value.fault]
    ours = [record.getMessage() for record in logged.records if record.name.startswith("voicebridge")]
    assert leaks(*events, *told, "".join(traceback.format_exception(caught.value)), *ours) == []
    assert "[hidden]" in caught.value.fault.message
