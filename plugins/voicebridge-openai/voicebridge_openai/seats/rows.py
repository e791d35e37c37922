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

__all__ = ["make_stage", "register_all"]

_RESPONSES, _REALTIME, _TURNS = "responses", "realtime", "turns"
"""What may stand between the server and the model: another way to the same model."""
_REQUIRES = ("httpx", "h11", "orjson")
_SUMMARIES: dict[HostedSeat, str] = {
    "stt": "{maker}: utterances by upload{sessions}",
    "llm": "{maker}: chat completions, or responses/<model>, with tools",
    "tts": "{maker}: streamed speech",
}


def register_all(register: RegisterStage) -> None:
    """Every server's seats."""
    for server in SERVERS.values():
        for seat in ("stt", "llm", "tts"):
            if seat in server.seats:
                register(seat, server.name, _maker(seat, server.name), _about(server, seat))


def make_stage(seat: HostedSeat, name: str, named: str | None) -> Stage:
    """The stage of a row.

    Args:
        named: the model; before it may stand `responses/` (a language model by that API instead of chat completions),
            `realtime/` (a recogniser of OpenAI by a session instead of uploads) or `turns/` (the same, and the vendor
            finds the user's turns).

    Raises:
        ConfigError: the row needs a model and none is named, or the voice of one server is asked for by its model.
    """
    from .model_stage import ChatModel, ResponsesModel
    from .session_stage import SessionRecogniser
    from .upload_stage import UploadRecogniser
    from .voice_stage import Voice

    server, voice = SERVERS[name], None
    way, slash, model = (named or "").partition("/")
    ways = {"llm": (_RESPONSES,), "stt": (_REALTIME, _TURNS) if server.sessions else ()}
    if not slash or way not in ways.get(seat, ()):
        way, model = "", named or ""
    if seat == "tts" and server.after_slash == "voice":
        voice, model = model or None, ""
    model = model or server.default_models.get(seat, "")
    if not model:
        raise ConfigError(_which(server, seat, name), code="missing_model")
    if seat == "tts":
        return Voice(server, model, voice)
    if seat == "llm":
        make = ResponsesModel if way == _RESPONSES else ChatModel
        return make(server, model)
    row = transcriber(server.name, model)
    if way == _TURNS:
        return SessionRecogniser(model, name=f"{name}/{named}", detects=True)
    if way == _REALTIME or (row is not None and row.live):
        return SessionRecogniser(model, name=f"{name}/{named}")
    return UploadRecogniser(server, model)


def _which(server: Server, seat: HostedSeat, name: str) -> str:
    known = ", ".join(f"{name}/{model.name}" for model in _models(server, seat)[:4])
    hint = f", such as {known}" if known else f", such as {name}/<model>"
    return f"{name!r} needs to know the model: name it after a slash{hint}."


def _about(server: Server, seat: HostedSeat) -> About:
    sessions = ", or by a session: realtime/<model>, or turns/<model>, which finds the turns" if server.sessions else ""
    about = "; ".join(filter(None, (server.source, f"not known: {server.unverified}" if server.unverified else "")))
    return About(
        summary=_SUMMARIES[seat].format(maker=server.maker, sessions=sessions),
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
