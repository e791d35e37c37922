"""Records sessions: what goes down, what comes up, and both voices.

    async with backend.connect(config) as session:
        session = Recorder(session, "calls/7", config=config)
        ...

    voicebridge.connect(RecordedBackend(backend, "calls/7"), ...)        # the same, below the door

Nothing is recorded unless one of these is made. The format is in `voicebridge.observe.recording`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from voicebridge.contract import commands, events
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadRecording, ConfigError, SessionFailed, VoiceBridgeError
from voicebridge.contract.events import Event, OutputAudio, SessionReady, SessionRestarted
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item
from voicebridge.contract.lines import dump
from voicebridge.contract.session import Backend, VoiceSession

from .recording import LOG, VERSION
from .recording_writer import RecordingWriter
from .scrubber import Scrubber, secrets_of_environment, secrets_of_settings

__all__ = ["RecordedBackend", "Recorder", "check_free", "new_folder"]

_LAST_EVENTS_S = 1.0
_KNOWN: frozenset[Any] = frozenset(getattr(module, name) for module in (commands, events) for name in module.__all__)
"""What can be read again: a subclass has a name of its own."""


def new_folder(parent: str | Path) -> Path:
    """A name for the next recording, which nobody can guess and no caller has chosen: its time, and 32 hex digits."""
    return Path(parent) / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex}"


def check_free(folder: str | Path) -> None:
    """Look early whether a recording can go there.

    Raises:
        BadRecording: there is one already, or no folder can be made there.
    """
    folder = _named(folder)
    try:
        if (folder / LOG).exists():
            raise BadRecording(f"{folder} holds a recording already: name a new folder for this one.")
        nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists() or one.is_symlink())
        if not nearest.is_dir():
            raise BadRecording(f"{nearest} is no folder: name another place for the recording.")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise BadRecording(f"{nearest} may not be written to by this user: name another place for the recording.")
    except (OSError, ValueError) as error:  # a name that no system takes
        raise BadRecording(f"{folder} can't be a folder for a recording: {error}. Name another one.") from error


def _named(folder: str | Path) -> Path:
    if folder == "":  # else this would be the current folder
        raise BadRecording("A recording needs a folder, and its name is empty. Name a new one, such as `calls/7`.")
    return Path(folder)


class Recorder:
    """A session that is recorded; is a `VoiceSession`. Stands above or below the door.

    Secrets are taken out of every text: the config's, the environment's, and what looks like one. What was said,
    tools' arguments included, stays.

    Args:
        session: the recorded one. From then on it is used through this.
        folder: a new one. See `new_folder` for servers.
        config, history: what the session was opened with, for the header.
        secrets: more values that must not be written.
        in_thread, limit_bytes: see `RecordingWriter`.
        clock: monotonic seconds. None: the event loop's.

    Raises:
        BadRecording: the folder can't be used. Once it records, nothing of the recording raises: see `fault`.
    """

    def __init__(
        self,
        session: VoiceSession,
        folder: str | Path,
        *,
        config: SessionConfig | None = None,
        history: Sequence[Item] = (),
        secrets: Iterable[str] = (),
        in_thread: bool = True,
        limit_bytes: int = 16 * 1024 * 1024,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._session = session
        settings = config.model_dump(mode="python") if config is not None else {}
        scrubber = Scrubber([*secrets_of_settings(settings), *secrets, *secrets_of_environment()])
        self._writer = RecordingWriter(
            _named(folder),
            _header(session.capabilities, config, history),
            scrubber,
            clock or asyncio.get_running_loop().time,
            in_thread=in_thread,
            limit_bytes=limit_bytes,
        )
        self._ready: SessionReady | None = None
        self._pending: deque[Event] = deque()
        """Read after the end, for the one who still reads."""
        self._reading: asyncio.Future[None] | None = None
        self._end: BaseException | None = None
        self._closing = False

    @property
    def folder(self) -> Path:
        """Where the recording is."""
        return self._writer.folder

    @property
    def fault(self) -> Fault | None:
        """Why the recording is not complete; None where it is. The call is none the worse for it."""
        return self._writer.fault

    @property
    def capabilities(self) -> Capabilities:
        """What the recorded session can do."""
        return self._session.capabilities

    async def send(self, command: Command) -> None:
        """Give a command. See `VoiceSession.send`."""
        # Written first: what it leads to comes after it.
        command = self._note_command(command)
        try:
            await self._session.send(command)
        except asyncio.CancelledError:
            self._writer.line("cancelled", json.dumps(_id(command), default=str))
            raise
        except VoiceBridgeError as error:
            told = dataclasses.asdict(error.fault)
            self._writer.line("refused", json.dumps(_id(command), default=str), error=type(error).__name__, fault=told)
            raise

    def _note_command(self, command: Command) -> Command:
        if not isinstance(command, SendAudio):
            if type(command) in _KNOWN:  # of another kind, nobody could read it again
                self._note("command", command)
        elif type(command) is not SendAudio:
            self._writer.skip(type(command).__name__)
        elif isinstance(command.pcm, bytes | bytearray | memoryview):
            command = replace(command, pcm=bytes(command.pcm))  # its owner may fill it again
            self._writer.audio(command, self._format("input_format", "formats_in"))
        return command

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._pending:
            return self._pending.popleft()
        if self._end is not None:
            raise self._end
        try:
            return await self._next()
        except (StopAsyncIteration, SessionFailed):
            await self._writer.close()
            raise

    async def _next(self) -> Event:
        """The session's next event, written down. Cancelled, it has taken none."""
        waiting = asyncio.get_running_loop().create_future()
        mine = self._reading is None
        if mine:
            self._reading = waiting
        try:
            event = await anext(aiter(self._session))
        finally:
            if mine:
                self._reading = None
                waiting.set_result(None)
        self._note_event(event)
        return event

    def _note_event(self, event: Event) -> None:
        if isinstance(event, SessionReady | SessionRestarted):
            self._ready = event if isinstance(event, SessionReady) else event.ready
        if type(event) not in _KNOWN:
            self._writer.skip(type(event).__name__)
        elif not isinstance(event, OutputAudio):
            self._note("event", event)
        elif isinstance(event.pcm, bytes | bytearray | memoryview):
            event = replace(event, pcm=bytes(event.pcm))
            self._writer.audio(event, self._format("output_format", "formats_out"))
        else:
            self._writer.skip(type(event).__name__)

    async def aclose(self) -> None:
        """End the session, and complete the recording. See `VoiceSession.aclose`."""
        if not self._closing:
            self._closing = True
            self._writer.line("close", "true")
        try:
            await self._session.aclose()
            await self._last_events()
        finally:
            await self._writer.close()

    async def _last_events(self) -> None:
        """What the close leads to belongs to the recording, whether or not somebody still reads."""
        try:
            async with asyncio.timeout(_LAST_EVENTS_S):
                while self._end is None:
                    if self._reading is not None:
                        await asyncio.shield(self._reading)
                        await asyncio.sleep(0)  # whoever waited comes first
                    else:
                        self._pending.append(await self._next())
        except TimeoutError:
            return
        except (StopAsyncIteration, SessionFailed) as end:
            self._end = end

    def _note(self, kind: str, message: Command | Event) -> None:
        try:
            self._writer.line(kind, dump(message))
        except (ConfigError, TypeError, AttributeError):  # no JSON, or no message at all, which the session will say
            self._writer.skip(type(message).__name__)

    def _format(self, negotiated: str, declared: str) -> AudioFormat:
        if self._ready is not None:
            format: AudioFormat = getattr(self._ready, negotiated)
            return format
        formats: tuple[AudioFormat, ...] = getattr(self._session.capabilities, declared)
        return formats[0] if formats else DOOR_FORMAT


