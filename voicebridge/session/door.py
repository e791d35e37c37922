"""The door: a spec string in, a session out, audio in the formats that the caller speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from voicebridge.cascade.backend import CascadeBackend
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.config import SessionConfig, Tool, checked
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.items import Item
from voicebridge.contract.session import Backend, VoiceSession
from voicebridge.core.chronicle import Chronicle
from voicebridge.core.retry import RetryPolicy
from voicebridge.registry.registry import registry
from voicebridge.registry.spec import CascadeSpec, parse

from .candidate import Candidate
from .door_session import DoorSession
from .handover_session import handing_over

__all__ = ["backend_of", "connect"]


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
    if reconnect is False:
        async with backend.connect(config, said) as raw:
            yield DoorSession(raw, config.input_format, config.output_format)
        return
    candidate = Candidate.of(backend, config, str(spec))
    policy = None if reconnect is True else reconnect
    async with handing_over(config, [candidate], Chronicle(said), policy=policy) as session:
        yield session


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
