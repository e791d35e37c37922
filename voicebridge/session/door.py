"""The door: a spec string in, a session out, audio in the formats that the caller speaks."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from voicebridge.cascade.backend import CascadeBackend
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.config import SessionConfig, Tool, checked
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.events import Interruption
from voicebridge.contract.items import Item
from voicebridge.contract.session import Backend, VoiceSession
from voicebridge.core.interruption_policy import Signals, Verdict
from voicebridge.core.retry import RetryPolicy
from voicebridge.pool.key_pool import KeyPool
from voicebridge.registry.registry import registry
from voicebridge.registry.spec import CascadeSpec, parse

from .call_setup import CallSetup, ToolPolicy
from .candidate import OWN_SETTINGS, Candidate
from .door_session import DoorSession
from .history_store import HistoryStore, new_conversation, open_store
from .managed import ManagedSession, managed
from .team import Agent, Team
from .toolbox import Toolbox

__all__ = ["backend_of", "connect", "connect_raw"]


@asynccontextmanager
async def connect(
    spec: str | Backend,
    *,
    instructions: str | None = None,
    voice: str | None = None,
    tools: Iterable[Callable[..., Any] | Tool | dict[str, Any]] | None = (),
    agents: Iterable[Agent] = (),
    api_key: str | KeyPool | None = None,
    base_url: str | None = None,
    input_format: AudioFormat | None = None,
    output_format: AudioFormat | None = None,
    history: Sequence[Item] | str | HistoryStore | None = (),
    conversation: str | None = None,
    fallback: Iterable[str | Backend | Mapping[str, Any]] = (),
    retry: RetryPolicy | None = None,
    interruption: Callable[[Signals], Verdict] | None = None,
    on_interrupt: Callable[[Interruption], None] | None = None,
    policy: CallPolicy | None = None,
    tool_policy: ToolPolicy | None = None,
    **options: Any,
) -> AsyncIterator[ManagedSession]:
    """Open a conversation with a voice backend.

        async with voicebridge.connect("local", instructions="Answer briefly.") as session:
            await session.send(SendAudio(pcm=pcm))
            async for event in session:
                ...

    The session outlives its connections: when one is lost, or its time is up, another one goes on with the
    conversation, and `SessionRestarted` tells of it.

    Args:
        spec: `local`, `vendor/model`, a cascade `vendor/stt+vendor/llm+vendor/tts`, or a `Backend`.
        tools: what the model may call. Functions with type hints are run by the session, which sends their results; a
            `Tool` (or the same as a dict) is answered by the application, with `SendToolResult`.
        agents: several agents in one call, the one who begins first, each with its own instructions, tools, voice and
            backend. They hand over to one another by a tool.
        api_key: of the vendor, or a `KeyPool` that several calls share.
        input_format, output_format: of the audio sent and received: PCM16 little-endian, mono, 24 kHz unless given.
            They hold for the whole call, whatever backend serves it.
        history: what was said before: `MessageItem`, `ToolCallItem`, `ToolResultItem`. Or where the conversation is
            kept: a URL such as `sqlite:///calls.db`, or a `HistoryStore`.
        conversation: its name there. One that is there already goes on; only one call at a time may have it. None: a
            new one, `session.conversation`.
        fallback: backends that take over, in this order, when the first one can't be reached, is lost, is over its
            limit, falls silent or fails to answer; later it is returned to. Specs, or specs with settings of their own,
            `{"backend": "xai/grok-voice-latest", "voice": "eve"}`. Settings that belong to one backend (`voice`,
            `model`, `api_key`, `base_url`, and options of its own) don't go along to another one.
        retry: how much patience there is with a backend. `RetryPolicy(tries=0)`: none.
        interruption: what the user's voice does to the agent's: an `InterruptionPolicy`, or a function of your own.
            The application's player has to obey each `Interruption` (`pause`, `resume`, `duck`, ...), as that of
            `VoiceAgent` does: one that can't hold what it plays takes `InterruptionPolicy.at_once()`. None: backends
            stop the agent by themselves, at the first sound; where a disclosure is spoken first, the session does it in
            their place, so that nobody speaks over that.
        on_interrupt: called with each decision about that, as it is made.
        policy: rules of the call: disclosure, consent, redaction, limits.
        tool_policy: deadlines and hooks of the functions in `tools`.
        options: any other field of `SessionConfig` (`speed`, `language`, `turns`, ...), and the backend's own.

    Raises:
        BackendNotFound: nothing has that name.
        MissingExtra: it is known but its packages are not installed.
        BrokenPlugin: its plugin failed to load.
        ConfigError: a setting does not fit, or the backend does not know an option.
        Unsupported: a setting asks for what the backend can't do.
    """
    _check_kind("retry", retry, RetryPolicy)
    _check_kind("policy", policy, CallPolicy)
    _check_kind("tool_policy", tool_policy, ToolPolicy)
    kept = isinstance(history, str) or hasattr(history, "keeps_audio")
    _check_conversation(conversation, kept=kept)
    _check_function("interruption", interruption, "an InterruptionPolicy(), or a function from Signals to a Verdict")
    _check_function("on_interrupt", on_interrupt, "a function of one Interruption")
    functions, others = _parted(tools)
    team = Team(agents, tools=(*functions, *others)) if agents else None
    toolbox = Toolbox(functions, others=others) if functions and team is None else None
    keys = api_key if isinstance(api_key, KeyPool) else None
    given: dict[str, Any] = {
        "instructions": instructions,
        "voice": voice,
        "tools": others if toolbox is None else toolbox.tools,
        "api_key": None if keys is not None else api_key,
        "base_url": base_url,
        "input_format": input_format or DOOR_FORMAT,
        "output_format": output_format or DOOR_FORMAT,
    }
    config = _config(given, options)
    candidate = Candidate.of(backend_of(spec), config, spec, keys)
    called, home = config, candidate
    if team is not None:
        config, candidate = _beginning(team, config, home)
    setup = CallSetup(
        config=config,
        candidates=(candidate, *(_fallback(one) for one in _listed("fallback", fallback))),
        candidate_of=partial(_candidate, home=home),
        called=called,
        spec=spec,
        keys=keys,
        retry=retry or RetryPolicy(),
        said=() if kept else _said(history),
        store=open_store(history) if isinstance(history, str) else history if kept else None,  # type: ignore[arg-type]  # it has what a store has
        owns_store=isinstance(history, str),
        conversation=conversation or new_conversation(),
        toolbox=toolbox,
        team=team,
        tools=tool_policy or ToolPolicy(),
        policy=policy,
        interruption=interruption,
        on_interrupt=on_interrupt,
    )
    async with managed(setup) as session:
        yield session


@asynccontextmanager
async def connect_raw(
    spec: str | Backend,
    *,
    tools: Iterable[Tool | dict[str, Any]] | None = (),
    history: Sequence[Item] | None = (),
    input_format: AudioFormat | None = None,
    output_format: AudioFormat | None = None,
    **options: Any,
) -> AsyncIterator[VoiceSession]:
    """Open one connection to a backend, and nothing above it: it ends when the connection does.

    For measuring, and for those who keep their own history. A raw connection has no rules: no `CallPolicy` holds, not
    even one that a plugin imposes, no hook of a plugin watches, and logs are not redacted. The arguments are those of
    `connect`, as far as they concern a backend.
    """
    given = {
        "tools": _listed("tools", tools),
        "input_format": input_format or DOOR_FORMAT,
        "output_format": output_format or DOOR_FORMAT,
    }
    config = _config(given, options)
    async with backend_of(spec).connect(config, _said(history)) as raw:
        yield DoorSession(raw, config.input_format, config.output_format)


def _config(given: dict[str, Any], options: Mapping[str, Any]) -> SessionConfig:
    own = {name: value for name, value in options.items() if name not in SessionConfig.model_fields}
    portable = {name: value for name, value in options.items() if name in SessionConfig.model_fields}
    if twice := sorted(set(portable) & (set(given) | {"options"})):
        raise ConfigError(f"connect sets {', '.join(twice)} itself; pass backend options by their own names.")
    return checked(given | portable | {"options": own})


def _beginning(team: Team, config: SessionConfig, home: Candidate) -> tuple[SessionConfig, Candidate]:
    """How the call begins: as the first agent of the team is set. What is wrong with another one is told now as well,
    and not when the conversation is handed to it."""
    beginnings = []
    for agent in team.agents:
        patch = team.patch_for(agent, config, home.spec, home.keys)
        try:
            candidate = _candidate(patch.pop("backend", home.spec), patch, home=home)
            shared = config.patched({name: value for name, value in patch.items() if name not in OWN_SETTINGS})
            candidate.check(shared)
        except VoiceBridgeError as error:
            raise _of_agent(agent, error) from error
        beginnings.append((shared, candidate))
    return beginnings[0]


def _of_agent(agent: Agent, error: VoiceBridgeError) -> VoiceBridgeError:
    """The same error, saying whose settings are meant."""
    return type(error)(replace(error.fault, message=f"The agent {agent.name!r} can't be used: {error.fault.message}"))


def _candidate(spec: str | Backend, settings: Mapping[str, Any], *, home: Candidate | None = None) -> Candidate:
    """A backend with its own settings. Where the call began, it keeps what the call began with, such as its key."""
    own = {name: value for name, value in settings.items() if name in OWN_SETTINGS}
    if home is not None and spec == home.spec:
        return home.changed(own)
    return Candidate(spec=spec, backend=backend_of(spec), own=own)


def _fallback(given: str | Backend | Mapping[str, Any]) -> Candidate:
    if not isinstance(given, Mapping):
        return _candidate(given, {})
    settings = dict(given)
    try:
        spec = settings.pop("backend")
    except KeyError:
        raise ConfigError(
            'A fallback with settings names its backend: {"backend": "local"}.', code="bad_fallback"
        ) from None
    if others := sorted(settings.keys() - OWN_SETTINGS):
        may = ", ".join(sorted(OWN_SETTINGS))
        raise ConfigError(f"A fallback sets {may}; {others[0]} holds for the whole call.", code="bad_fallback")
    return _candidate(spec, settings)


def _parted(tools: Any) -> tuple[list[Callable[..., Any]], list[Tool]]:
    """Functions that the session runs, and tools that the application answers."""
    functions, others = [], []
    for tool in _listed("tools", tools):
        if isinstance(tool, Tool | Mapping):
            others.append(tool)
        else:
            functions.append(tool)
    return functions, list(checked({"tools": others}).tools)


def _check_function(name: str, given: object, wanted: str) -> None:
    if given is None:
        return
    waits = inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(getattr(given, "__call__", None))  # noqa: B004  # not whether, but what
    if waits or isinstance(given, type) or not callable(given):
        what = "an async function" if waits else repr(given) if isinstance(given, type) else type(given).__name__
        raise ConfigError(f"{name} is {wanted}, not {what}.", code=f"bad_{name}")


def _check_conversation(name: object, *, kept: bool) -> None:
    _check_kind("conversation", name, str)
    if isinstance(name, str) and not name.strip():
        raise ConfigError("conversation is a name, not an empty text. None: a new one.", code="bad_conversation")
    if name is not None and not kept:
        raise ConfigError(
            'conversation names one in a store, and none is given: add history="sqlite:///calls.db".',
            code="bad_conversation",
        )


def _check_kind(name: str, given: object, kind: type) -> None:
    if given is not None and not isinstance(given, kind):
        raise ConfigError(f"{name} is a {kind.__name__}, not {type(given).__name__}.", code=f"bad_{name}")


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
    if isinstance(history, PurePath):
        url = "sqlite:///" + quote(history.as_posix())
        raise ConfigError(f'A file that keeps the history is named by a URL: history="{url}".', code="bad_history")
    items = _listed("history", history)
    for item in items:
        if not isinstance(item, Item):
            raise ConfigError(
                f"history holds MessageItem, ToolCallItem and ToolResultItem, not {type(item).__name__}: write "
                "MessageItem(role='user', text=...).",
                code="bad_history",
            )
    return items
