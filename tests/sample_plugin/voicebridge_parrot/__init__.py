"""A backend `parrot` that says everything again, and a language model stage `parrot/repeat` for any cascade."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicebridge import About, ConfigError, hookimpl

if TYPE_CHECKING:
    from voicebridge import Backend, LanguageModel
    from voicebridge.registry.rows import RegisterBackend, RegisterStage


def _backend(model: str | None) -> Backend:
    from .backend import ParrotBackend

    if model not in (None, "grey", "green"):
        raise ConfigError(f"There is no parrot {model!r}: there are grey and green.")
    return ParrotBackend(model or "grey")


def _repeat(model: str | None) -> LanguageModel:
    from .stage import Repeat

    return Repeat()


@hookimpl
def register_backends(register: RegisterBackend) -> None:
    register("parrot", _backend, About(summary="Says everything again", licence="MIT"))


@hookimpl
def register_stages(register: RegisterStage) -> None:
    register("llm", "parrot/repeat", _repeat, About(summary="Answers with what was said", licence="MIT"))
