"""What one worker process is asked to do."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Job"]


class Job(BaseModel):
    """Sessions with one backend in one setting, one after the other in one process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: str
    """A spec, as for `voicebridge.connect`."""
    corpus: str
    """The name of a bundled corpus, or a folder."""
    sessions: tuple[tuple[str, str], ...]
    """(name of the session, name of the conversation), in the order in which they are held."""
    cold: bool = False
    silence_ms: int | None = None
    """Milliseconds of silence that end a turn; None: the backend's own."""
    instructions: str | None = None
    """For the model."""
    options: dict[str, Any] = Field(default_factory=dict)
    """More options of `voicebridge.connect`."""
    ready_s: float = 60.0
    """Seconds from connecting until the backend listens, at most."""
    reply_s: float = 10.0
    """Seconds from the end of the user's speech after which a missing reply is a failure."""
    cut_s: float = 12.0
    """Seconds of a reply that are listened to."""
