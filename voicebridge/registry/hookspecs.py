"""The whole surface that a plugin may use, one sentence a hook. `plugins/README.md` shows each at work.

A plugin is a module named by an entry point of the group `voicebridge`. It implements any of these with `hookimpl`, and
imports what is heavy inside its factories, so that installing it costs nothing until it is used. If one of its hooks
raises, nothing that it registered counts, and the error is told when one of its names is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
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
