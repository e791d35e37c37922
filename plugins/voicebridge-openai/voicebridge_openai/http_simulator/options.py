"""What the simulator of this API can be told beside the settings that every simulator has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..simulator.replies import read_reply
from .dialects import DIALECTS

__all__ = ["HttpOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Options by name, as in `-o tokens_per_second=40` or `SimulatorSettings(options={"tokens_per_second": 40})`.

    Raises:
        ValueError: a value does not fit.
    """

    dialect: str = "openai"
    """Whose way to answer: `openai`, `ollama`, `llama.cpp`, `vllm`, `whisper.cpp`, or `plain`, which lacks all that one
    may lack."""
    replies: tuple[Any, ...] = ()
    """What the model answers in each turn of a caller (its key), then it echoes: a text,
    {"call": name, "arguments": {...}}, {"fail": code}, {"say": text, "end": "max_output_tokens"}, or a list of these
    for one answer."""
    transcripts: tuple[str | None, ...] = ()
    """What it understands in each turn of a caller, then always the last, where no recogniser listens. None: it
    fails."""
    recogniser: str | None = None
    """What writes speech down: `installed`, or a speech-to-text stage by its name. None: `transcripts`."""
    voice: str = "tone"
    """`tone`, `installed`, or a text-to-speech stage by its name."""
    tokens_per_second: float = 0.0
    """How fast the model writes after its first token. 0: as the profile says, which is at once for `instant`."""
    audio_speed: float = 0.0
    """Speech comes this many times faster than it plays, after its first audio. 0: all at once."""
    delta_ms: int = 100
    """Milliseconds of audio in one piece of speech."""
    ms_per_char: float = 65.0
    """Milliseconds that a tone takes for a character of the text."""
    require_key: bool = True
    """Refuse a request without a key (401), where the dialect has keys."""
    keys: tuple[str, ...] = ()
    """The keys that are let in. Empty: any."""
    forbidden_keys: tuple[str, ...] = ()
    """Keys without access: refused with 403."""
    limited_keys: tuple[str, ...] = ()
    """Keys over their rate: refused with 429 and `retry_after_s`."""
    exhausted_keys: tuple[str, ...] = ()
    """Keys without credit: refused with 429 `insufficient_quota`, and no Retry-After."""
    models: tuple[str, ...] = ()
    """The models that exist; another one is refused with 404. Empty: the dialect's own, or any where it has none."""
    max_requests: int = 0
    """At once; one more is refused with 429 and `retry_after_s`. 0: any number."""
    retry_after_s: int = 1
    """What a refusal with 429 says in Retry-After. Seconds."""

    def __post_init__(self) -> None:
        if self.dialect not in DIALECTS:
            raise ValueError(f"dialect must be one of {', '.join(DIALECTS)}, not {self.dialect!r}.")
        for reply in self.replies:
            read_reply(reply)
        if self.tokens_per_second < 0 or self.audio_speed < 0 or self.max_requests < 0 or self.retry_after_s < 0:
            raise ValueError("tokens_per_second, audio_speed, max_requests and retry_after_s must be 0 or more.")
        if self.ms_per_char <= 0 or not 10 <= self.delta_ms <= 10_000:
            raise ValueError("ms_per_char must be above 0, delta_ms between 10 and 10000.")
