"""Networks run by onnxruntime, on a machine that does something else as well, and until nobody wants the result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .weights import required
from .worker import Stop, Stopped

__all__ = ["session", "stoppable"]


def session(path: Path, *, threads: int) -> Any:
    """The network in a file.

    Raises:
        MissingExtra: onnxruntime is not installed.
    """
    ort = required("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin between operators would take the other models' core from them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Each would keep the memory of the longest input ever: 150 MB for one long sentence. Without, nothing is slower.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 4  # a run that is stopped on purpose is no error to print
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@contextmanager
def stoppable(stop: Stop) -> Iterator[Any]:
    """Options for runs that end within milliseconds once `stop` is set.

    Raises:
        Stopped: they did.
    """
    options = required("onnxruntime").RunOptions()
    options.log_severity_level = 4
    stop.on_set(lambda: setattr(options, "terminate", True))
    try:
        yield options
    except Stopped:
        raise
    except Exception as error:
        if stop.wanted:
            raise
        raise Stopped from error
    finally:
        stop.on_set(None)
