"""What is known of each model: names, limits, prices, and when it will be shut down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

__all__ = ["MODELS", "Model", "model_of"]

_PER_TOKEN = 1e-6
_PER_HOUR = 1 / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model of one vendor."""

    vendor: str
    """The name of its dialect."""
    name: str
    aliases: tuple[str, ...] = ()
    kind: Literal["realtime", "transcription"] = "realtime"
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    max_session_s: float | None = None
    """None: as its dialect says."""
    reasoning: bool = False
    """Whether it takes `reasoning_effort` and `parallel_tool_calls`."""
    keywords: Literal["keywords", "prompt", "none"] = "none"
    """How a transcription model is told the words to expect."""
    live: bool = False
    """Whether a transcription model writes while the user still speaks."""
    delays: bool = False
    """Whether a transcription model takes `transcription_delay`."""
    prices: Mapping[str, float] = field(default_factory=dict)
    """US dollars by unit of `UsageReported` (a token, a second)."""
    priced_on: date | None = None
    source: str = ""
    shuts_down: date | None = None
    unverified: str = ""

    @property
    def note(self) -> str:
        """Where this row is from, and what of it is not known."""
        unknown = f"not known: {self.unverified}" if self.unverified else ""
        return "; ".join(filter(None, (self.source, unknown)))


def _tokens(
    text: tuple[float, float], audio: tuple[float, float], cached: tuple[float, float], image: float | None = None
) -> dict[str, float]:
    """Dollars for each token, from dollars for a million: in and out, cached text and cached audio."""
    prices = {
        "input_text_tokens": text[0],
        "output_text_tokens": text[1],
        "input_audio_tokens": audio[0],
        "output_audio_tokens": audio[1],
        "cached_text_tokens": cached[0],
        "cached_audio_tokens": cached[1],
    }
    if image is not None:
        prices["input_image_tokens"] = image
    return {unit: price * _PER_TOKEN for unit, price in prices.items()}


def _hourly(dollars: float) -> dict[str, float]:
    return {"audio_s": dollars * _PER_HOUR}


_PRICED = date(2026, 11, 23)
_LIST = "genai-prices 0.2.3 (a third party's table)"
_REALTIME_ENDS = date(2027, 1, 20)
_TRANSCRIBE_ENDS = date(2027, 2, 26)
_SHUTDOWN = "shutdown: announced in the types of the openai SDK 3.54"

MODELS: tuple[Model, ...] = (
    Model(
        vendor="openai",
        name="gpt-realtime-2",
        context_tokens=128_000,
        max_output_tokens=32_000,
        reasoning=True,
        prices=_tokens((4, 24), (32, 64), (0.4, 0.4), 5),
        priced_on=_PRICED,
        source=_LIST,
    ),
    Model(
        vendor="openai", name="gpt-realtime-2.1", reasoning=True, unverified="its limits, its prices, that it reasons"
    ),
    Model(
        vendor="openai",
        name="gpt-realtime-2.1-mini",
        reasoning=True,
        unverified="its limits, its prices, that it reasons",
    ),
    Model(vendor="openai", name="gpt-realtime-1.5", unverified="its limits and prices"),
    Model(
        vendor="openai",
        name="gpt-realtime",
        aliases=("gpt-realtime-2025-08-28",),
        context_tokens=32_000,
        max_output_tokens=4_096,
        prices=_tokens((4, 16), (32, 64), (0.4, 0.4)),
        priced_on=_PRICED,
        source=f"{_LIST}; {_SHUTDOWN}",
        shuts_down=_REALTIME_ENDS,
        unverified="its price for cached tokens",
    ),
    Model(
        vendor="openai",
        name="gpt-realtime-mini",
        aliases=("gpt-realtime-mini-2025-12-15",),
        prices=_tokens((0.6, 2.4), (10, 20), (0.06, 0.3)),
        priced_on=_PRICED,
        source=f"{_LIST}; {_SHUTDOWN}",
        shuts_down=_REALTIME_ENDS,
        unverified="its limits",
    ),
    Model(
        vendor="openai",
        name="gpt-realtime-whisper",
        kind="transcription",
        live=True,
        delays=True,
        prices=_hourly(1.02),
        priced_on=_PRICED,
        source=_LIST,
    ),
    Model(
        vendor="openai",
        name="gpt-live-transcribe",
        kind="transcription",
        live=True,
        keywords="keywords",
        prices=_hourly(1.02),
        priced_on=_PRICED,
        source=_LIST,
    ),
    Model(
        vendor="openai",
        name="gpt-transcribe",
        kind="transcription",
        keywords="keywords",
        prices=_hourly(0.27),
        priced_on=_PRICED,
        source=_LIST,
    ),
    Model(
        vendor="openai",
        name="whisper-1",
        kind="transcription",
        keywords="prompt",
        prices=_hourly(0.36),
        priced_on=_PRICED,
        source=f"{_LIST}; {_SHUTDOWN}",
        shuts_down=_TRANSCRIBE_ENDS,
    ),
    *(
        Model(
            vendor="openai",
            name=name,
            aliases=aliases,
            kind="transcription",
            keywords="none" if name.endswith("diarize") else "prompt",
            source=_SHUTDOWN,
            shuts_down=_TRANSCRIBE_ENDS,
            unverified="its price",
        )
        for name, aliases in (
            ("gpt-4o-transcribe", ()),
            ("gpt-4o-mini-transcribe", ("gpt-4o-mini-transcribe-2025-12-15",)),
            ("gpt-4o-transcribe-diarize", ()),
        )
    ),
    Model(
        vendor="xai",
        name="grok-voice-latest",
        aliases=("grok-voice-think-fast-2.0",),
        prices=_hourly(4.8),
        priced_on=_PRICED,
        source="pydantic-ai 2.68; text messages cost 4 dollars a thousand more",
        unverified="which model the alias `latest` stands for today",
    ),
    Model(
        vendor="xai",
        name="grok-voice-think-fast-1.0",
        prices=_hourly(3.0),
        priced_on=_PRICED,
        source="pydantic-ai 2.68; text messages cost 4 dollars a thousand more",
    ),
    *(
        Model(
            vendor="elevenlabs",
            name=f"eleven_realtime_v1_{size}",
            aliases=aliases,
            prices=_hourly(4.8),
            priced_on=_PRICED,
            source="pydantic-ai 2.68; tokens cost extra",
            unverified="whether both sizes cost the same, and the price of tokens",
        )
        for size, aliases in (("mini", ("realtime", "realtime_v1_mini")), ("max", ("realtime_v1_max",)))
    ),
)


def model_of(vendor: str, name: str) -> Model | None:
    """The row of a model by its name or an alias of it; None for one that is not listed, which is no error."""
    for model in MODELS:
        if model.vendor == vendor and name in (model.name, *model.aliases):
            return model
    return None
