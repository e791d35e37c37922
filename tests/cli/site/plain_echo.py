"""A vendor to simulate that speaks HTTP alone: it gives back each body."""

from __future__ import annotations

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.testing.simulator.engine import SimulatedServer
from voicebridge.testing.simulator.http_vendor import HttpVendor
from voicebridge.testing.simulator.wire import HttpRequest, Reply


class Vendor(HttpVendor):
    async def converse(self, request: HttpRequest, reply: Reply) -> None:
        await reply.start()
        await reply.send("body", request.body)


def echo_server(settings: SimulatorSettings) -> SimulatedServer:
    hints = ("curl -d hello {url}",)
    return SimulatedServer(settings, lambda log: Vendor(), base_path="/v1", hints=hints, scheme="http")
