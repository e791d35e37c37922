"""What guessing costs, and what it gains."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SpeculationCount"]


@dataclass(slots=True)
class SpeculationCount:
    """What guessing the end of turns gained and cost in this session. Told by the `cascade.timing` event."""

    guesses: int = 0
    used: int = 0
    """Guesses whose answer was spoken."""
    marks: int = 0
    """Texts that were asked for on a guess. Of a recogniser that uploads, each is an upload."""
    wasted_marks: int = 0
    """Those that were of no use."""
    wasted_characters: int = 0
    """Written by the model for answers that were thrown away."""
    wasted_audio_ms: float = 0.0
    """Spoken for answers that were thrown away."""

    @property
    def used_share(self) -> float:
        """0 to 1; 0 without guesses."""
        return self.used / self.guesses if self.guesses else 0.0
