"""Cartesia Sonic and Ink, as stages of a voicebridge cascade.

Only hooks here: what is heavy is imported when a stage is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicebridge.registry.hookspecs import hookimpl

if TYPE_CHECKING:
    from voicebridge.contract.simulator import Simulator, SimulatorSettings
    from voicebridge.contract.stages import Stage
    from voicebridge.registry.rows import RegisterSimulator, RegisterStage

__all__ = ["register_simulators", "register_stages"]


@hookimpl
def register_stages(register: RegisterStage) -> None:
    """Its recognisers and its voices."""
    from .models import INK, SONIC

    register("stt", "cartesia", _recogniser, INK)
    register("tts", "cartesia", _voice, SONIC)


@hookimpl
def register_simulators(register: RegisterSimulator) -> None:
    """A server that speaks these wires without the vendor."""
    from voicebridge.registry.rows import About

    about = About(
        summary="Cartesia Sonic and Ink over websockets and HTTP", requires=("orjson", "pybase64", "websockets")
    )
    register("cartesia", _simulator, about)


def _recogniser(model: str | None) -> Stage:
    from .recogniser import recogniser

    return recogniser(model)


def _voice(model: str | None) -> Stage:
    from .voice import voice

    return voice(model)


def _simulator(settings: SimulatorSettings) -> Simulator:
    from .simulator import simulator

    return simulator(settings)
