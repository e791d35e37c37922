"""Identifiers that look like the vendor's: a prefix and 21 letters and digits, the same for the same seed."""

from __future__ import annotations

import random
import string

__all__ = ["Identifiers"]

_SIGNS = string.ascii_letters + string.digits


class Identifiers:
    """Makes the identifiers of one connection."""

    def __init__(self, seed: int, connection: int) -> None:
        self._rng = random.Random(f"{seed}/{connection}/identifiers")

    def new(self, prefix: str, length: int = 21) -> str:
        """Such as `item_E6U0...`."""
        return f"{prefix}_{self.signs(length)}"

    def signs(self, length: int) -> str:
        """Letters and digits."""
        return "".join(self._rng.choices(_SIGNS, k=length))

    def obfuscation(self, delta: str) -> str:
        """The padding that hides how long a delta of text is: together they fill multiples of 16 characters."""
        return self.signs(16 - len(delta) % 16)
