"""What the simulator can be told beside the settings that every simulator has."""

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
    """What it understands of each caller's utterances, one after the other. The last one repeats."""
    phrase_pause_ms: int | None = None
    """An utterance is heard up to the first pause as long as this, as users see it on the live service. None: all."""
    pace: float = 8.0
    """Audio comes this many times faster than it plays. 0: all at once."""
    piece_ms: int = 100
    """Milliseconds of audio in one piece."""
    odd_pieces: bool = False
    """Cut pieces of audio after an odd number of bytes."""
    ms_per_char: float = 65.0
    """Milliseconds that a tone takes for a character of the text."""
    require_key: bool = True
    """Refuse who shows no key."""
    keys: tuple[str, ...] = ()
    """The keys that are let in. Empty: any."""
    used_up: tuple[str, ...] = ()
    """Keys of resources whose allowance is used up."""
    most_at_once: int = 0
    """Requests at once for one key; one more is refused as too many. 0: any number."""

    def __post_init__(self) -> None:
        if self.pace < 0 or self.ms_per_char <= 0 or not 10 <= self.piece_ms <= 10_000 or self.most_at_once < 0:
            raise ValueError("pace and most_at_once must be 0 or more, ms_per_char above 0, piece_ms from 10 to 10000.")
        if self.phrase_pause_ms is not None and self.phrase_pause_ms < 20:
            raise ValueError("phrase_pause_ms must be 20 or more.")
