"""OpenAI Realtime and every server that speaks its wire, as native backends; OpenAI's HTTP API and the servers that
speak that, as stages of a cascade.

Only hooks here: what does the work is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from voicebridge.registry.hookspecs import hookimpl

if TYPE_CHECKING:
    from voicebridge.contract.session import Backend
    from voicebridge.contract.simulator import Simulator, SimulatorSettings
    from voicebridge.registry.rows import RegisterBackend, RegisterSimulator, RegisterStage

__all__ = ["register_backends", "register_simulators", "register_stages"]


@hookimpl
def register_backends(register: RegisterBackend) -> None:
    """A backend for each dialect."""
    from voicebridge.registry.rows import About, ModelAbout

    from .dialects import DIALECTS
    from .models import MODELS

    for dialect in DIALECTS.values():
        about = About(
            summary=f"{dialect.maker}, over the OpenAI Realtime wire",
            source=dialect.url or "the server that base_url names",
            requires=("orjson", "pybase64", "websockets"),
            key=dialect.key_variable,
            models=tuple(
                ModelAbout(name=m.name, aliases=m.aliases, shuts_down=m.shuts_down, note=m.note)
                for m in MODELS
                if m.vendor == dialect.name
            ),
        )
        register(dialect.name, _maker(dialect.name), about)


@hookimpl
def register_stages(register: RegisterStage) -> None:
    """Every server's seats."""
    from .seats.rows import register_all

    register_all(register)


@hookimpl
def register_simulators(register: RegisterSimulator) -> None:
    """Servers that speak the vendor's wires without the vendor."""
    from voicebridge.registry.rows import About

    about = About(summary="OpenAI Realtime (GA) over websockets", requires=("orjson", "pybase64", "websockets"))
    register("openai-realtime", _simulator, about)
    about = About(
        summary="OpenAI's HTTP API: chat, responses, transcriptions, speech", requires=("orjson", "websockets")
    )
    register("openai-http", _http_simulator, about)


def _simulator(settings: SimulatorSettings) -> Simulator:
    from .simulator import simulator

    return simulator(settings)


def _http_simulator(settings: SimulatorSettings) -> Simulator:
    from .http_simulator import simulator

    return simulator(settings)


def _maker(name: str) -> Callable[[str | None], Backend]:
    def make(model: str | None) -> Backend:
        from .backend import make_backend

        return make_backend(name, model)

    return make
