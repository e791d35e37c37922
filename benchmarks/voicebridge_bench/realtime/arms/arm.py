"""What every client under test is to the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

__all__ = ["ARMS", "INSTRUCTIONS", "KEY", "MODEL", "OWN", "ArmSpec", "Call", "Dial", "Ears", "phone"]

MODEL = "gpt-realtime-2"
KEY = "sk-not-a-key"
INSTRUCTIONS = "Answer briefly."


@dataclass(frozen=True, slots=True)
class Ears:
    """Where a call's audio ends: in the application's hands."""

    hear: Callable[[bytes], None]
    """Called with each piece of PCM, as soon as an application would have it."""
    ended: Callable[[], None]
    """Called when a response is over."""


class Call(Protocol):
    """One session that is connected and configured."""

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""

    async def ask(self) -> None:
        """Ask for a response."""


Dial = Callable[[Ears], AbstractAsyncContextManager[Call]]


@dataclass(frozen=True, slots=True)
class ArmSpec:
    """A client by name."""

    title: str
    module: str
    """Of this package; its `phone(port)` is a context manager that gives a `Dial`."""
    packages: tuple[str, ...]
    """Distributions whose versions matter."""
    needs: tuple[str, ...] = ()
    """Modules that must be importable."""
    asks: bool = True
    """Whether a response can be asked for at will."""


ARMS = {
    "bare": ArmSpec("bare client", "bare", ("websockets",), ("websockets",)),
    "bare-tuned": ArmSpec(
        "bare client, orjson",
        "bare_tuned",
        ("websockets", "orjson", "pybase64"),
        ("websockets", "orjson", "pybase64"),
    ),
    "voicebridge": ArmSpec(
        "voicebridge", "door", ("voicebridge-sdk", "websockets", "orjson", "pybase64"), ("voicebridge",)
    ),
    "voicebridge-raw": ArmSpec(
        "voicebridge, one connection",
        "door_raw",
        ("voicebridge-sdk", "websockets", "orjson", "pybase64"),
        ("voicebridge",),
    ),
    "openai": ArmSpec("openai SDK", "openai_sdk", ("openai", "websockets"), ("openai",)),
    "openai-agents": ArmSpec("openai-agents", "openai_agents", ("openai-agents", "openai", "websockets"), ("agents",)),
    "livekit": ArmSpec(
        "LiveKit Agents",
        "livekit_model",
        ("livekit-agents", "livekit-plugins-openai", "livekit", "aiohttp"),
        ("livekit", "livekit.agents"),
    ),
    "pipecat": ArmSpec("Pipecat", "pipecat_pipeline", ("pipecat-ai", "websockets"), ("pipecat",), asks=False),
    "ag2": ArmSpec("AG2", "ag2_live", ("ag2", "openai", "websockets"), ("ag2", "openai"), asks=False),
}
OWN = ("bare", "bare-tuned", "voicebridge", "voicebridge-raw")
"""Those that run in our own interpreter."""


def phone(name: str, port: int) -> AbstractAsyncContextManager[Dial]:
    """What the client needs once in a process, and how it opens a session with the server on that port."""
    module: Any = import_module(f".{ARMS[name].module}", __package__)
    found: AbstractAsyncContextManager[Dial] = module.phone(port)
    return found
