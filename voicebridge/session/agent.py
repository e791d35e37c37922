"""A voice agent in three lines: microphone and speaker in, a conversation out.

    agent = VoiceAgent(instructions="You are a helpful assistant.", tools=[weather])
    agent.start()

what a run owns                from                 until
the session                    `run`                `run` ends, however it does
the tasks that hear, follow
and report                     `_Talk.run`          cancelled and awaited before it returns
a task for each tool call      the call comes       its result is sent, the call is cancelled, or the run ends
microphone and speaker         the caller, `start`  the caller, `start`
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Protocol

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import Interrupt, ReportPlayed, SendAudio
from voicebridge.contract.config import checked
from voicebridge.contract.errors import ConfigError, SessionClosed
from voicebridge.contract.events import (
    Event,
    OutputAudio,
    OutputHeard,
    ResponseEnded,
    ToolCall,
    ToolCallCancelled,
    UserTurn,
)
from voicebridge.contract.session import Backend, VoiceSession

from .captions import Captions
from .door import connect
from .toolbox import Toolbox

__all__ = ["AudioSink", "AudioSource", "VoiceAgent"]

_REPORT_S = 0.1
"""Between reports of what was played."""
_TOLERANCE_MS = 20.0
"""Audio that was converted on its way may be this much longer or shorter than its sender thinks."""

_NO_PUSH_TO_TALK = (
    "A VoiceAgent would never answer in push-to-talk, since nobody tells it that a turn has ended: open the session "
    "with voicebridge.connect and send EndTurn."
)


class AudioSource(Protocol):
    """What `VoiceAgent.run` needs of a microphone. Its end is the end of the conversation."""

    @property
    def format(self) -> AudioFormat: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class AudioSink(Protocol):
    """What `VoiceAgent.run` needs of a speaker."""

    @property
    def format(self) -> AudioFormat: ...

    def play(self, pcm: bytes, response_id: str = "") -> None:
        """Queue audio of a response, and return at once."""

    def end(self) -> None:
        """The response that was played last has all its audio."""

    def clear(self) -> object:
        """Fall silent at once; forget what is queued."""

    def played_ms(self, response_id: str = "") -> float:
        """Milliseconds of that response, from its first sample, that were heard."""

    def progress(self) -> Mapping[str, float]:
        """`played_ms` of each response that was heard further since the last call."""


class VoiceAgent:
    """An assistant that one can talk to.

    Args:
        instructions: how it should behave.
        backend: a spec string or a `Backend`, as for `voicebridge.connect`.
        tools: functions with type hints and a docstring, which the model may call. Async ones run in the event loop,
            others in a thread of their own.
        voice: a name that the backend knows.
        options: anything else that `voicebridge.connect` takes.

    Raises:
        ConfigError: a tool can't be used, or an option is none for an agent: push-to-talk, formats of audio.
    """

    def __init__(
        self,
        instructions: str | None = None,
        *,
        backend: str | Backend = "local",
        tools: Iterable[Callable[..., Any]] = (),
        voice: str | None = None,
        **options: Any,
    ) -> None:
        if given := sorted({"input_format", "output_format"} & options.keys()):
            raise ConfigError(f"VoiceAgent takes no {given[0]}: the microphone and the speaker say what they speak.")
        self._policy = checked({"turns": options.get("turns", {})}).turns
        if self._policy.mode == "manual":
            raise ConfigError(_NO_PUSH_TO_TALK)
        self.backend = backend
        self._toolbox = Toolbox(tools)
        self._settings = {"instructions": instructions, "voice": voice, **options}

    def start(self) -> None:
        """Talk through the microphone and the speaker of this machine, and print what is said, until Ctrl-C.

        Raises:
            NoSoundDevice: there is no microphone or no speaker.
            SessionFailed: the backend gave up.
            ConfigError: see `voicebridge.connect`; or an event loop runs already (then use `await agent.run(...)`).
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # as it should be
            pass
        else:
            raise ConfigError(
                "start() blocks, and an event loop runs here: use `await agent.run(microphone, speaker)`."
            )
        captions = Captions(sys.stdout)
        try:
            asyncio.run(self._live(captions))
        except KeyboardInterrupt:
            captions.end()

    async def run(
        self, microphone: AudioSource, speaker: AudioSink, *, on_event: Callable[[Event], None] | None = None
    ) -> None:
        """Talk until the microphone ends, the session fails, or this is cancelled.

        Args:
            microphone, speaker: open already, such as those of `voicebridge.audio.device`.
            on_event: sees every event of the session before the agent reacts to it.

        Raises:
            SessionFailed: the backend gave up.
            ConfigError: see `voicebridge.connect`.
        """
        async with connect(
            self.backend,
            tools=self._toolbox.tools,
            input_format=microphone.format,
            output_format=speaker.format,
            **self._settings,
        ) as session:
            if session.capabilities.turns == {"manual"}:
                raise ConfigError(f"This backend knows only push-to-talk. {_NO_PUSH_TO_TALK}")
            talk = _Talk(session, speaker, self._toolbox, on_event, yields=self._policy.auto_interrupt)
            await talk.run(microphone)

    async def _live(self, captions: Captions) -> None:
        from voicebridge.audio.device import Microphone, Speaker

        async with Microphone() as microphone, Speaker() as speaker:
            captions.note(f"Getting {self.backend if isinstance(self.backend, str) else 'the backend'} ready ...")
            await self.run(microphone, speaker, on_event=captions.show)


