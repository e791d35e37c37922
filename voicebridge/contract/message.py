"""Plain data that crosses the boundary."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Message"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A frozen, slotted, keyword-only dataclass that can be written as JSON: what commands and events are."""

    __pydantic_config__: ClassVar[dict[str, str]] = {
        "ser_json_bytes": "base64",
        "val_json_bytes": "base64",
        "ser_json_inf_nan": "strings",
    }

    @classmethod
    def type_name(cls) -> str:
        """The word that stands for this class on a line of JSON: `SendAudio` is `send_audio`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()
