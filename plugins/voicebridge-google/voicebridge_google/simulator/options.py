"""What the simulator can be told beside the settings that every simulator has."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["WireOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireOptions:
    """Options by name, as in `-o recogniser=installed` or `SimulatorSettings(options={"voice": "installed"})`.

    Raises:
        ValueError: a value does not fit.
    """

    voice: str = "tone"
    """`tone`, `installed`, or a text-to-speech stage by its name."""
    recogniser: str | None = None
    """What writes speech down: `installed`, or a speech-to-text stage by its name. None: `transcripts`."""
    transcripts: tuple[str, ...] = ()
    """What it understands of each caller's utterances, one after the other. The last one repeats."""
    ms_per_char: float = 65.0
    """Milliseconds that a tone takes for a character of the text."""
    require_token: bool = True
    """Refuse who shows no access token."""
    tokens: tuple[str, ...] = ()
    """The access tokens that are let in. Empty: any."""
    denied: tuple[str, ...] = ()
    """Tokens of accounts that may not use the API."""
    most_at_once: int = 0
    """Requests at once for one token; one more is refused as too many. 0: any number."""

    def __post_init__(self) -> None:
        if self.ms_per_char <= 0 or self.most_at_once < 0:
            raise ValueError("ms_per_char must be above 0, most_at_once 0 or more.")
