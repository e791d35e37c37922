"""A wire to simulate, for tests of the command line: it gives back each frame, and counts that as a turn."""

from __future__ import annotations

import json
from dataclasses import dataclass

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.testing.simulator.engine import SimulatedServer
from voicebridge.testing.simulator.option import read_options
from voicebridge.testing.simulator.profile import profile_named
from voicebridge.testing.simulator.turn_log import TurnLog, TurnRecord
from voicebridge.testing.simulator.wire import HttpAnswer, HttpRequest, Link


@dataclass(frozen=True)
class Options:
    voice: str = "tone"
    """How it sounds."""
    prefix: str = ""
    """Comes before what is given back."""


class Wire:
    def __init__(self, link: Link, options: Options, log: TurnLog) -> None:
        self._link = link
        self._options = options
        self._log = log

    async def opened(self) -> None:
        await self._link.send("hello", json.dumps({"type": "hello", "voice": self._options.voice}))

    async def received(self, frame: str | bytes) -> None:
        self._log.add(TurnRecord(connection=self._link.number, turn=1, status="completed"))
        await self._link.send("echo", json.dumps({"type": "echo", "text": f"{self._options.prefix}{frame!s}"}))

    async def aclose(self) -> None: ...


class Vendor:
    subprotocols: tuple[str, ...] = ()
    largest_frame: int = 1000

    def __init__(self, options: Options, log: TurnLog) -> None:
        self._options = options
        self._log = log

    async def warm(self) -> None: ...

    def refusal(self, request: HttpRequest) -> HttpAnswer | None:
        return None

    def answer(self, request: HttpRequest) -> HttpAnswer:
        return HttpAnswer(status=404)

    def wire(self, link: Link, request: HttpRequest) -> Wire:
        return Wire(link, self._options, self._log)


def echo_server(settings: SimulatorSettings) -> SimulatedServer:
    options = read_options(Options, settings.options)
    profile_named(settings.profile, {})
    hints = ("curl {http}",)
    return SimulatedServer(settings, lambda log: Vendor(options, log), options=options, base_path="/v1", hints=hints)
