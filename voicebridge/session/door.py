"""The door: a spec string in, a session out, audio in the formats that the caller speaks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from voicebridge.audio.converter import Converter
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, Interrupt, ReportPlayed, SendAudio
from voicebridge.contract.config import SessionConfig, Tool, checked
from voicebridge.contract.errors import ConfigError, Unsupported
from voicebridge.contract.events import Event, OutputAudio, ResponseEnded, SessionReady, SessionRestarted
from voicebridge.contract.items import Item
from voicebridge.contract.session import Backend, VoiceSession
from voicebridge.core.retry import RetryPolicy
from voicebridge.registry.registry import registry
from voicebridge.registry.spec import CascadeSpec, parse

from .command_check import check
from .reconnecting import reconnecting

__all__ = ["DoorSession", "backend_of", "connect"]


@asynccontextmanager
async def connect(
    spec: str | Backend,
    *,
    instructions: str | None = None,
    voice: str | None = None,
    tools: Iterable[Tool | dict[str, Any]] | None = (),
    api_key: str | None = None,
    base_url: str | None = None,
    input_format: AudioFormat | None = None,
    output_format: AudioFormat | None = None,
    history: Sequence[Item] | None = (),
    reconnect: bool | RetryPolicy = False,
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
        history: what was said before: `MessageItem`, `ToolCallItem`, `ToolResultItem`.
        reconnect: dial again when the connection is lost or its time is up. The conversation goes on as text, and what
            the user was saying is heard from its beginning; `SessionRestarted` tells of it. A `RetryPolicy` says how
            much patience there is; True is the usual one.
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
        "tools": _listed("tools", tools),
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
    backend, said = backend_of(spec), _said(history)
    async with _session(backend, config, said, reconnect) as session:
        yield DoorSession(session, config.input_format, config.output_format)


def _session(
    backend: Backend, config: SessionConfig, said: Sequence[Item], reconnect: bool | RetryPolicy
) -> AbstractAsyncContextManager[VoiceSession]:
    if not isinstance(reconnect, bool | RetryPolicy):
        kind = type(reconnect).__name__
        raise ConfigError(f"reconnect is True, False or a RetryPolicy, not {kind}.", code="bad_reconnect")
    if reconnect is False:
        return backend.connect(config, said)
    return reconnecting(backend, config, said, policy=None if reconnect is True else reconnect)


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
    def capabilities(self) -> Capabilities:
        """The backend's, with the formats of this door."""
        return self._seen_from_here(self._session.capabilities)

    async def send(self, command: Command) -> None:
        """Give a command. See `VoiceSession.send`."""
        check(command)
        if isinstance(command, SendAudio):
            pcm = bytes(command.pcm)  # before anything waits: it may be a buffer that its owner fills again
            async with self._order:
                converted = self._input_of(command).convert(pcm)
                self._unsent = self._unsent + converted if self._unsent else converted
                await self._send_unsent(command)
        elif isinstance(command, Interrupt | ReportPlayed):  # pass the audio
            await self._session.send(command)
            if isinstance(command, Interrupt):
                self._purge(command.response_id)
        else:
            async with self._order:
                if self._unsent:
                    await self._send_unsent()
                await self._session.send(command)

    async def _send_unsent(self, command: SendAudio | None = None) -> None:
        """Send what the converter gave. A wait that is cancelled leaves it for the next call: it was taken already.

        Args:
            command: what it comes of. It goes on as it is, where that is all there is to send.
        """
        pcm, self._unsent = self._unsent, b""
        if command is None or pcm is not command.pcm:
            command = SendAudio(pcm=pcm)
        try:
            await self._session.send(command)
        except asyncio.CancelledError:
            self._unsent = pcm + self._unsent
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
        if isinstance(event, ResponseEnded) and event.response_id in self._sounds:
            self._end_sound(event)
            return self._pending.popleft()
        if isinstance(event, SessionReady):
            return self._ready(event)
        if isinstance(event, SessionRestarted):
            return replace(event, ready=self._ready(event.ready))
        return event

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

    def _end_sound(self, ended: ResponseEnded) -> None:
        """The last samples that the converter still held come before the end; of an interrupted response they don't."""
        sound = self._sounds.pop(ended.response_id)
        tail = sound.converter.flush()
        if tail and ended.status == "completed":
            self._pending.append(self._next_piece(ended, sound, tail))
        self._pending.append(ended)

    def _purge(self, response_id: str | None) -> None:
        """Nothing more of that response is heard, or of any: neither what waits nor what its converter holds."""
        kept = (e for e in self._pending if not isinstance(e, OutputAudio) or response_id not in (None, e.response_id))
        self._pending = deque(kept)
        for sounding, sound in self._sounds.items():
            if response_id in (None, sounding):
                sound.converter.reset()


def _listed(name: str, given: Any) -> tuple[Any, ...]:
    if given is None:
        return ()
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise ConfigError(f"{name} is a list, not {type(given).__name__}.", code=f"bad_{name}")
    return tuple(given)


def _said(history: Any) -> tuple[Item, ...]:
    items = _listed("history", history)
    for item in items:
        if not isinstance(item, Item):
            raise ConfigError(
                f"history holds MessageItem, ToolCallItem and ToolResultItem, not {type(item).__name__}: write "
                "MessageItem(role='user', text=...).",
                code="bad_history",
            )
    return items
