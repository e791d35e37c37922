"""Models in memory: loaded once a process, whoever asks first, and shared by all sessions."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from voicebridge.contract.errors import MissingExtra
from voicebridge.transport.thread import in_thread

from .heap import give_back, keep_one_heap

__all__ = ["Weights", "installed_folder", "required"]

M = TypeVar("M")
_log = logging.getLogger("voicebridge.local")
_LOADED_WITHIN_S = 20.0
"""Longer than that the end of the process waits for no load."""
_loading: set[threading.Thread] = set()


@atexit.register
def _wait_for_loads() -> None:
    """A runtime of C++ that is still loading when the interpreter goes would abort the process."""
    deadline = time.monotonic() + _LOADED_WITHIN_S
    for thread in tuple(_loading):
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))


class Weights(Generic[M]):
    """One model, loaded by the first `get` in a thread; the others wait for it.

    Each load writes two lines to the logger `voicebridge.local`: that it begins, and how long it took.

    Args:
        name: for people.
        load: makes the model ready to answer at full speed. Runs in a thread, never twice at once.
    """

    def __init__(self, name: str, load: Callable[[], M]) -> None:
        self.name = name
        self._load = load
        self._lock = threading.Lock()
        self._model: M | None = None

    @property
    def loaded(self) -> bool:
        """Whether it is in memory."""
        return self._model is not None

    async def get(self) -> M:
        """The model.

        Raises:
            MissingExtra: its packages are not installed.
            Exception: loading failed. The next call tries again.
        """
        if self._model is not None:
            return self._model
        # A cancelled wait leaves the thread to finish: the next session will want the model all the same.
        return await in_thread(self._get, f"voicebridge.local: load {self.name}")

    def now(self) -> M:
        """The model, which `get` has loaded before.

        Raises:
            RuntimeError: it has not.
        """
        if self._model is None:
            raise RuntimeError(f"{self.name} is not loaded: `warm` comes first")
        return self._model

    def _get(self) -> M:
        with self._lock:
            if self._model is None:
                began = time.perf_counter()
                _log.info("Loading %s ...", self.name)
                keep_one_heap()
                _loading.add(threading.current_thread())
                try:
                    self._model = self._load()
                finally:
                    _loading.discard(threading.current_thread())
                give_back()  # what only loading needed
                _log.info("Loaded %s in %.2f s.", self.name, time.perf_counter() - began)
            return self._model


def required(module: str, extra: str = "local") -> ModuleType:
    """Import a module that an extra brings.

    Raises:
        MissingExtra: it is not installed. The message holds the command that installs it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # it is there, but something that it needs itself is not
        raise _missing(module, extra) from error


def installed_folder(package: str, extra: str = "local") -> Path:
    """Where a package lies, without importing it: of some packages only the weights are wanted.

    Raises:
        MissingExtra: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(package, extra)
    return Path(spec.submodule_search_locations[0])


def _missing(module: str, extra: str) -> MissingExtra:
    return MissingExtra(
        f"The Python module {module!r} is not installed here. In a clone of voicebridge: pip install '.[{extra}]'",
        code="missing_extra",
    )
