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
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.engine import SimulatedServer

VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)


@pytest.fixture(autouse=True)
def nobodys_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No credentials and no settings of whoever runs the tests; and no machine is asked for its role."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@dataclass
class Vendor:
    """A running simulator."""

    url: str
    server: SimulatedServer

    def stage(self, seat: Any, name: str, **config: Any) -> Any:
        """A stage that asks it, configured."""
        stage = registry().stage(seat, name)
        stage.configure(SessionConfig.model_validate({"base_url": self.url} | config))
        return stage

    @property
    def causes(self) -> list[str]:
        """What was asked of it, in order."""
        return [record.cause for record in self.server.turns.turns]


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
        server = cast(SimulatedServer, registry().simulator("aws-speech", settings))
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
