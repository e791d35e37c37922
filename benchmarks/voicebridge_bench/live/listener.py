"""Reads a session's events into a trace, and reports what the virtual speaker played and where it was cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from voicebridge.contract.commands import Interrupt, ReportPlayed
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.events import UserTurn
from voicebridge.contract.session import VoiceSession
from voicebridge_bench.trace import Trace

__all__ = ["Listener"]

_POLL_S = 0.02
_REPORT_S = 0.1


class Listener:
    """The one consumer of a session's events."""

    def __init__(self, session: VoiceSession, trace: Trace) -> None:
        self.trace = trace
        self.over = False
        """The session yields no more events."""
        self.failure: str | None = None
        """Why it ended by itself."""
        self._session = session
        self._news = asyncio.Event()
        self._reported: dict[str, float] = {}

    def start(self) -> list[asyncio.Task[None]]:
        """Begin to listen and to report. The caller cancels and awaits the tasks."""
        return [
            asyncio.create_task(self._listen(), name="bench listener"),
            asyncio.create_task(self._report(), name="bench speaker"),
        ]

    async def until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Wait until a condition on the trace holds; False if the session or the time (seconds) is over first."""
        clock = asyncio.get_running_loop().time
        while not condition():
            if self.over or clock() >= deadline:
                return False
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _POLL_S)
        return True

    async def _listen(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            async for event in self._session:
                known = set(self.trace.silenced)
                self.trace.apply(event, clock())
                self._news.set()
                if isinstance(event, UserTurn):
                    await self._tell_cut(known)
        except VoiceBridgeError as error:
            self.failure = str(error)
        except Exception as error:  # a backend that breaks its promise is a finding, not the end of the benchmark
            self.failure = f"{type(error).__name__}: {error}"
        finally:
            self.over = True
            self._news.set()

    async def _tell_cut(self, known: set[str]) -> None:
        """The speaker fell silent because the user spoke: stop what it played, and say how much of it was heard."""
        by_command = "verb" in self._session.capabilities.interrupt
        for response_id, ms in self.trace.silenced.items():
            if response_id not in known:
                stop = Interrupt(response_id=response_id, heard={response_id: ms})
                with contextlib.suppress(VoiceBridgeError):  # the session is over: its events say why
                    await self._session.send(stop if by_command else ReportPlayed(response_id=response_id, ms=ms))

    async def _report(self) -> None:
        clock = asyncio.get_running_loop().time
        with contextlib.suppress(VoiceBridgeError):  # the session is over: nobody needs to know what was played
            while not self.over:
                for response_id in list(self.trace.answers):
                    played = self.trace.playout.played_ms(response_id, clock())
                    if played > self._reported.get(response_id, 0.0):
                        self._reported[response_id] = played
                        await self._session.send(ReportPlayed(response_id=response_id, ms=played))
                await asyncio.sleep(_REPORT_S)
