"""What an answer is called, and the padding of its deltas: the same for the same seed and request."""

from __future__ import annotations

import random
import string
import time

__all__ = ["Identity", "padding"]

_SIGNS = string.ascii_letters + string.digits
_POOL = "".join(random.Random(7).choices(_SIGNS, k=512))  # padding is read by nobody: one pool serves all


class Identity:
    """Names for one answer."""

    def __init__(self, seed: int, request: int) -> None:
        self._rng = random.Random(f"{seed}/{request}/names")
        self.created = int(time.time())

    def new(self, prefix: str, length: int = 24) -> str:
        """Such as `call_E6U0...`; the prefix brings its own hyphen or line."""
        return prefix + "".join(self._rng.choices(_SIGNS, k=length))


def padding(delta: str) -> str:
    """Hides how long a delta of text is: together they fill multiples of 16 characters."""
    place = (len(delta) * 37) % 490
    return _POOL[place : place + 16 - len(delta) % 16]