class RecordedBackend:
    """A backend whose sessions are recorded, in the backend's own formats. Is a `Backend`.

    Args:
        folder: of the one session; for more than one, a function that names a new folder for each.
        name: what people call the backend.
        options: of `Recorder`.
    """

    def __init__(
        self, backend: Backend, folder: str | Path | Callable[[], str | Path], *, name: str = "", **options: Any
    ) -> None:
        self._backend, self._folder, self._options = backend, folder, options
        self.name = name or str(getattr(backend, "name", type(backend).__name__))
        self.recorder: Recorder | None = None
        """Of the latest session."""

    @property
    def capabilities(self) -> Capabilities:
        """Those of the recorded backend."""
        return self._backend.capabilities

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[VoiceSession]:
        """A session that is recorded.

        Raises:
            BadRecording: the folder can't be used.
            ConfigError: what the backend raises.
        """
        async with self._backend.connect(config, history, resume) as session:
            folder = self._folder() if callable(self._folder) else self._folder
            recorder = self.recorder = Recorder(session, folder, config=config, history=history, **self._options)
            try:
                yield recorder
            finally:
                await recorder.aclose()


def _header(capabilities: Capabilities, config: SessionConfig | None, history: Sequence[Item]) -> dict[str, Any]:
    """The first line. Whatever of the settings is no plain data is told by its type."""
    from pydantic import TypeAdapter

    settings = config.model_dump(mode="python", exclude={"api_key"}) if config is not None else None
    return {
        "recording": VERSION,
        "voicebridge": _version(),
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "capabilities": TypeAdapter(Capabilities).dump_python(capabilities, mode="json"),
        "config": json.loads(json.dumps(settings, default=_plain, skipkeys=True)),
        "history": [{"item": type(item).__name__} | dataclasses.asdict(item) for item in history],
    }


def _version() -> str:
    try:
        return version("voicebridge-sdk")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0+source"


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset | tuple):
        return sorted(value, key=str)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return f"<{type(value).__name__}>"


def _id(command: Command) -> str:
    return command.id if isinstance(command, Command) else ""
