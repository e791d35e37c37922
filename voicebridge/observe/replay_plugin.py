"""`replay/FOLDER` as a backend. What it needs is imported when it is asked for."""

from __future__ import annotations

from voicebridge.contract.errors import BadRecording
from voicebridge.contract.session import Backend
from voicebridge.registry.hookspecs import hookimpl
from voicebridge.registry.rows import About, RegisterBackend


@hookimpl
def register_backends(register: RegisterBackend) -> None:
    """Recorded sessions, by their folders."""
    register("replay", _replay, About(summary="A recorded session again: replay/FOLDER, or replay//absolute/FOLDER"))


def _replay(folder: str | None) -> Backend:
    if not folder:
        raise BadRecording("Which recording? Write replay/FOLDER, as in `replay/calls/7` or `replay//srv/calls/7`.")
    from .replay import ReplayBackend

    return ReplayBackend(folder)
