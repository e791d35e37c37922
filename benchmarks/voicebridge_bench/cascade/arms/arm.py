"""What every client under test is to the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from voicebridge_bench.cascade.ideal import Strategy
from voicebridge_bench.realtime.arms.arm import Ears

__all__ = ["ARMS", "FLOORS", "INSTRUCTIONS", "OWN", "ArmSpec", "Call", "Dial", "Ears", "Setup", "phone"]

INSTRUCTIONS = "Answer briefly."


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Whom a client talks to, and how."""

    urls: Mapping[str, str]
    """Base URLs by seat: `stt`, `llm`, `tts`."""
    spec: str = ""
    """The stages by name, for voicebridge."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Their models by seat, for everybody else."""
    silence_ms: int | None = None
    """That ends a turn. None: as the client comes out of its box."""


class Call(Protocol):
    """One session that is connected and configured."""

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""

    def guesses(self) -> Mapping[str, float]:
        """What guessing gained and cost so far (see `SpeculationCount`). Empty where that is not known."""


Dial = Callable[[Ears, str], AbstractAsyncContextManager[Call]]
"""Opens a session with a key of its own, by which the vendors tell it from others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSpec:
    """A client by name."""

    title: str
    module: str
    """Of this package; its `phone(setup, **options)` is a context manager that gives a `Dial`."""
    strategy: str
    """What it does while it waits, in words. For our own and the plain ones, a `Strategy`."""
    detector: str
    """What finds the ends of turns."""
    own_silence: str
    """That ends a turn out of the box."""
    packages: tuple[str, ...]
    """Distributions whose versions matter."""
    needs: tuple[str, ...] = ()
    """Modules that must be importable."""
    rate: int = 24_000
    """Samples a second that its microphone gives."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """For `phone`."""
    bound: Strategy | None = None
    """The bound that it is held against."""
    guess_ms: float = 0.0
    """Silence at which it begins to guess."""
    speaks_whole: bool = False
    """It has the whole answer before it speaks, and not only the first clause."""


_OURS = ("voicebridge-sdk", "websockets", "orjson")
_LEVEL = "level of 20 ms, -40 dB"


def _ours(title: str, strategy: Strategy, speculate: str, **more: Any) -> ArmSpec:
    return ArmSpec(
        title=title,
        module="door",
        strategy=strategy,
        bound=strategy,
        guess_ms=60.0,
        packages=_OURS,
        needs=("voicebridge",),
        options={"speculate": speculate},
        **({"detector": _LEVEL, "own_silence": "500 ms"} | more),
    )


def _bare(strategy: Strategy) -> ArmSpec:
    return ArmSpec(
        title=f"bare client, {strategy}",
        module="bare",
        strategy=strategy,
        bound=strategy,
        guess_ms=60.0,
        detector=_LEVEL,
        own_silence="500 ms",
        packages=(),
        options={"strategy": strategy},
    )


ARMS = {
    "bare-commit": _bare("commit-driven"),
    "bare-overlapped": _bare("overlapped"),
    "bare": _bare("speculative"),
    "plain": ArmSpec(
        title="plain loop",
        module="plain",
        strategy="commit-driven, waits for the whole answer",
        bound="commit-driven",
        speaks_whole=True,
        detector=_LEVEL,
        own_silence="500 ms",
        packages=("httpx",),
        needs=("httpx",),
    ),
    "plain-early": ArmSpec(
        title="plain loop, early",
        module="plain_early",
        strategy="speculative",
        bound="speculative",
        guess_ms=100.0,
        detector=_LEVEL,
        own_silence="500 ms",
        packages=("httpx",),
        needs=("httpx",),
    ),
    "voicebridge-commit": _ours("voicebridge, commit-driven", "commit-driven", "none"),
    "voicebridge-overlapped": _ours("voicebridge, overlapped", "overlapped", "transcript"),
    "voicebridge": _ours("voicebridge", "speculative", "reply"),
    "voicebridge-box": ArmSpec(
        title="voicebridge, its own detector",
        module="door",
        strategy="speculative",
        detector="its default: Silero where it is installed",
        own_silence="200 ms",
        packages=_OURS,
        needs=("voicebridge",),
        options={"detector": None},
    ),
    "ag2": ArmSpec(
        title="AG2 CascadeConfig",
        module="ag2_cascade",
        strategy="commit-driven, speaks sentences of 60 characters or more",
        detector="SilenceTurnDetector (level)",
        own_silence="700 ms",
        packages=("ag2", "openai"),
        needs=("ag2", "openai"),
    ),
    "openai-agents": ArmSpec(
        title="openai-agents VoicePipeline",
        module="openai_agents_pipeline",
        strategy="commit-driven, speaks sentences",
        detector=f"none of its own: {_LEVEL}",
        own_silence="none of its own",
        packages=("openai-agents", "openai"),
        needs=("agents",),
    ),
    "livekit": ArmSpec(
        title="LiveKit AgentSession",
        module="livekit_session",
        strategy="overlapped, model on a guess",
        detector="its Silero",
        own_silence="its turn model",
        packages=("livekit-agents", "livekit-plugins-openai", "openai"),
        needs=("livekit.agents", "livekit.plugins.openai"),
    ),
    "pipecat": ArmSpec(
        title="Pipecat pipeline",
        module="pipecat_pipeline",
        strategy="overlapped",
        detector="its Silero",
        own_silence="200 ms, and its smart-turn",
        packages=("pipecat-ai", "openai"),
        needs=("pipecat", "onnxruntime"),
        rate=16_000,
    ),
}
FLOORS = {"voicebridge-commit": "bare-commit", "voicebridge-overlapped": "bare-overlapped", "voicebridge": "bare"}
"""The bare client of each of ours, with the same strategy."""
OWN = (
    *FLOORS.values(),
    "plain",
    "plain-early",
    "voicebridge-commit",
    "voicebridge-overlapped",
    "voicebridge",
    "voicebridge-box",
)
"""Those that run in our own interpreter."""


def phone(name: str, setup: Setup) -> AbstractAsyncContextManager[Dial]:
    """What the client needs once in a process, and how it opens a session."""
    spec = ARMS[name]
    module: Any = import_module(f".{spec.module}", __package__)
    found: AbstractAsyncContextManager[Dial] = module.phone(setup, **spec.options)
    return found
