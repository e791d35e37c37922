"""What the simulator of this wire can be told beside the settings that every simulator has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .dialects import DIALECTS
from .replies import read_reply

__all__ = ["WireOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireOptions:
    """Options by name, as in `-o pace=4` or `SimulatorSettings(options={"pace": 4})`.

    Raises:
        ValueError: a value does not fit.
    """

    dialect: str = "openai"
    """Whose way to speak the wire: `openai`, `azure`, `xai`, `elevenlabs` or `speech-to-speech`."""
    replies: tuple[Any, ...] = ()
    """What the model answers, one after the other, then it echoes: a text, {"call": name, "arguments": {...}},
    {"fail": code}, {"say": text, "end": "max_output_tokens"}, or a list of these for several items in one response."""
    transcripts: tuple[str | None, ...] = ()
    """What it understands of each spoken turn, one after the other, where no recogniser listens. None: it fails."""
    voice: str = "tone"
    """`tone`, `installed`, or a text-to-speech stage by its name."""
    detector: str = "energy"
    """What finds speech: `energy`, `installed`, or a turn detector by its name."""
    recogniser: str | None = None
    """What writes speech down: `installed`, or a speech-to-text stage by its name. None: `transcripts`."""
    pace: float = 8.0
    """Audio comes this many times faster than it plays. 0: all at once."""
    delta_ms: int = 100
    """Milliseconds of audio in one delta."""
    ms_per_char: float = 65.0
    """Milliseconds that a tone takes for a character of the text."""
    require_key: bool = True
    """Refuse a handshake without a key (401), where the dialect has keys."""
    keys: tuple[str, ...] = ()
    """The keys that are let in. Empty: any."""
    forbidden_keys: tuple[str, ...] = ()
    """Keys without access: refused with 403."""
    models: tuple[str, ...] = ()
    """The models that exist; another one is refused with 404. Empty: any."""
    max_connections: int = 0
    """At once; one more is refused with 429 and `retry_after_s`. 0: any number."""
    retry_after_s: int = 1
    """What a refusal with 429 says in Retry-After. Seconds."""
    session_s: float | None = None
    """Seconds until a session ends. None: as the dialect does, an hour for most."""
    session_end: str = "close"
    """How it ends: `close` with 1001 at once, or an `error` session_expired before that."""
    start_ms: float = 0.0
    """Milliseconds until a response that was asked for exists: a cancel before that finds nothing to stop."""
    rate_limits: bool = True
    """Tell `rate_limits.updated` after each response."""
    silence_ms: int = 200
    """`silence_duration_ms` of a session that does not say it: 200 as recorded; the documents say 500."""

    def __post_init__(self) -> None:
        if self.dialect not in DIALECTS:
            raise ValueError(f"dialect must be one of {', '.join(DIALECTS)}, not {self.dialect!r}.")
        for reply in self.replies:
            read_reply(reply)
        if self.pace < 0 or self.ms_per_char <= 0 or not 10 <= self.delta_ms <= 10_000:
            raise ValueError("pace must be 0 or more, ms_per_char above 0, delta_ms between 10 and 10000.")
        if self.session_end not in ("close", "error"):
            raise ValueError(f"session_end must be 'close' or 'error', not {self.session_end!r}.")
