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
    alignment: str = "segment"
    """What the websocket times: `segment`: the first message of a segment times all of it, as the live service was
    seen to do. `message`: each message times itself. `none`: nothing is timed."""
    pace: float = 8.0
    """Audio comes this many times faster than it plays. 0: all at once."""
    piece_ms: int = 100
    """Milliseconds of audio in one piece."""
    ms_per_char: float = 65.0
    """Milliseconds that a tone takes for a character of the text."""
    odd_pieces: bool = False
    """Cut pieces of audio after an odd number of bytes."""
    require_key: bool = True
    """Refuse who shows no key."""
    keys: tuple[str, ...] = ()
    """The keys that are let in. Empty: any."""
    empty_accounts: tuple[str, ...] = ()
    """Keys of accounts whose credits are used up."""
    most_at_once: int = 0
    """Answers at once for one key; one more is refused as too many. 0: any number."""
    scribe_idle_s: float = 15.0
    """Seconds without audio after which a transcription session ends."""
    session_s: float | None = None
    """Seconds after which a transcription session ends. None: it does not."""

    def __post_init__(self) -> None:
        if self.alignment not in ("segment", "message", "none"):
            raise ValueError(f"alignment must be 'segment', 'message' or 'none', not {self.alignment!r}.")
        if self.pace < 0 or self.ms_per_char <= 0 or not 10 <= self.piece_ms <= 10_000:
            raise ValueError("pace must be 0 or more, ms_per_char above 0, piece_ms between 10 and 10000.")
        if self.scribe_idle_s <= 0:
            raise ValueError("scribe_idle_s must be above 0.")
