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
    pace: float = 8.0
    """Audio comes this many times faster than it plays. 0: all at once."""
    chunk_ms: int = 100
    """Milliseconds of audio in one frame."""
    ms_per_char: float = 65.0
    """Milliseconds that a tone takes for a character of the text."""
    interim_ms: int = 500
    """Listen v1: milliseconds of audio between interim results. They come of `transcripts` only."""
    final_ms: int = 0
    """Listen v1: milliseconds of audio after which a piece of the utterance is final. 0: only when it is asked for."""
    eager_silence_ms: float = 120.0
    """Listen v2, where the profile has no `end_of_turn`: silence in the audio until `EagerEndOfTurn`."""
    end_silence_ms: float = 240.0
    """The same until `EndOfTurn`."""
    idle_s: float = 10.0
    """Listen: seconds without audio or `KeepAlive` until the connection is closed with 1011, NET-0001."""
    most_flushes: int = 20
    """Speak: of a connection in 60 s. One more is warned of and ignored."""
    require_key: bool = True
    """Refuse who shows no key (401)."""
    keys: tuple[str, ...] = ()
    """The keys that are let in. Empty: any."""
    max_connections: int = 0
    """At once; one more is refused with 429. 0: any number."""

    def __post_init__(self) -> None:
        if not self.transcripts:
            raise ValueError("transcripts holds at least one text.")
        if self.pace < 0 or self.ms_per_char <= 0 or not 10 <= self.chunk_ms <= 10_000:
            raise ValueError("pace must be 0 or more, ms_per_char above 0, chunk_ms between 10 and 10000.")
        if not 0 < self.eager_silence_ms <= self.end_silence_ms:
            raise ValueError("eager_silence_ms must be above 0 and not above end_silence_ms.")
        if self.interim_ms < 20 or self.final_ms < 0 or self.idle_s <= 0:
            raise ValueError("interim_ms must be 20 or more, final_ms 0 or more, idle_s above 0.")
