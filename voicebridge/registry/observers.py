"""The hooks of plugins that concern a session: the rules that they impose, and those that watch it.

Who opens a session asks once. Where no plugin implements a hook, its tuple is empty, and a loop over it costs nothing.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.commands import Command
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BrokenPlugin
from voicebridge.contract.events import Event, OutputAudio
from voicebridge.contract.session import VoiceSession
from voicebridge.core.redaction import named

from .registry import Registry, registry

__all__ = ["Observers", "imposed_policies", "observers"]

_log = logging.getLogger("voicebridge")


@dataclass(frozen=True, slots=True)
class Observers:
    """What is to be called during one session. None of these raises."""

    command_sent: tuple[Callable[[VoiceSession, Command], None], ...] = ()
    event_received: tuple[Callable[[VoiceSession, Event], None], ...] = ()
    output_audio: tuple[Callable[[VoiceSession, OutputAudio], None], ...] = ()


class _Observer:
    """One plugin's hook in one session. When it fails, that is logged once, and it is not called again."""

    __slots__ = ("_argument", "_caller", "_hook", "_plugin")

    def __init__(self, plugin: str, hook: str, argument: str, caller: Callable[..., list[Any]]) -> None:
        self._plugin, self._hook, self._argument = plugin, hook, argument
        self._caller: Callable[..., list[Any]] | None = caller

    def __call__(self, session: VoiceSession, seen: Command | Event) -> None:
        if self._caller is None:
            return
        try:
            answers = self._caller(session=session, **{self._argument: seen})
        except Exception as error:
            self._switch_off(named(error))
            return
        for answer in answers:
            if inspect.iscoroutine(answer):
                answer.close()
                self._switch_off("it is a coroutine; write a plain function")

    def _switch_off(self, why: str) -> None:
        self._caller = None
        message = "The hook %s of the plugin %r failed (%s): it is off for this session"
        _log.warning(message, self._hook, self._plugin, why)


def observers(of: Registry | None = None) -> Observers:
    """The hooks that watch a session, for one that is being opened.

    Args:
        of: where the plugins are. None: the registry of this process.
    """
    plugins = of or registry()

    def made(hook: str, argument: str) -> tuple[_Observer, ...]:
        return tuple(_Observer(name, hook, argument, caller) for name, caller in plugins.implementations(hook))

    return Observers(
        command_sent=made("command_sent", "command"),
        event_received=made("event_received", "event"),
        output_audio=made("output_audio", "audio"),
    )


def imposed_policies(config: SessionConfig, of: Registry | None = None) -> tuple[CallPolicy, ...]:
    """The rules that plugins impose on a session with this config.

    Args:
        of: as in `observers`.

    Raises:
        BrokenPlugin: a plugin failed to tell its rules. The call must not begin without them.
    """
    policies: list[CallPolicy] = []
    for name, caller in (of or registry()).implementations("session_opening"):
        try:
            answers = caller(config=config)
        except Exception as error:
            raise BrokenPlugin(
                f"The plugin {name!r} failed to tell the rules of this call ({named(error)}). Mend it, or block it.",
                code="bad_policy",
            ) from error
        for answer in answers:
            if not isinstance(answer, CallPolicy):
                if inspect.iscoroutine(answer):
                    answer.close()
                raise BrokenPlugin(
                    f"session_opening of the plugin {name!r} returns a CallPolicy or None, not "
                    f"{type(answer).__name__}. Mend it, or block it.",
                    code="bad_policy",
                )
            policies.append(answer)
    return tuple(policies)