class _Talk:
    """One conversation: what the session says goes to the speaker and the tools, what they do goes back.

    Args:
        yields: fall silent when the user speaks.
    """

    def __init__(
        self,
        session: VoiceSession,
        speaker: AudioSink,
        toolbox: Toolbox,
        on_event: Callable[[Event], None] | None,
        *,
        yields: bool,
    ) -> None:
        self._session, self._speaker, self._toolbox = session, speaker, toolbox
        self._on_event, self._yields = on_event, yields
        self._sounding: dict[str, float] = {}
        """Milliseconds given to the speaker, by response, of those that it has not played to their end."""
        self._running: set[str] = set()
        """Responses that sound and have not ended."""
        self._silenced: set[str] = set()
        """Responses that were cut while they still ran: nothing more of them is played."""
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._unanswered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Set when a tool's result could not be sent: why."""

    async def run(self, microphone: AudioSource) -> None:
        parts = {"follow": self._follow(), "hear": self._hear(microphone), "report": self._report()}
        tasks = [asyncio.create_task(part, name=f"agent: {name}") for name, part in parts.items()]
        try:
            done, _ = await asyncio.wait([*tasks, self._unanswered], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            open_tasks = [*tasks, *self._calls.values(), self._unanswered]
            for task in open_tasks:
                task.cancel()
            await asyncio.gather(*open_tasks, return_exceptions=True)
            self._speaker.clear()

    async def _hear(self, microphone: AudioSource) -> None:
        try:
            async for pcm in microphone:
                await self._session.send(SendAudio(pcm=pcm))
        except SessionClosed:
            await _told_by_the_events()

    async def _report(self) -> None:
        try:
            while True:
                await asyncio.sleep(_REPORT_S)
                for response_id, ms in self._speaker.progress().items():
                    await self._session.send(ReportPlayed(response_id=response_id, ms=ms))
                    if ms >= self._sounding.get(response_id, 0.0):
                        self._sounding.pop(response_id, None)
        except SessionClosed:
            await _told_by_the_events()

    async def _follow(self) -> None:
        async for event in self._session:
            if self._on_event:
                self._on_event(event)
            if isinstance(event, OutputAudio):
                self._play(event)
            elif isinstance(event, UserTurn) and event.phase == "speech" and self._yields:
                await self._fall_silent()
            elif isinstance(event, ResponseEnded):
                await self._ended(event)
            elif isinstance(event, OutputHeard):
                # Somebody below knows that less will be heard than we were given: it was cut.
                if event.heard_ms + _TOLERANCE_MS < self._sounding.get(event.response_id, 0.0):
                    await self._fall_silent()
            elif isinstance(event, ToolCall):
                task = asyncio.create_task(self._call(event), name=f"agent: tool {event.name}")
                self._calls[event.call_id] = task
            elif isinstance(event, ToolCallCancelled) and event.call_id in self._calls:
                self._calls.pop(event.call_id).cancel()

    def _play(self, audio: OutputAudio) -> None:
        if audio.response_id in self._silenced:
            return
        self._speaker.play(audio.pcm, audio.response_id)
        ends_ms = audio.offset_ms + self._speaker.format.ms(len(audio.pcm))
        self._sounding[audio.response_id] = ends_ms
        self._running.add(audio.response_id)

    async def _ended(self, ended: ResponseEnded) -> None:
        if ended.status == "interrupted":
            if ended.response_id in self._sounding:
                await self._fall_silent()
        else:
            self._speaker.end()
        self._running.discard(ended.response_id)
        self._silenced.discard(ended.response_id)

    async def _fall_silent(self) -> None:
        """Stop what sounds, and tell the session how much of it was heard."""
        heard = {response_id: self._speaker.played_ms(response_id) for response_id in self._sounding}
        cut = {response_id: ms for response_id, ms in heard.items() if ms < self._sounding[response_id]}
        self._sounding.clear()
        if not cut:
            return
        self._speaker.clear()
        self._silenced |= cut.keys() & self._running
        by_command = "verb" in self._session.capabilities.interrupt
        for response_id, ms in cut.items():
            # By name, so that an answer which starts meanwhile is left alone.
            stop = Interrupt(response_id=response_id, heard={response_id: ms})
            await self._session.send(stop if by_command else ReportPlayed(response_id=response_id, ms=ms))

    async def _call(self, call: ToolCall) -> None:
        result = await self._toolbox.answer(call)
        self._calls.pop(call.call_id, None)
        try:
            await self._session.send(result)
        except SessionClosed:
            return  # there is nobody left to read it
        except Exception as error:
            if not self._unanswered.done():
                self._unanswered.set_exception(error)


async def _told_by_the_events() -> None:
    """Nothing can be sent any more. Why, the session's events say to the end; until then there is nothing to do."""
    await asyncio.get_running_loop().create_future()
