"""The server's side of the door: who is let in, and a wire for each client."""

from __future__ import annotations

from typing import Any

import orjson

from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.named_stages import warm_stages
from voicebridge.testing.simulator.wire import HttpAnswer, HttpRequest, Link, Reply, Wire

from .client_socket import audio_format, identifier
from .flux_wire import FluxWire
from .listen_wire import ListenWire
from .options import WireOptions
from .speak_wire import SpeakWire, answer_speak

__all__ = ["DeepgramVendor"]

_WIRES: dict[str, Any] = {"/v1/listen": ListenWire, "/v2/listen": FluxWire, "/v1/speak": SpeakWire}
_MOST_CHARACTERS = 2_000


class DeepgramVendor:
    """Is a `Vendor`, and `Converses`."""

    subprotocols: tuple[str, ...] = ("token", "bearer")
    largest_frame: int = 8 * 1024 * 1024

    def __init__(self, options: WireOptions, callers: Callers) -> None:
        self._options, self._callers = options, callers
        self._open = 0

    async def warm(self) -> None:
        """See `Vendor.warm`."""
        await warm_stages(self._options)

    def refusal(self, request: HttpRequest) -> HttpAnswer | None:
        """See `Vendor.refusal`."""
        if request.path not in _WIRES:
            return _refused(404, "NOT_FOUND", "The requested endpoint does not exist.")
        if problem := self._problem_of_key(request):
            return problem
        model, flux = request.query.get("model", ""), request.path == "/v2/listen"
        if flux != model.startswith("flux") or (request.path == "/v1/speak") != (model or "aura").startswith("aura"):
            return _refused(400, "INVALID_QUERY_PARAMETER", f"No such model: {model!r}.")
        if audio_format(request, 24_000) is None:
            return _refused(400, "INVALID_QUERY_PARAMETER", "Encoding or sample_rate is not supported.")
        if 0 < self._options.max_connections <= self._open:
            return _refused(429, "TOO_MANY_REQUESTS", "Too many requests. Please try again later.")
        return None

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """See `Vendor.answer`."""
        return _refused(404, "NOT_FOUND", "The requested endpoint does not exist.")

    async def converse(self, request: HttpRequest, reply: Reply) -> None:
        """See `Converses.converse`."""
        refusal, text = self._problem_of_key(request), ""
        if refusal is None and (request.method, request.path) != ("POST", "/v1/speak"):
            refusal = self.answer(request)
        if refusal is None:
            try:
                text = orjson.loads(request.body)["text"]
            except (orjson.JSONDecodeError, TypeError, KeyError):
                text = ""
            if not isinstance(text, str) or not text.strip():
                refusal = _refused(400, "INVALID_JSON", "The body must be JSON with a text.")
            elif len(text) > _MOST_CHARACTERS:
                refusal = _refused(413, "INPUT_TEXT_TOO_LONG", "The text is longer than 2000 characters.")
            elif audio_format(request, 24_000) is None:
                refusal = _refused(400, "INVALID_QUERY_PARAMETER", "Encoding or sample_rate is not supported.")
        if refusal is None:
            await answer_speak(request, reply, text, self._options, self._callers, _key(request))
            return
        await reply.start(refusal.status, {"Content-Type": "application/json"})
        await reply.send("error", refusal.body)
        await reply.end()

    def wire(self, link: Link, request: HttpRequest) -> Wire:
        """See `Vendor.wire`."""
        self._open += 1
        audio = audio_format(request, 24_000)
        assert audio is not None
        wire: Wire = _WIRES[request.path](link, request, self._options, self._callers, _key(request), audio, self._left)
        return wire

    def _left(self) -> None:
        self._open -= 1

    def _problem_of_key(self, request: HttpRequest) -> HttpAnswer | None:
        key = _key(request)
        known = not self._options.keys or key in self._options.keys
        if (key or not self._options.require_key) and known:
            return None
        return _refused(401, "INVALID_AUTH", "Invalid credentials.")


def _key(request: HttpRequest) -> str:
    """The key that a client shows, in a header or in a browser's subprotocol; else nothing."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("token", "bearer"):
        return key.strip()
    offered = [one.strip() for one in request.headers.get("sec-websocket-protocol", "").split(",")]
    return offered[1] if len(offered) > 1 and offered[0] in ("token", "bearer") else ""


def _refused(status: int, code: str, message: str) -> HttpAnswer:
    body = {"err_code": code, "err_msg": message, "request_id": identifier("refused", code)}
    return HttpAnswer(status=status, body=orjson.dumps(body))
