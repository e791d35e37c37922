"""What voicebridge raises. Each error holds a `Fault`, so that code can decide and a person can read.

VoiceBridgeError
 ├── ConfigError                the caller asked for something that does not exist or does not fit
 │    ├── BackendNotFound       no backend or stage of that name; names the nearest ones
 │    ├── MissingExtra          known, but its packages are not installed; names the command
 │    ├── BrokenPlugin          installed, but it failed to load; holds the cause
 │    ├── BadOption             an option that the backend does not know
 │    ├── BadAudio              a file or a buffer that is no usable audio
 │    ├── BadRecording          a folder that holds no recorded session that can be read, or can't hold one
 │    ├── ReplayDiverged        a replayed session was given another command than the recorded one
 │    └── NoSoundDevice         no microphone or speaker here
 ├── NoFreeKey                  no API key of a pool is free, or none can be used any more
 ├── Unsupported                the backend can't do this; raised before a byte is sent
 ├── SessionClosed              `send` after the end
 ├── SessionFailed              the session ended by itself; the last event said why
 └── ConcurrentIteration        two consumers wait for events of one session
"""

from __future__ import annotations

from .fault import Category, Fault

__all__ = [
    "BackendNotFound",
    "BadAudio",
    "BadOption",
    "BadRecording",
    "BrokenPlugin",
    "ConcurrentIteration",
    "ConfigError",
    "MissingExtra",
    "NoFreeKey",
    "NoSoundDevice",
    "ReplayDiverged",
    "SessionClosed",
    "SessionFailed",
    "Unsupported",
    "VoiceBridgeError",
]


class VoiceBridgeError(Exception):
    """Anything that voicebridge raises on purpose."""

    category: Category = "protocol"
    retryable: bool = False

    def __init__(self, problem: str | Fault, *, code: str = "", command_id: str | None = None) -> None:
        if isinstance(problem, str):
            problem = Fault(category=self.category, message=problem, code=code, retryable=self.retryable)
        self.fault = problem
        self.category = problem.category
        self.retryable = problem.retryable
        self.command_id = command_id
        """The command that this answers, where it answers one."""
        super().__init__(problem.message)


class ConfigError(VoiceBridgeError):
    """The caller asked for something that does not exist or does not fit."""

    category: Category = "config"


class BackendNotFound(ConfigError):
    """No backend or stage has that name."""


class MissingExtra(ConfigError):
    """The backend is known, but its packages are not installed."""


class BrokenPlugin(ConfigError):
    """A plugin is installed, but failed to load. `__cause__` holds its error."""


class BadOption(ConfigError):
    """An option that the backend does not know, or a value that it can't take."""


class BadAudio(ConfigError):
    """A file or a buffer that is no usable audio."""


class BadRecording(ConfigError):
    """A folder that holds no recorded session that can be read, or that none can be written to."""


class ReplayDiverged(ConfigError):
    """A replayed session was given another command than the recorded one got here, which the message names."""


class NoSoundDevice(ConfigError):
    """There is no microphone or speaker to use."""


class NoFreeKey(VoiceBridgeError):
    """No key of a pool came free in time, or none can be used any more: the category says which."""

    category: Category = "rate"
    retryable = True


class Unsupported(VoiceBridgeError):
    """The backend can't do this. Nothing was sent."""

    category: Category = "unsupported"


class SessionClosed(VoiceBridgeError):
    """The session has ended: nothing more can be sent."""

    category: Category = "closed"


class SessionFailed(VoiceBridgeError):
    """The session ended by itself. The last event before this was a fatal `BackendError`."""


class ConcurrentIteration(VoiceBridgeError):
    """Two consumers wait for events of one session: one would lose what the other gets."""

    category: Category = "config"
