"""OpenAI Realtime and every server that speaks its wire. Heavy modules are imported inside the factories."""

from voicebridge.registry.hookspecs import hookimpl
from voicebridge.registry.rows import RegisterBackend


@hookimpl
def register_backends(register: RegisterBackend) -> None:
    """Nothing yet."""
