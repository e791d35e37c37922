"""Speaking over HTTP: the whole text in a request, its audio as bytes or as server-sent events; and the voices."""

from __future__ import annotations

from typing import Any

import orjson

from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.voice import voice_named
from voicebridge.testing.simulator.wire import HttpAnswer, HttpRequest, Reply

from .formats import identifier, output_format, refused
from .options import WireOptions
from .speak_wire import speed_of
from .speech import Clock, spoken

__all__ = ["answer_speech", "list_voices"]


async def answer_speech(
    request: HttpRequest, reply: Reply, options: WireOptions, callers: Callers, caller: str
) -> HttpAnswer | None:
    """Answer `POST /tts/bytes` and `/tts/sse`; an answer that is returned is a refusal, still to be sent."""
    try:
        asked: Any = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        asked = None
    text = asked.get("transcript") if isinstance(asked, dict) else None
    audio = output_format(asked.get("output_format")) if isinstance(asked, dict) else None
    if not isinstance(text, str) or not text.strip():
        return refused(400, "Invalid request", "The request needs a transcript.", "invalid_request")
    if audio is None:
        return refused(400, "Invalid output format", "No such output_format.", "invalid_output_format")
    by_events, voice = request.path == "/tts/sse", voice_named(options.voice, ms_per_char=options.ms_per_char)
    context = {"context_id": asked["context_id"]} if asked.get("context_id") else {}
    with callers.turn(caller, cause="speak", connection=reply.number, at=request.at) as turn:
        try:
            due = turn.began + turn.ms("speech") / 1000
            sounds = spoken(
                voice, text, audio, options, speed=speed_of(asked), due=due, clock=Clock(), raw=not by_events
            )
            begun = False
            async for kind, value in sounds:
                if not begun:
                    begun = True
                    await reply.start(200, {"Content-Type": "text/event-stream" if by_events else "audio/l16"})
                if kind == "chunk":
                    turn.stamp("first_audio")
                if by_events:
                    if kind == "chunk":
                        await _event(reply, kind, data=value, done=False, status_code=206, step_time=1.0, **context)
                    elif asked.get("add_timestamps"):
                        await _event(reply, kind, word_timestamps=value, done=False, status_code=206, **context)
                elif kind == "chunk":
                    await reply.send(kind, value)
            if by_events:
                await _event(reply, "done", done=True, status_code=200, **context)
        finally:
            await voice.aclose()
    await reply.end()
    return None


def list_voices(request: HttpRequest, options: WireOptions) -> HttpAnswer:
    """Answer `GET /voices`: those that hold what is searched for, a page at a time."""
    wanted, limit = request.query.get("q", "").lower(), request.query.get("limit", "10")
    rows = [
        {
            "id": identifier("voice", name),
            "name": name,
            "access": "public",
            "created_at": "2026-01-01T00:00:00Z",
            "description": "A simulated voice.",
            "is_owner": False,
            "language": "en",
            "locales": [{"locale": "en-US", "is_native": True}],
            "tagline": "",
            "visibility": "all",
        }
        for name in options.voices
        if wanted in name.lower()
    ]
    after = request.query.get("starting_after")
    begin = next((n + 1 for n, row in enumerate(rows) if row["id"] == after), 0)
    end = begin + (int(limit) if limit.isdecimal() else 10)
    return HttpAnswer(status=200, body=orjson.dumps({"data": rows[begin:end], "has_more": end < len(rows)}))


async def _event(reply: Reply, kind: str, **fields: Any) -> None:
    data = orjson.dumps({"type": kind, **fields}).decode()
    await reply.send(kind, f"event: {kind}\ndata: {data}\n\n".encode())
