"""The door: a spec string in, a session out, audio in the formats that the caller speaks."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from voicebridge.audio.converter import Converter
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, Interrupt, SendAudio
from voicebridge.contract.config import SessionConfig, Tool, checked
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import Event, OutputAudio, ResponseEnded, SessionReady
from voicebridge.contract.items import Item
from voicebridge.contract.session import Backend, VoiceSession
from voicebridge.registry.registry import registry
from voicebridge.registry.spec import CascadeSpec, parse

__all__ = ["DoorSession", "backend_of", "connect"]


@asynccontextmanager
async def connect(
    spec: str | Backend,
    *,
    instructions: str | None = None,
    voice: str | None = None,
    tools: Iterable[Tool | dict[str, Any]] = (),
    api_key: str | None = None,
    base_url: str | None = None,
    input_format: AudioFormat | None = None,
    output_format: AudioFormat | None = None,
    history: Sequence[Item] = (),
    **options: Any,
) -> AsyncIterator[VoiceSession]:
    """Open a conversation with a voice backend.

        async with voicebridge.connect("local", instructions="Answer briefly.") as session:
            await session.send(SendAudio(pcm=pcm))
            async for event in session:
                ...

    Args:
        spec: `local`, `vendor/model`, a cascade `vendor/stt+vendor/llm+vendor/tts`, or a `Backend`.
        tools: what the model may call; `Tool`s or the same as dicts.
        input_format, output_format: of the audio sent and received: PCM16 little-endian, mono, 24 kHz unless given.
        history: what was said before.
        options: any other field of `SessionConfig` (`speed`, `language`, `turns`, ...), and the backend's own.

    Raises:
        BackendNotFound: nothing has that name.
        MissingExtra: it is known but its packages are not installed.
        BrokenPlugin: its plugin failed to load.
        ConfigError: a setting does not fit, or the backend does not know an option.
        Unsupported: a setting asks for what the backend can't do.
    """
    own = {name: value for name, value in options.items() if name not in SessionConfig.model_fields}
    given = {
        "instructions": instructions,
        "voice": voice,
        "tools": tuple(tools),
        "api_key": api_key,
        "base_url": base_url,
        "input_format": input_format or DOOR_FORMAT,
        "output_format": output_format or DOOR_FORMAT,
        "options": own,
    }
    portable = {name: value for name, value in options.items() if name in SessionConfig.model_fields}
    if twice := sorted(set(portable) & set(given)):
        raise ConfigError(f"connect sets {', '.join(twice)} itself; pass backend options by their own names.")
    config = checked(given | portable)
    async with backend_of(spec).connect(config, tuple(history)) as session:
        yield DoorSession(session, config.input_format, config.output_format)


def backend_of(spec: str | Backend) -> Backend:
    """The backend that a spec names.

    Raises:
        ConfigError: see `connect`.
    """
    if not isinstance(spec, str) and hasattr(spec, "connect"):
        return spec
    parsed = parse(spec)  # type: ignore[arg-type]  # what is no string, it refuses in words
    if isinstance(parsed, CascadeSpec):
        return CascadeBackend(stt=parsed.stt, llm=parsed.llm, tts=parsed.tts)
    return registry().backend(parsed.name, parsed.model)


class DoorSession:
    """A session whose audio is in the caller's formats, whatever the backend speaks. Is a `VoiceSession`.

    Both ways are converted as streams: no clicks between pieces, nothing dropped, and milliseconds stay what they are.
    """

    def __init__(self, session: VoiceSession, input_format: AudioFormat, output_format: AudioFormat) -> None:
        self._session = session
        self._formats = (input_format, output_format)
        inner = session.capabilities
        self._input = Converter(input_format, inner.formats_in[0])
        self._output = Converter(inner.formats_out[0], output_format) if inner.formats_out else None
        self._unsent = b""
        self._sounding: str | None = None
        """The response that the output converter is in."""
        self._sent_bytes = 0
        self._pending: deque[Event] = deque()

    @property
    def capabilities(self) -> Capabilities:
        """The backend's, with the formats of this door."""
        inner = self._session.capabilities
        formats_out = (self._formats[1],) if inner.formats_out else ()
        return replace(inner, formats_in=(self._formats[0],), formats_out=formats_out)

    async def send(self, command: Command) -> None:
        """Give a command. See `VoiceSession.send`."""
        if isinstance(command, SendAudio):
            self._unsent += self._input.convert(command.pcm)
            await self._send_unsent()
            return
        if isinstance(command, Interrupt):
            self._purge(command.response_id)
        elif self._unsent:
            await self._send_unsent()
        await self._session.send(command)

    async def _send_unsent(self) -> None:
        """Send what the converter gave. A wait that is cancelled leaves it for the next call: it was taken already."""
        pcm = self._unsent
        await self._session.send(SendAudio(pcm=pcm))
        self._unsent = self._unsent[len(pcm) :]

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._pending:
            return self._pending.popleft()
        event = await anext(aiter(self._session))
        if isinstance(event, OutputAudio):
            return self._converted(event)
        if isinstance(event, ResponseEnded) and event.response_id == self._sounding:
            self._end_sound(event)
            return self._pending.popleft()
        if isinstance(event, SessionReady):
            return replace(
                event, input_format=self._formats[0], output_format=self._formats[1], capabilities=self.capabilities
            )
        return event

    async def aclose(self) -> None:
        """End the session. See `VoiceSession.aclose`."""
        await self._session.aclose()

    def _converted(self, event: OutputAudio) -> OutputAudio:
        assert self._output is not None
        if event.response_id != self._sounding:
            self._output.reset()
            self._sounding, self._sent_bytes = event.response_id, 0
        return self._next_piece(event, self._output.convert(event.pcm))

    def _next_piece(self, event: Event, pcm: bytes) -> OutputAudio:
        assert self._sounding is not None
        offset_ms = self._formats[1].ms(self._sent_bytes)
        self._sent_bytes += len(pcm)
        return OutputAudio(at=event.at, response_id=self._sounding, pcm=pcm, offset_ms=offset_ms)

    def _end_sound(self, ended: ResponseEnded) -> None:
        """The last samples that the converter still held come before the end; of an interrupted response they don't."""
        assert self._output is not None
        tail = self._output.flush()
        if tail and ended.status == "completed":
            self._pending.append(self._next_piece(ended, tail))
        self._pending.append(ended)
        self._sounding = None

    def _purge(self, response_id: str | None) -> None:
        kept = (e for e in self._pending if not isinstance(e, OutputAudio) or response_id not in (None, e.response_id))
        self._pending = deque(kept)
