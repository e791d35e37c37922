"""A simulated vendor, and what stages are given and give."""

from __future__ import annotations

import math
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import pytest

from voicebridge import connect_raw
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.contract.stages import PCM_16K
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.engine import SimulatedServer
from voicebridge.testing.stages import ScriptedRecogniser
from voicebridge.testing.user import User


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have a resource of their own."""
    for name in ("AZURE_SPEECH_KEY", "AZURE_SPEECH_REGION"):
        monkeypatch.delenv(name, raising=False)


@dataclass
class Vendor:
    """A running simulator."""

    url: str
    server: SimulatedServer

    def voice(self, model: str = "neural", **config: Any) -> Any:
        """The voice's stage, configured."""
        return self._stage("tts", model, config)

    def recogniser(self, model: str = "speech", **config: Any) -> Any:
        """The recogniser's stage, configured."""
        return self._stage("stt", model, config)

    def _stage(self, seat: Any, model: str, config: dict[str, Any]) -> Any:
        stage = registry().stage(seat, f"azure/{model}")
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
        server = cast(SimulatedServer, registry().simulator("azure-speech", settings))
        async with server.serve() as url:
            yield Vendor(url, server)

    return served


@pytest.fixture
def talk() -> Callable[..., AbstractAsyncContextManager[User]]:
    """A user before a cascade: scripted stages, and what is given in their place. All that it promises is checked."""

    @asynccontextmanager
    async def talking(*, stt: Any = None, llm: Any = None, tts: Any = None, **options: Any) -> AsyncIterator[User]:
        backend = CascadeBackend(
            stt=stt or ScriptedRecogniser(["hello"]), llm=llm, tts=tts, detector=EnergyDetector(frame_ms=20)
        )
        async with connect_raw(backend, turns={"silence_ms": 200}, input_format=PCM_16K, **options) as session:
            user = User(session)
            try:
                yield user
            finally:
                await user.done()
        user.check()

    return talking


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
