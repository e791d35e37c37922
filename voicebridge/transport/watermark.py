"""How much of the sent audio has certainly arrived.

That `send` returned proves nothing: the operating system swallows a minute of audio for a peer that reads none of it. A
ping does: frames are handled in order, so its pong says that all before it was received. (Through a proxy that answers
pings itself, it was received by the proxy.)
"""

from __future__ import annotations

__all__ = ["Watermark"]


class Watermark:
    """Counts bytes of audio: written, and known to have arrived. One ping is under way at a time."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        """Written to the socket."""
        self.confirmed_bytes = 0
        """Received by the peer, for certain."""
        self._barrier_bytes: int | None = None

    @property
    def unconfirmed_bytes(self) -> int:
        """Written, and perhaps still on the way."""
        return self.sent_bytes - self.confirmed_bytes

    @property
    def barrier_is_out(self) -> bool:
        """Whether a ping waits for its pong."""
        return self._barrier_bytes is not None

    def sent(self, size: int) -> None:
        """So much audio was written."""
        self.sent_bytes += size

    def barrier(self) -> None:
        """A ping was written behind it."""
        self._barrier_bytes = self.sent_bytes

    def passed(self) -> None:
        """Its pong came."""
        if self._barrier_bytes is not None:
            self.confirmed_bytes, self._barrier_bytes = self._barrier_bytes, None
