"""A session whose audio is in the caller's formats, whatever the backend speaks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, Interrupt, ReportPlayed, SendAudio
from voicebridge.contract.errors import Unsupported
from voicebridge.contract.events import Event, OutputAudio, ResponseEnded, SessionReady, SessionRestarted
from voicebridge.contract.session import VoiceSession
from voicebridge.transport.delivery import Room

from .command_check import check

__all__ = ["DoorSession"]


@dataclass(slots=True)
class _Sound:
    """A response's audio on its way out."""

    converter: Converter
    sent_bytes: int = 0


class DoorSession:
    """A session whose audio is in the caller's formats, whatever the backend speaks. Is a `VoiceSession`.

    Both ways are converted as streams: no clicks between pieces, nothing dropped, and milliseconds stay what they are.
    What the backend speaks is the first of its formats, until it says what was negotiated.
    """

    def __init__(self, session: VoiceSession, input_format: AudioFormat, output_format: AudioFormat) -> None:
        self._session = session
        self._formats = (input_format, output_format)
        self._negotiated: SessionReady | None = None
        self._order = asyncio.Lock()
        """Held by the one whose command is on its way; the others come in their turn."""
        self._input: Converter | None = None
        self._input_since: SessionReady | None = None
        """What was negotiated when the converter was made, or found to fit."""
        self._unsent = b""
        self._sounds: dict[str, _Sound] = {}
        """By response, of those that have not ended."""
        self._events: AsyncIterator[Event] | None = None
        self._pending: deque[Event] = deque()

    @property
    def delivered_ms(self) -> float | None:
        """Milliseconds of the audio sent that the peer has certainly received. None: nobody knows."""
        return getattr(self._session, "delivered_ms", None)

    @property
    def confirms(self) -> bool:
        """Whether the peer says in good time what it has received."""
        return bool(getattr(self._session, "confirms", False))

    @property
    def has_room(self) -> bool:
        """Whether `send` takes audio without a wait, as far as is known."""
        return not self._order.locked() and getattr(self._session, "has_room", True)

    @property
    def dead_s(self) -> float:
        """For how many seconds it had been dead, when that was found out; 0: it was not."""
        return float(getattr(self._session, "dead_s", 0.0))

    @property
    def capabilities(self) -> Capabilities:
        """The backend's, with the formats of this door."""
        return self._seen_from_here(self._session.capabilities)

    async def send(self, command: Command) -> None:
        """Give a command. See `VoiceSession.send`."""
        check(command)
        if isinstance(command, SendAudio):
            pcm = bytes(command.pcm)  # before anything waits: it may be a buffer that its owner fills again
            async with self._order:
                await self._send_audio(command, pcm)
        elif isinstance(command, Interrupt | ReportPlayed):  # pass the audio
            await self._session.send(command)
            if isinstance(command, Interrupt):
                self._purge(command.response_id)
        else:
            async with self._order:
                if self._unsent:
                    await self._send_unsent()
                await self._session.send(command)

    async def _send_audio(self, command: SendAudio, pcm: bytes) -> None:
        """Convert and send. Whatever goes wrong, and when the wait is cancelled, nothing of it was taken."""
        converter, unsent = self._input_of(command), self._unsent
        before = converter if converter.passes(pcm) else converter.copy()
        converted = converter.convert(pcm)
        pcm = unsent + converted if unsent else converted
        self._unsent = b""
        try:
            await self._session.send(command if pcm is command.pcm else SendAudio(pcm=pcm))
        except BaseException:
            self._unsent = unsent
            if self._input is converter:
                self._input = before
            raise

    async def _send_unsent(self) -> None:
        """Send what is left of another format."""
        pcm, self._unsent = self._unsent, b""
        try:
            await self._session.send(SendAudio(pcm=pcm))
        except BaseException:
            self._unsent = pcm
            raise

    def _input_of(self, command: SendAudio) -> Converter:
        negotiated = self._negotiated
        if self._input is not None and negotiated is not None and self._input_since is negotiated:
            return self._input
        taken = self._session.capabilities.formats_in
        if not taken:
            raise Unsupported("This backend takes no audio.", command_id=command.id)
        target = negotiated.input_format if negotiated else taken[0]
        if self._input is None:
            self._input = Converter(self._formats[0], target)
        elif self._input.target != target:
            # What was taken already and not sent goes on in the new format.
            onward = Converter(self._input.target, target)
            self._unsent = onward.convert(self._unsent + self._input.flush()) + onward.flush()
            self._input = Converter(self._formats[0], target)
        self._input_since = negotiated
        return self._input

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._pending:
            return self._pending.popleft()
        if self._events is None:
            self._events = aiter(self._session)
        event = await anext(self._events)
        if isinstance(event, OutputAudio):
            return self._converted(event)
        self._pending.extend(self._seen(event))
        return self._pending.popleft()

    def _seen(self, event: Event) -> tuple[Event, ...]:
        """What becomes of an event that is no audio."""
        if isinstance(event, ResponseEnded) and event.response_id in self._sounds:
            return self._end_sound(event)
        if isinstance(event, SessionReady):
            return (self._ready(event),)
        if isinstance(event, SessionRestarted):
            return (replace(event, ready=self._ready(event.ready)),)
        return (event,)

    async def hand_to(self, take: Callable[[Event], None], downstream: Room) -> None:
        """Give each event to `take`, in place of iterating: in the moment in which it comes, if the backend can.

        Args:
            take: must not raise.
            downstream: whoever keeps what was taken; its room counts.
        """
        hand_to = getattr(self._session, "hand_to", None)
        if hand_to is None:
            async for event in self:
                take(event)
                if not downstream.has_room:
                    await downstream.room()
            return

        def passed(event: Event) -> None:
            if type(event) is OutputAudio:
                take(self._converted(event))
                return
            for one in self._seen(event):
                take(one)

        await hand_to(passed, downstream)

    async def aclose(self) -> None:
        """End the session. See `VoiceSession.aclose`."""
        await self._session.aclose()

    def _ready(self, ready: SessionReady) -> SessionReady:
        """From here on the backend speaks what it says; to the caller it is told in the door's formats."""
        self._negotiated = ready
        input_format, output_format = self._formats
        capabilities = self._seen_from_here(ready.capabilities)
        return replace(ready, input_format=input_format, output_format=output_format, capabilities=capabilities)

    def _seen_from_here(self, inner: Capabilities) -> Capabilities:
        return replace(
            inner,
            formats_in=(self._formats[0],) if inner.formats_in else (),
            formats_out=(self._formats[1],) if inner.formats_out else (),
        )

    def _converted(self, event: OutputAudio) -> OutputAudio:
        sound = self._sounds.get(event.response_id)
        if sound is None:
            declared = self._session.capabilities.formats_out or self._formats[1:]
            source = self._negotiated.output_format if self._negotiated else declared[0]
            sound = self._sounds[event.response_id] = _Sound(Converter(source, self._formats[1]))
        return self._next_piece(event, sound, sound.converter.convert(event.pcm))

    def _next_piece(self, event: OutputAudio | ResponseEnded, sound: _Sound, pcm: bytes) -> OutputAudio:
        offset_ms = self._formats[1].ms(sound.sent_bytes)
        sound.sent_bytes += len(pcm)
        if isinstance(event, OutputAudio) and pcm is event.pcm and offset_ms == event.offset_ms:
            return event  # as it would be made again
        return OutputAudio(at=event.at, response_id=event.response_id, pcm=pcm, offset_ms=offset_ms)

    def _end_sound(self, ended: ResponseEnded) -> tuple[Event, ...]:
        """The last samples that the converter still held come before the end; of an interrupted response they don't."""
        sound = self._sounds.pop(ended.response_id)
        tail = sound.converter.flush()
        if tail and ended.status == "completed":
            return self._next_piece(ended, sound, tail), ended
        return (ended,)

    def _purge(self, response_id: str | None) -> None:
        """Nothing more of that response is heard, or of any: neither what waits nor what its converter holds."""
        kept = (e for e in self._pending if not isinstance(e, OutputAudio) or response_id not in (None, e.response_id))
        self._pending = deque(kept)
        for sounding, sound in self._sounds.items():
            if response_id in (None, sounding):
                sound.converter.reset()
