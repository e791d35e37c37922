"""What is registered: a name for each server and seat, and what makes its stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from voicebridge.contract.errors import ConfigError
from voicebridge.registry.rows import About, ModelAbout

from .models import LANGUAGE_MODELS, TRANSCRIBERS, VOICE_MODELS, transcriber
from .servers import SERVERS, HostedSeat, Server

if TYPE_CHECKING:
    from voicebridge.contract.stages import Stage
    from voicebridge.registry.rows import RegisterStage

__all__ = ["SESSIONS", "make_stage", "register_all"]

SESSIONS = "openai-realtime"
"""Recognisers by realtime transcription session, whatever their model."""
RESPONSES = "openai-responses"
"""Language models by the responses API."""
_REQUIRES = ("httpx", "h11", "orjson")
_SUMMARIES: dict[HostedSeat, str] = {
    "stt": "{maker}: utterances by upload",
    "llm": "{maker}: chat completions, with tools",
    "tts": "{maker}: streamed speech",
}


def register_all(register: RegisterStage) -> None:
    """Every server's seats, and the two further ways to OpenAI's."""
    for server in SERVERS.values():
        for seat in ("stt", "llm", "tts"):
            if seat in server.seats:
                register(seat, server.name, _maker(seat, server.name), _about(server, seat))
    openai = SERVERS["openai"]
    summary = "OpenAI: realtime transcription sessions, which hear while the user speaks"
    sessions = About(
        summary=summary,
        source=openai.url,
        requires=("orjson", "pybase64", "websockets"),
        key=openai.key_variable,
        models=_models(openai, "stt"),
    )
    register("stt", SESSIONS, _maker("stt", SESSIONS), sessions)
    summary = "OpenAI and compatible servers: the responses API, with tools"
    responses = About(
        summary=summary, source=openai.url, requires=_REQUIRES, key=openai.key_variable, models=_models(openai, "llm")
    )
    register("llm", RESPONSES, _maker("llm", RESPONSES), responses)


def make_stage(seat: HostedSeat, name: str, model: str | None) -> Stage:
    """The stage of a row.

    Raises:
        ConfigError: the row needs a model and none is named, or the model does not work that way.
    """
    from .model_stage import ChatModel, ResponsesModel
    from .session_stage import SessionRecogniser
    from .upload_stage import UploadRecogniser
    from .voice_stage import Voice

    server = SERVERS["openai" if name in (SESSIONS, RESPONSES) else name]
    voice = None
    if seat == "tts" and server.after_slash == "voice":
        voice, model = model, None
    model = model or server.default_models.get(seat, "")
    if not model:
        raise ConfigError(_which(server, seat, name), code="missing_model")
    if seat == "tts":
        return Voice(server, model, voice)
    if seat == "llm":
        make = ResponsesModel if name == RESPONSES else ChatModel
        return make(server, model, name=f"{name}/{model}")
    if name == SESSIONS or _is_live(server, model):
        return SessionRecogniser(model, name=f"{name}/{model}")
    return UploadRecogniser(server, model)


def _which(server: Server, seat: HostedSeat, name: str) -> str:
    known = ", ".join(f"{name}/{model.name}" for model in _models(server, seat)[:4])
    hint = f", such as {known}" if known else f", such as {name}/<model>"
    return f"{name!r} needs to know the model: name it after a slash{hint}."


def _is_live(server: Server, model: str) -> bool:
    """Whether a recogniser can only be had by a session."""
    row = transcriber(server.name, model)
    return row is not None and row.live


def _about(server: Server, seat: HostedSeat) -> About:
    about = "; ".join(filter(None, (server.source, f"not known: {server.unverified}" if server.unverified else "")))
    return About(
        summary=_SUMMARIES[seat].format(maker=server.maker),
        source=f"{server.url or 'the server that base_url names'} ({about})" if about else server.url,
        requires=_REQUIRES,
        key=server.key_variable,
        models=_models(server, seat),
    )


def _models(server: Server, seat: HostedSeat) -> tuple[ModelAbout, ...]:
    if server is not SERVERS["openai"]:
        return ()
    if seat == "stt":
        return tuple(
            ModelAbout(name=row.name, aliases=row.aliases, shuts_down=row.shuts_down, note=row.note)
            for row in TRANSCRIBERS
        )
    rows = LANGUAGE_MODELS if seat == "llm" else VOICE_MODELS
    return tuple(ModelAbout(name=row.name, shuts_down=row.shuts_down, note=row.note) for row in rows)


def _maker(seat: HostedSeat, name: str) -> Callable[[str | None], Stage]:
    return lambda model: make_stage(seat, name, model)
