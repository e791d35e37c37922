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

    voice: str = "tone"
    """`tone`, `installed`, or a text-to-speech stage by its name."""
    recogniser: str | None = None
    """What writes speech down: `installed`, or a speech-to-text stage by its name. None: `transcripts`."""
    transcripts: tuple[str, ...] = ()
    """What it understands of each caller's utterances, one after the other, where no recogniser listens. The last one
    repeats."""
    pace: float = 8.0
    """Audio comes this many times faster than it plays. 0: all at once."""
    piece_ms: int = 100
    """Milliseconds of audio in one piece."""
    ms_per_char: float = 65.0
    """Milliseconds that a tone takes for a character of the text."""
    odd_pieces: bool = False
    """Cut pieces of audio after an odd number of bytes."""
    secret: str = "simulated"
    """The secret access key of everybody."""
    keys: tuple[str, ...] = ()
    """The access key ids that are known. Empty: any."""
    may_list: bool = True
    """Whether the account's policy lets its keys look at the list of voices."""
    most_at_once: int = 0
    """Requests and streams at once for one key; one more is refused. 0: any number."""
    idle_s: float = 15.0
    """Seconds without audio after which a stream ends."""
    closes: bool = True
    """Whether a stream is closed once its last text is sent."""

    def __post_init__(self) -> None:
        if self.pace < 0 or self.ms_per_char <= 0 or not 10 <= self.piece_ms <= 10_000:
            raise ValueError("pace must be 0 or more, ms_per_char above 0, piece_ms between 10 and 10000.")
        if self.idle_s <= 0:
            raise ValueError("idle_s must be above 0.")
        if not self.secret:
            raise ValueError("secret must not be empty.")
