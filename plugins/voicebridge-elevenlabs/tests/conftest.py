"""A simulated vendor, and what stages are given and give."""

from __future__ import annotations

import math
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.contract.stages import SpeechToText, TextToSpeech
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.engine import SimulatedServer


@dataclass
class Vendor:
    """A running simulator."""

    url: str
    server: SimulatedServer

    def voice(self, model: str = "eleven_flash_v2_5", **config: Any) -> TextToSpeech:
        """The voice's stage, configured."""
        return self._stage("tts", model, config)  # type: ignore[no-any-return]  # the seat says what it is

    def recogniser(self, model: str = "scribe_v2_realtime", **config: Any) -> SpeechToText:
        """The recogniser's stage, configured."""
        return self._stage("stt", model, config)  # type: ignore[no-any-return]  # the seat says what it is

    def _stage(self, seat: Any, model: str, config: dict[str, Any]) -> Any:
        stage = registry().stage(seat, f"elevenlabs/{model}")
        stage.configure(SessionConfig.model_validate({"base_url": self.url, "api_key": "k1"} | config))
        return stage


class Serve(Protocol):
    """Makes a vendor."""

    def __call__(
        self, *, faults: Iterable[str] = (), profile: str = "instant", **options: Any
    ) -> AbstractAsyncContextManager[Vendor]: ...


@pytest.fixture
def serve() -> Serve:
    """A simulated vendor with these options: at once, unless told otherwise."""

    @asynccontextmanager
    async def served(*, faults: Iterable[str] = (), profile: str = "instant", **options: Any) -> AsyncIterator[Vendor]:
        settings = SimulatorSettings(faults=tuple(faults), profile=profile, options={"pace": 0} | options)
        server = cast(SimulatedServer, registry().simulator("elevenlabs", settings))
        async with server.serve() as url:
            yield Vendor(url, server)

    return served


@pytest.fixture
def tone() -> Callable[[float], bytes]:
    """Makes a loud tone of so many seconds, PCM16 at 16 kHz."""
    return lambda seconds: b"".join(
        struct.pack("<h", int(9000 * math.sin(n / 4))) for n in range(int(16_000 * seconds))
    )


@pytest.fixture
def stream() -> Callable[..., AsyncIterator[Any]]:
    """Makes an input of a stage: these pieces, one after the other."""

    async def streamed(*pieces: Any) -> AsyncIterator[Any]:
        for piece in pieces:
            yield piece

    return streamed
