"""`replay/FOLDER` as a backend. What it needs is imported when it is asked for."""

from voicebridge.registry.hookspecs import hookimpl
from voicebridge.registry.rows import RegisterBackend


@hookimpl
def register_backends(register: RegisterBackend) -> None:
    """Nothing yet."""
