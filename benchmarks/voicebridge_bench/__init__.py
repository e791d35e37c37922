"""The benchmark harness: conversations with recorded human speech, in real time, against any backend by name.

It joins the command line as `voicebridge bench`. Nothing heavy is imported here: each command imports what it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicebridge.registry.hookspecs import hookimpl

if TYPE_CHECKING:
    import typer

    from voicebridge.registry.rows import RegisterCommands

__all__ = ["register_commands"]


def _load() -> typer.Typer:
    from .commands import app

    return app


@hookimpl
def register_commands(register: RegisterCommands) -> None:
    """Add `voicebridge bench`."""
    from voicebridge.registry.rows import About

    register("bench", _load, About(summary="Measure a backend with recorded human speech, in real time."))
