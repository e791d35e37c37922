"""Open models on this machine, as stages of a cascade, and `local`, the cascade of the default ones.

Only hooks here: the models' modules are imported when a stage of theirs is made, and weights are loaded when a session
warms up.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from voicebridge.registry.hookspecs import hookimpl

if TYPE_CHECKING:
    from voicebridge.contract.session import Backend
    from voicebridge.contract.stages import Stage
    from voicebridge.registry.rows import RegisterBackend, RegisterStage

__all__ = ["register_backends", "register_stages"]


@hookimpl
def register_backends(register: RegisterBackend) -> None:
    """The cascade of the default models."""
    from .models import BACKEND

    register("local", _cascade, BACKEND)


@hookimpl
def register_stages(register: RegisterStage) -> None:
    """Every model by its name."""
    from .models import MODELS

    for model in MODELS:
        register(model.seat, model.name, _maker(model.name, model.factory), model.about)


def _maker(name: str, factory: str) -> Callable[[str | None], Stage]:
    def make(model: str | None) -> Stage:
        from voicebridge.contract.errors import BackendNotFound

        if model is not None:
            raise BackendNotFound(f"{name!r} is one model: there is no {model!r} of it.", code="unknown_stage")
        module, _, function = factory.partition(":")
        stage: Stage = getattr(import_module(f".{module}", __name__), function)()
        return stage

    return make


def _cascade(model: str | None) -> Backend:
    from voicebridge.cascade.backend import CascadeBackend
    from voicebridge.contract.errors import BackendNotFound

    from .models import DEFAULTS

    if model is not None:
        raise BackendNotFound(
            f"'local/{model}' is no backend of its own. `local` is the whole cascade; its stages are put together by "
            "`local/<speech to text>+local/<model>+local/<voice>`.",
            code="unknown_backend",
        )
    return CascadeBackend(stt=DEFAULTS["stt"], llm=DEFAULTS["llm"], tts=DEFAULTS["tts"], detector=DEFAULTS["detector"])
