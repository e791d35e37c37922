"""The whole surface that a plugin may use, one sentence a hook. `plugins/README.md` shows each at work.

A plugin is a module named by an entry point of the group `voicebridge`. It implements any of these with `hookimpl`, and
imports what is heavy inside its factories, so that installing it costs nothing until it is used. If one of its
`register` hooks raises, nothing that it registered counts, and the error is told when one of its names is asked for.
The last four concern the sessions of `connect`; a raw connection (`connect_raw`) has no rules, and nobody watches it.
The last three watch: they run in the event loop and must not wait; one that raises is off for the rest of that session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from voicebridge.contract.call_policy import CallPolicy
    from voicebridge.contract.commands import Command
    from voicebridge.contract.config import SessionConfig
    from voicebridge.contract.events import Event, OutputAudio
    from voicebridge.contract.session import VoiceSession

    from .rows import RegisterBackend, RegisterCommands, RegisterSimulator, RegisterStage

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT = "voicebridge"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_backends(register: RegisterBackend) -> None:
    """Call `register(name, factory, about)` for each backend; `factory(model)` makes one, `vendor/model` its spec."""


@hookspec
def register_stages(register: RegisterStage) -> None:
    """Call `register(seat, name, factory, about)` for each stage of a cascade; `factory(model)` makes one a session."""


@hookspec
def register_commands(register: RegisterCommands) -> None:
    """Call `register(name, load, about)` for each command of the CLI; `load()` gives its `typer.Typer` app."""


@hookspec
def register_simulators(register: RegisterSimulator) -> None:
    """Call `register(name, factory, about)` for each wire to simulate; `factory(settings)` makes a server of it."""


@hookspec
def session_opening(config: SessionConfig) -> CallPolicy | None:
    """Return rules that the call must keep besides the application's; if it raises, the session is not opened."""


@hookspec
def command_sent(session: VoiceSession, command: Command) -> None:
    """See each command of the application once the session has taken it, audio included, and none of the session's."""


@hookspec
def event_received(session: VoiceSession, event: Event) -> None:
    """See each event that the application gets, the fatal one at the end too, but `OutputAudio`."""


@hookspec
def output_audio(session: VoiceSession, audio: OutputAudio) -> None:
    """See each piece of the agent's voice as the application gets it (`CallPolicy.output_audio` may change it)."""
