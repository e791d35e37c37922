"""The backends of a call whose connections are all recorded: the first in the folder named, others in folders in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from voicebridge.contract.session import Backend
from voicebridge.observe.recorder import RecordedBackend, check_free
from voicebridge.session.door import backend_of

__all__ = ["recorded"]


def recorded(spec: str, arguments: Mapping[str, Any], folder: Path) -> tuple[Backend, dict[str, Any]]:
    """The backend, and the arguments of `connect` for it, with recorders in between.

    Raises:
        BadRecording: the folder can't be used.
        ConfigError: a spec names no backend.
    """
    check_free(folder)
    names = _names(folder)
    backends = {
        one: RecordedBackend(backend_of(one), names, name=one) for one in (spec, *arguments.get("fallback", ()))
    }
    fallback = [backends[one] for one in arguments.get("fallback", ())]
    return backends[spec], {**arguments, **({"fallback": fallback} if fallback else {})}


def _names(folder: Path) -> Callable[[], Path]:
    """Where each connection goes: a call that is connected again, or fails over, has several."""
    numbers = count(1)

    def name() -> Path:
        number = next(numbers)
        return folder if number == 1 else folder / str(number)

    return name
