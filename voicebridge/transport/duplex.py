"""A conversation over one websocket: pieces go in, outputs come out, and a pure half says what that means on the wire.

    the stage's input --> half.take ---> frames  --> the peer
    the stage's output <- half.receive <- frames <-- the peer
                          half.tick      when it asked to be called: keep-alives, and peers that are silent too long

The half has no socket, no clock and no task, so that its tests are bytes and numbers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Iterable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar, cast, runtime_checkable

from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault

__all__ = ["Duplex", "Half", "Pings", "Socket", "in_time"]

In = TypeVar("In")
In_contra = TypeVar("In_contra", contravariant=True)
Out = TypeVar("Out")
Out_co = TypeVar("Out_co", covariant=True)
_SEND_S = 5.0
"""A peer that takes nothing for so long is gone."""
_QUIET_S = 5.0
"""A peer that says nothing for so long is asked whether it is there, and has as long again to answer."""
_SILENT = Fault(
    category="network", code="silent", message="The server went silent, and answers no ping. Try again.", retryable=True
)
_NOT_TAKEN = Fault(
    category="network", code="not_taken", message="The server takes nothing any more. Try again.", retryable=True
)


_LOOK = object()
"""Something happened, perhaps the last thing."""


class Socket(Protocol):
    """What a conversation needs of a connection."""

    async def send(self, frame: Frame) -> None:
        """Write a frame."""

    async def receive(self) -> Frame:
        """The next frame. Raises `VoiceBridgeError` at the end."""


@runtime_checkable
class Pings(Protocol):
    """A socket whose peer can be asked whether it is there."""

    async def ping(self) -> Awaitable[object]:
        """Write a ping. What it gives is done once the pong has come."""


class Half(Protocol[In_contra, Out_co]):
    """One conversation's meaning. Each method gives frames to send and outputs to tell, in order; `now` is seconds on
    one clock. An output is anything but `str` and `bytes`.

    Raises:
        VoiceBridgeError: from any of them: the conversation can't go on.
    """

    @property
    def due(self) -> float | None:
        """When `tick` is to be called. None: not at all, as things are."""

    @property
    def over(self) -> bool:
        """All that was asked has been answered. Looked at once the input has ended."""

    def take(self, piece: In_contra, now: float) -> Iterable[Frame | Out_co]:
        """The next piece of input."""

    def end(self, now: float) -> Iterable[Frame | Out_co]:
        """The input has ended."""

    def receive(self, frame: Frame, now: float) -> Iterable[Frame | Out_co]:
        """A frame came, whatever it holds."""

    def tick(self, now: float) -> Iterable[Frame | Out_co]:
        """It is `due`, or some time later."""


class Duplex(Generic[In, Out]):
    """Moves frames and outputs. For one conversation. What nobody reads yet is kept, so that a slow reader is not taken
    for a slow peer.

    Args:
        socket: stays open at the end, also after an error: whoever opened it closes it.
        half: what the frames mean.
    """

    def __init__(self, socket: Socket, half: Half[In, Out]) -> None:
        self._socket, self._half = socket, half
        self._clock = asyncio.get_running_loop().time
        self._outputs: asyncio.Queue[object] = asyncio.Queue()
        self._earlier = asyncio.Event()
        """`half.due` is before the time that is waited for."""
        self._planned: float | None = None
        self._input_ended = False
        self._heard = False
        """Since it was last looked at."""

    async def run(self, pieces: AsyncIterable[In]) -> AsyncGenerator[Out]:
        """The outputs, until the input has ended and all is answered.

        Raises:
            VoiceBridgeError: the peer broke off, broke the protocol, or is silent too long.
        """
        works = {"input": self._write(pieces), "peer": self._read(), "time": self._watch()}
        if isinstance(self._socket, Pings):
            works["pings"] = self._ask_whether_it_lives(self._socket)
        tasks = [asyncio.create_task(work, name=f"duplex: {name}") for name, work in works.items()]
        for task in tasks:
            task.add_done_callback(self._outputs.put_nowait)
        try:
            while True:
                output = await self._outputs.get()
                if isinstance(output, asyncio.Task):
                    # A peer that goes away after its last answer breaks nothing off, however late that answer is read.
                    if not (output.cancelled() or (self._input_ended and self._half.over)):
                        output.result()
                elif output is not _LOOK:
                    yield cast(Out, output)
                if self._input_ended and self._half.over and self._outputs.empty():
                    return
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _write(self, pieces: AsyncIterable[In]) -> None:
        async for piece in pieces:
            await self._act(self._half.take(piece, self._clock()))
        await self._act(self._half.end(self._clock()))
        self._input_ended = True

    async def _read(self) -> None:
        while True:
            frame = await self._socket.receive()
            self._heard = True
            await self._act(self._half.receive(frame, self._clock()))

    async def _watch(self) -> None:
        while True:
            self._earlier.clear()
            due = self._planned = self._half.due
            wait = None if due is None else due - self._clock()
            if wait is None or wait > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._earlier.wait()
                continue
            await self._act(self._half.tick(self._clock()))
            if self._half.due == due:
                raise RuntimeError("a half is due again at the very time that it was called at")

    async def _ask_whether_it_lives(self, socket: Pings) -> None:
        while True:
            self._heard = False
            await asyncio.sleep(_QUIET_S)
            if self._heard:
                continue
            pong = await socket.ping()
            try:
                async with asyncio.timeout(_QUIET_S):
                    await pong
            except TimeoutError:
                if not self._heard:
                    raise VoiceBridgeError(_SILENT) from None

    async def _act(self, results: Iterable[object]) -> None:
        for result in results:
            if isinstance(result, str | bytes):
                await in_time(self._socket, result)
            else:
                self._outputs.put_nowait(result)
        if self._input_ended:
            self._outputs.put_nowait(_LOOK)
        due = self._half.due
        if due is not None and (self._planned is None or due < self._planned):
            self._earlier.set()


async def in_time(socket: Socket, frame: Frame) -> None:
    """Send a frame to a peer that may be dead.

    Raises:
        VoiceBridgeError: it is: nothing was taken for 5 s.
    """
    try:
        async with asyncio.timeout(_SEND_S):
            await socket.send(frame)
    except TimeoutError:
        raise VoiceBridgeError(_NOT_TAKEN) from None
