"""OpenAI Realtime and every server that speaks its wire. Heavy modules are imported inside the factories."""

from voicebridge.registry.hookspecs import hookimpl
from voicebridge.registry.rows import RegisterBackend, RegisterSimulator


@hookimpl
def register_backends(register: RegisterBackend) -> None:
    """Nothing yet."""


@hookimpl
def register_simulators(register: RegisterSimulator) -> None:
    """A server that speaks the wire without the vendor."""
    from voicebridge.registry.rows import About

    from .simulator import simulator

    register("openai-realtime", simulator, About(summary="OpenAI Realtime (GA) over websockets"))
