"""A plugin for tests of the command line: backends of scripted stages, each with something of its own, and commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import typer

from voicebridge import About, Capabilities, hookimpl


def _cascade(**seats: Any) -> Any:
    from voicebridge.cascade.backend import CascadeBackend
    from voicebridge.cascade.energy import EnergyDetector
    from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

    return CascadeBackend(
        stt=seats.get("stt") or ScriptedRecogniser(["hello there"]),
        llm=seats.get("llm") or ScriptedModel(["Hi,", " nice to meet you."]),
        tts=seats.get("tts") or ScriptedVoice(),
        detector=EnergyDetector(frame_ms=20, eager_ms=40),
    )


def _scripted(model: str | None) -> Any:
    from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

    if model == "turns":
        return _cascade(
            stt=ScriptedRecogniser(["one", "two", "three"]),
            llm=ScriptedModel(lambda prompt: [f"You said {prompt.items[-1].text}."]),
        )
    if model == "raises":
        return _cascade(llm=ScriptedModel([RuntimeError("the model broke")]))
    if model == "hangs":
        return _cascade(llm=ScriptedModel(["never"], first_s=3600))
    if model == "deaf":
        return _cascade(stt=_Deaf())
    if model == "unwarmed":
        return _cascade(tts=_Unwarmed())
    if model == "long":  # comes as fast as it is spoken, for two minutes
        voice = ScriptedVoice(character_ms=20)
        return _cascade(llm=ScriptedModel(["word after word, "] * 400, piece_s=0.3), tts=voice)
    return _cascade()


def _Deaf() -> Any:
    from voicebridge.testing.stages import ScriptedRecogniser

    class Deaf(ScriptedRecogniser):
        async def listen(self, audio: Any) -> Any:
            async for piece in audio:
                if not isinstance(piece, bytes):
                    raise RuntimeError("no ears")
            yield

    return Deaf(["never"])


def _Unwarmed() -> Any:
    from voicebridge.testing.stages import ScriptedVoice

    class Unwarmed(ScriptedVoice):
        async def warm(self) -> None:
            raise OSError("no weights here")

    return Unwarmed()


class _Buggy:
    capabilities = Capabilities()

    @asynccontextmanager
    async def connect(self, config: Any, history: Any = (), resume: Any = None) -> AsyncIterator[Any]:
        raise ZeroDivisionError("a bug")
        yield


def _hello() -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def hello(name: str = "world", status: int = 0) -> int:
        """Greet."""
        typer.echo(f"hello {name}")
        return status

    return app


def _cannot() -> typer.Typer:
    raise ImportError("no module named greeting")


@hookimpl
def register_backends(register: Any) -> None:
    register("scripted", _scripted, About(summary="Follows a script", licence="MIT", source="these tests"))
    register("buggy", lambda model: _Buggy(), About(summary="Has a bug"))
    register("unmet", _scripted, About(summary="Lacks a package", requires=("no_such_module_here",), extra="local"))


@hookimpl
def register_stages(register: Any) -> None:
    register("tts", "scripted/unwarmed", lambda model: _Unwarmed(), About(summary="Has no weights"))


@hookimpl
def register_commands(register: Any) -> None:
    register("hello", _hello, About(summary="Greet somebody."))
    register("unloadable", _cannot, About(summary="Can't be loaded."))
