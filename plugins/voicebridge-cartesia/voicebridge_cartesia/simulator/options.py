"""What the simulator of these wires can be told beside the settings that every simulator has."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WireOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireOptions:
    """Options by name, as in `-o pace=4` or `SimulatorSettings(options={"pace": 4})`.

    Raises:
        ValueError: a value does not fit.
    """

    transcripts: tuple[str, ...] = ("Hello, can you hear me?",)
    """What it understands of each utterance of a connection, one after the other; the last one repeats."""
    recogniser: str | None = None
    """What writes speech down: `installed`, or a speech-to-text stage by its name. None: `transcripts`."""
    detector: str = "energy"
    """What finds speech: `energy`, `installed`, or a turn detector by its name."""
    voice: str = "tone"
    """`tone`, `installed`, or a text-to-speech stage by its name."""
    voices: tuple[str, ...] = ("Tessa", "Katie", "Ronald")
    """The names that `GET /voices` lists."""
    pace: float = 8.0
    """Audio comes this many times faster than it plays. 0: all at once."""
    chunk_ms: int = 100
    """Milliseconds of audio in one chunk."""
    ms_per_char: float = 65.0
    """Milliseconds that a tone takes for a character of the text."""
    context_s: float = 1.0
    """Seconds after its last audio when a context is over."""
    interim_ms: int = 500
    """Milliseconds of audio between texts that are not final. They come of `transcripts` only."""
    eager_silence_ms: float = 120.0
    """With turns, where the profile has no `end_of_turn`: silence in the audio until `turn.eager_end`."""
    end_silence_ms: float = 240.0
    """The same until `turn.end`."""
    idle_s: float = 180.0
    """Listening: seconds without a message until the connection is closed."""
    require_key: bool = True
    """Refuse who shows no key (401)."""
    keys: tuple[str, ...] = ()
    """The keys that are let in. Empty: any."""
    max_contexts: int = 0
    """That speak at once; one more is refused with 429. 0: any number."""

    def __post_init__(self) -> None:
        if not self.transcripts:
            raise ValueError("transcripts holds at least one text.")
        if self.pace < 0 or self.ms_per_char <= 0 or not 10 <= self.chunk_ms <= 10_000:
            raise ValueError("pace must be 0 or more, ms_per_char above 0, chunk_ms between 10 and 10000.")
        if not 0 < self.eager_silence_ms <= self.end_silence_ms:
            raise ValueError("eager_silence_ms must be above 0 and not above end_silence_ms.")
        if self.interim_ms < 20 or self.idle_s <= 0 or self.context_s <= 0:
            raise ValueError("interim_ms must be 20 or more, idle_s and context_s above 0.")
