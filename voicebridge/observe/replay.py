"""`replay/FOLDER`: a recorded session as a backend. The same events, in the same order, at each run.

What followed a recorded command comes once that command was given again; ids of commands are those given now. Audio is
matched by its length, other commands one by one by type and order; reports of a player are free.

| resource | acquired | released |
|---|---|---|
| the task that plays | `start` | the recording's end, or `aclose` |
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from voicebridge.contract import commands
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, Interrupt, ReportPlayed, SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, BadRecording, ReplayDiverged, SessionClosed, Unsupported
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    OutputAudio,
    ResponseEnded,
    ResponseStarted,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item
from voicebridge.transport.delivery import Delivery

from .recording import Line, Recording

__all__ = ["Pace", "ReplayBackend", "ReplaySession"]

Pace = Literal["recorded", "instant"]
_LOOK_S = 1.0
"""Between looks at whether somebody waits in vain."""
_CLOSED = Fault(category="closed", code="closed", message="The session was closed.")


class ReplayBackend:
    """A recorded session, as often as it is wanted. Is a `Backend`.

    Args:
        folder: what a recorder has written.
        pace: `recorded` keeps the time between a command and what followed; `instant` waits for commands alone. A
            session may choose otherwise by the option of this name.
        patience_s: seconds that somebody may wait for an event where a recorded command is still to be given. Then the
            session ends as one that diverged. An option, too.

    Raises:
        BadOption: such a pace or patience makes no sense.
    """

    def __init__(self, folder: str | Path, pace: Pace = "recorded", *, patience_s: float = 10.0) -> None:
        self.folder = Path(folder)
        self._pace, self._patience_s = _checked(pace), _checked_patience(patience_s)

    @cached_property
    def capabilities(self) -> Capabilities:
        """Those of the recorded session.

        Raises:
            BadRecording: the folder holds no recording that can be read.
        """
        return Recording(self.folder).capabilities

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[ReplaySession]:
        """The session from its beginning. Settings and history are the recorded ones, whatever is asked for.

        Raises:
            BadRecording: the folder holds no recording that can be read.
            BadOption: an option but `pace` and `patience_s`.
        """
        for name in config.options:
            if name not in ("pace", "patience_s"):
                problem = f"A replay has no option {name!r}: it knows `pace` and `patience_s`."
                raise BadOption(problem, code="unknown_option")
        pace = _checked(config.options.get("pace", self._pace))
        patience_s = _checked_patience(config.options.get("patience_s", self._patience_s))
        session = ReplaySession(Recording(self.folder), pace, patience_s)
        session.start()
        try:
            yield session
        finally:
            await session.aclose()


class ReplaySession:
    """A `VoiceSession` out of a recording. Made by `ReplayBackend`."""

    def __init__(self, recording: Recording, pace: Pace, patience_s: float) -> None:
        self._recording, self._pace, self._patience_s = recording, pace, patience_s
        self._clock = asyncio.get_running_loop().time
        self._capabilities = recording.capabilities
        formats = self._capabilities.formats_out
        self._delivery = Delivery(formats[0] if formats else DOOR_FORMAT, self._clock)
        self._heard_bytes = 0
        """Of audio, given in this session."""
        self._wanted_bytes = 0
        """Of audio, given in the recorded one up to where the replay is."""
        self._given = 0
        """Commands of the script that were given."""
        self._waiting: deque[Command] = deque()
        """Those of them whose place in the recording is still to come."""
        self._ids: dict[str, str] = {}
        """Of commands: recorded, and as given now."""
        self._open: set[str] = set()
        """Commands to be settled, and responses to be ended: by their ids."""
        self._running: set[str] = set()
        self._news = asyncio.Event()
        self._closed = False
        self._line: Line | None = None
        """Where the replay is."""
        self._task: asyncio.Task[None] | None = None
        self._left: Iterator[Line] = iter(())

    @property
    def capabilities(self) -> Capabilities:
        """What the recorded session could do."""
        return self._capabilities

    def start(self) -> None:
        """Begin to play."""
        self._left = self._recording.lines()
        self._task = asyncio.create_task(self._play(), name="replay")

    def __aiter__(self) -> AsyncIterator[Event]:
        return aiter(self._delivery)

    async def send(self, command: Command) -> None:
        """Give a command. See `VoiceSession.send`.

        Raises:
            ReplayDiverged: the recorded session was given another one here.
            VoiceBridgeError: what the recorded session raised.
        """
        if self._closed:
            raise SessionClosed("The session is over: nothing more can be sent.", command_id=command.id)
        if isinstance(command, ReportPlayed):
            return
        if isinstance(command, SendAudio):
            self._heard_bytes += len(command.pcm)
        else:
            self._match(command)
        self._news.set()

    def _match(self, command: Command) -> None:
        if type(command).__name__ not in commands.__all__:
            problem = f"A replay knows no command {type(command).__name__}."
            raise Unsupported(problem, command_id=command.id)
        script = self._recording.script
        if self._given == len(script) or script[self._given].type != command.type_name():
            raise self._diverged(command)
        recorded = script[self._given]
        self._given += 1
        self._ids[recorded.id] = command.id
        self._waiting.append(command)
        if recorded.refused is not None:
            raise type(recorded.refused)(recorded.refused.fault, command_id=command.id)
        self._open.add(command.id)
        if isinstance(command, Interrupt):
            self._delivery.purge(command.response_id)

    def _diverged(self, command: Command) -> ReplayDiverged:
        script = self._recording.script
        given = f"The recorded session in {self._recording.folder} was given no {command.type_name()} here"
        if self._given < len(script):
            expected = f"its command {self._given + 1} of {len(script)} is {script[self._given].type}"
        else:
            expected = f"it had all its {len(script)} commands" + (" before" if script else "")
        incomplete = "" if self._recording.complete else f" The recording is not complete: {self._recording.problem}."
        return ReplayDiverged(f"{given}: {expected}.{incomplete}", code="replay_diverged", command_id=command.id)

    async def aclose(self) -> None:
        """End the session. See `VoiceSession.aclose`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._close()

    def _close(self) -> None:
        """What the recorded close led to, where the replay has come to it; for all that is still open, its end."""
        if self._closed:
            return
        self._closed = True
        with suppress(BadRecording):
            self._recorded_close()
        for command_id in sorted(self._open):
            self._delivery.put(CommandSettled(command_id=command_id, fault=_CLOSED))
        for response_id in sorted(self._running):
            self._delivery.put(ResponseEnded(response_id=response_id, status="lost", fault=_CLOSED))
        self._delivery.end()

    def _recorded_close(self) -> None:
        """What the close led to then, if nothing but commands that were given lies between here and there."""
        at_close = False
        for line in chain([self._line] if self._line else [], self._left):
            if at_close and line.kind == "event" and line.audio is None:
                assert isinstance(line.message, Event)
                self._tell(line.message)
            elif line.kind == "close":
                at_close = True
            elif not at_close and (line.kind == "event" or (line.kind == "command" and not self._passes(line))):
                return

    # The recording, line by line

    async def _play(self) -> None:
        before = 0.0
        due = self._clock()
        try:
            for line in self._left:
                due, before, self._line = due + line.t - before, line.t, line
                if line.kind == "close":
                    return  # nothing more comes until the application closes, as it did then
                if line.kind == "command":
                    await self._given_again(line, due)
                    due = max(due, self._clock()) if self._pace == "recorded" else due
                elif line.kind == "event":
                    await self._until(due)
                    await asyncio.sleep(0)  # however fast it plays, others come in between
                    await self._event(line)
                    if self._closed:
                        return
                self._line = None
        except (BadRecording, ReplayDiverged) as error:
            self._end(error.fault)
            return
        self._end(Fault(category="planned_end", code="recording_ended", message=self._last_words()))

    def _last_words(self) -> str:
        folder = self._recording.folder
        why = "" if self._recording.complete else f": {self._recording.problem}"
        return f"The recording in {folder} has no more{why}."

    def _passes(self, line: Line) -> bool:
        """Whether its command has been given again; if so, the replay goes on behind it."""
        command = line.message
        if isinstance(command, SendAudio):
            if line.audio is None or command.id in self._recording.refused:
                return True
            if self._heard_bytes < self._wanted_bytes + line.audio.size:
                return False
            self._wanted_bytes += line.audio.size
        elif not isinstance(command, ReportPlayed):
            if not self._waiting:
                return False
            self._waiting.popleft()
        return True

    async def _given_again(self, line: Line, due: float) -> None:
        """Wait for the command of a line.

        Raises:
            ReplayDiverged: it does not come, and whoever waits for an event would wait for ever.
        """
        quiet_since = self._clock()
        if self._pace == "recorded":
            quiet_since = max(quiet_since, due)
        heard_bytes = self._heard_bytes
        while not self._passes(line):
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_LOOK_S, self._patience_s)):
                    await self._news.wait()
            hears = isinstance(line.message, SendAudio) and self._heard_bytes > heard_bytes
            heard_bytes = self._heard_bytes
            if hears or not self._delivery.awaited:
                quiet_since = max(quiet_since, self._clock())
            elif self._clock() - quiet_since >= self._patience_s:
                raise self._missing(line)

    def _missing(self, line: Line) -> ReplayDiverged:
        script = self._recording.script
        if isinstance(line.message, SendAudio) and line.audio is not None:
            left = self._wanted_bytes + line.audio.size - self._heard_bytes
            expected = f"{left} more bytes of audio"
        else:
            expected = f"{script[self._given].type} (command {self._given + 1} of {len(script)})"
        return ReplayDiverged(
            f"The recorded session in {self._recording.folder} was given {expected} here, and nothing comes before "
            f"that. It was not given for {self._patience_s:g} s: give it, or wait for longer with patience_s.",
            code="replay_diverged",
        )

    async def _until(self, due: float) -> None:
        """Wait for the recorded time. An interruption that comes earlier than it did then takes effect at once."""
        while self._pace == "recorded" and (left := due - self._clock()) > 0:
            if any(isinstance(command, Interrupt) for command in self._waiting):
                return
            self._news.clear()
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                return

    async def _event(self, line: Line) -> None:
        event = self._recording.whole(line)
        assert isinstance(event, Event)
        if isinstance(event, OutputAudio):
            await self._delivery.room()
            for command in self._waiting:
                if isinstance(command, Interrupt) and command.response_id in (None, event.response_id):
                    return  # whoever interrupted hears no more of it
        self._tell(event)

    def _tell(self, event: Event) -> None:
        """Deliver an event, with the ids of now."""
        if isinstance(event, BackendError) and event.fatal:
            self._end(event.fault)
            return
        if isinstance(event, CommandSettled):
            event = replace(event, command_id=self._ids.get(event.command_id, event.command_id))
            self._open.discard(event.command_id)
        elif isinstance(event, ResponseStarted):
            event = replace(event, answers=tuple(self._ids.get(one, one) for one in event.answers))
            self._running.add(event.response_id)
        elif isinstance(event, ResponseEnded):
            self._running.discard(event.response_id)
        self._capabilities = getattr(event, "capabilities", self._capabilities)
        self._delivery.put(event)

    def _end(self, fault: Fault) -> None:
        """The session ends by itself."""
        self._closed = True
        self._delivery.end(fault)


def _checked_patience(patience_s: Any) -> float:
    if isinstance(patience_s, int | float) and not isinstance(patience_s, bool) and patience_s > 0:
        return float(patience_s)
    raise BadOption(f"patience_s is a number of seconds above 0, not {patience_s!r}.", code="bad_option")


def _checked(pace: Any) -> Pace:
    if pace == "recorded":
        return "recorded"
    if pace == "instant":
        return "instant"
    raise BadOption(f"pace is 'recorded' or 'instant', not {pace!r}.", code="bad_option")
