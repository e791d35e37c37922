"""`import voicebridge` in a fresh interpreter: light, and quick."""

import subprocess
import sys

PROGRAM = """
import sys, time
began = time.perf_counter()
import voicebridge
print(time.perf_counter() - began, *(name for name in sys.modules if "." not in name))
"""


def _fresh() -> tuple[float, set[str]]:
    """Seconds that the import took, and what was imported with it."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    seconds, *modules = done.stdout.split()
    return float(seconds), set(modules)


def test_import(record) -> None:
    """20 interpreters, one after the other."""
    assert not _fresh()[1] & {"numpy", "onnxruntime", "websockets"}
    record([_fresh()[0] for _ in range(20)])
