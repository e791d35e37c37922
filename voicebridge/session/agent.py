"""A voice agent in three lines: microphone and speaker in, a conversation out.

    agent = VoiceAgent(instructions="You are a helpful assistant.", tools=[weather])
    agent.start()

what a run owns                from                 until
the session                    `run`                `run` ends, however it does
the tasks that hear, follow
and report                     `_Talk.run`          cancelled and awaited before it returns
microphone and speaker         the caller, `start`  the caller, `start`
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Protocol

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import ReportPlayed, SendAudio
from voicebridge.contract.config import TurnPolicy, checked
from voicebridge.contract.errors import ConfigError, SessionClosed
from voicebridge.contract.events import Event
from voicebridge.contract.session import Backend
from voicebridge.core.interruption_policy import InterruptionPolicy, Signals, Verdict

from .captions import Captions
from .door import connect
from .managed import ManagedSession
from .player import AudioSink, Player, can_pause
from .team import Agent, Team
from .toolbox import Toolbox

__all__ = ["AudioSink", "AudioSource", "VoiceAgent"]

_REPORT_S = 0.1
"""Between reports of what was played."""
_PATIENT = InterruptionPolicy()

_NO_PUSH_TO_TALK = (
    "A VoiceAgent would never answer in push-to-talk, since nobody tells it that a turn has ended: open the session "
    "with voicebridge.connect and send EndTurn."
)


class AudioSource(Protocol):
    """What `VoiceAgent.run` needs of a microphone. Its end is the end of the conversation."""

    @property
    def format(self) -> AudioFormat: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class VoiceAgent:
    """An assistant, or a team of them, that one can talk to.

    Args:
        instructions: how it should behave.
        backend: a spec string or a `Backend`, as for `voicebridge.connect`.
        tools: functions with type hints and a docstring, which the model may call. Async ones run in the event loop,
            others in a thread of their own.
        agents: a team, the one who begins first. Each has `tools` as well as its own.
        voice: a name that the backend knows.
        interruption: what the user's voice does to the agent's. As it stands, the agent pauses at a sound and goes on
            after a cough or an "mm-hmm"; a speaker that can't pause is silenced at once. `InterruptionPolicy.at_once()`
            stops it at the first sound, `InterruptionPolicy.never()` lets it finish. None: as the backend does it.
        options: anything else that `voicebridge.connect` takes: `on_interrupt`, `fallback`, `history`, `conversation`,
            `policy`, `tool_policy`, `api_key`, ...

    Raises:
        ConfigError: a tool can't be used, or an option is none for an agent: push-to-talk, formats of audio.
    """

    def __init__(
        self,
        instructions: str | None = None,
        *,
        backend: str | Backend = "local",
        tools: Iterable[Callable[..., Any]] = (),
        agents: Iterable[Agent] = (),
        voice: str | None = None,
        interruption: Callable[[Signals], Verdict] | None = _PATIENT,
        **options: Any,
    ) -> None:
        if given := sorted({"input_format", "output_format"} & options.keys()):
            raise ConfigError(f"VoiceAgent takes no {given[0]}: the microphone and the speaker say what they speak.")
        self._turns = _turns(options)
        tools = tuple(tools)
        Toolbox(tools)  # raises what is wrong with them now, and not when somebody wants to talk
        team = Team(agents, tools=tools) if agents else None
        self._agents = team.agents if team is not None else ()
        for agent in self._agents:
            Toolbox(agent.tools)  # type: ignore[arg-type]  # refuses a `Tool`, which nobody here would answer
            _turns(agent.settings)
        self.backend = backend
        self.session: ManagedSession | None = None
        """The conversation that goes on, or was the last one: for `send`, `switch`, `history`."""
        self._interruption = interruption
        self._settings = {"instructions": instructions, "voice": voice, "tools": tools, **options}

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
            captions.close()

    async def run(
        self, microphone: AudioSource, speaker: AudioSink, *, on_event: Callable[[Event], None] | None = None
    ) -> None:
        """Talk until the microphone ends, the session fails, or this is cancelled.

        Args:
            microphone, speaker: open already, such as those of `voicebridge.audio.device`.
            on_event: sees every event of the session, right after the speaker has obeyed it.

        Raises:
            SessionFailed: the backend gave up.
            ConfigError: see `voicebridge.connect`.
        """
        async with connect(
            self.backend,
            agents=self._agents,
            input_format=microphone.format,
            output_format=speaker.format,
            interruption=self._interruption_for(speaker),
            **self._settings,
        ) as session:
            if session.capabilities.turns == {"manual"}:
                raise ConfigError(f"This backend knows only push-to-talk. {_NO_PUSH_TO_TALK}")
            self.session = session
            await _Talk(session, speaker, on_event).run(microphone)

    def _interruption_for(self, speaker: AudioSink) -> Callable[[Signals], Verdict] | None:
        if self._interruption is not _PATIENT:
            return self._interruption
        if not self._turns.auto_interrupt:
            return InterruptionPolicy.never()
        return _PATIENT if can_pause(speaker) else InterruptionPolicy.at_once()

    async def _live(self, captions: Captions) -> None:
        from voicebridge.audio.device import Microphone, Speaker

        async with Microphone() as microphone, Speaker() as speaker:
            captions.note(f"Getting {self.backend if isinstance(self.backend, str) else 'the backend'} ready ...")
            await self.run(microphone, speaker, on_event=lambda event: captions.show(event, self.session))


class _Talk:
    """One conversation: what the session says goes to the speaker, and what that has played goes back."""

    def __init__(self, session: ManagedSession, speaker: AudioSink, on_event: Callable[[Event], None] | None) -> None:
        self._session, self._player, self._on_event = session, Player(speaker), on_event

    async def run(self, microphone: AudioSource) -> None:
        parts = {"follow": self._follow(), "hear": self._hear(microphone), "report": self._report()}
        tasks = [asyncio.create_task(part, name=f"agent: {name}") for name, part in parts.items()]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._player.close()

    async def _hear(self, microphone: AudioSource) -> None:
        try:
            async for pcm in microphone:
                await self._session.send(SendAudio(pcm=pcm))
        except SessionClosed:
            await _told_by_the_events()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_S)
            await self._tell(self._player.progress())

    async def _follow(self) -> None:
        async for event in self._session:
            told = self._player.happened(event)
            if self._on_event:
                self._on_event(event)
            await self._tell(told)

    async def _tell(self, reports: Iterable[ReportPlayed]) -> None:
        for report in reports:
            try:
                await self._session.send(report)
            except SessionClosed:
                return  # why, the events say to the end


def _turns(settings: Any) -> TurnPolicy:
    turns = checked({"turns": settings.get("turns", {})}).turns
    if turns.mode == "manual":
        raise ConfigError(_NO_PUSH_TO_TALK)
    return turns


async def _told_by_the_events() -> None:
    """Nothing can be sent any more. Why, the session's events say to the end; until then there is nothing to do."""
    await asyncio.get_running_loop().create_future()
