"""The server's side of the door: who is let in, and a wire for each client."""

from __future__ import annotations

from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.named_stages import warm_stages
from voicebridge.testing.simulator.wire import HttpAnswer, HttpRequest, Link, Reply, Wire

from .formats import input_format, refused
from .http_speech import answer_speech, list_voices
from .ink_turns_wire import InkTurnsWire
from .ink_wire import InkWire
from .options import WireOptions
from .speak_wire import SpeakWire

__all__ = ["CartesiaVendor"]

_MODELS = {"/stt/websocket": ("ink-whisper", "ink-2"), "/stt/turns/websocket": ("ink-2",)}
_SPEAK = "/tts/websocket"


class CartesiaVendor:
    """Is a `Vendor`, and `Converses`."""

    subprotocols: tuple[str, ...] = ()
    largest_frame: int = 8 * 1024 * 1024

    def __init__(self, options: WireOptions, callers: Callers) -> None:
        self._options, self._callers = options, callers

    async def warm(self) -> None:
        """See `Vendor.warm`."""
        await warm_stages(self._options)

    def refusal(self, request: HttpRequest) -> HttpAnswer | None:
        """See `Vendor.refusal`."""
        if request.path not in _MODELS and request.path != _SPEAK:
            return self.answer(request)
        if problem := self._problem(request):
            return problem
        if request.path == _SPEAK:
            return None
        if not request.query.get("model", "").startswith(_MODELS[request.path]):
            return refused(400, "Invalid model", "The model is not valid for this endpoint.", "invalid_model")
        if input_format(request.query) is None:
            return refused(400, "Invalid encoding", "encoding or sample_rate is not valid.", "invalid_encoding")
        return None

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """See `Vendor.answer`."""
        return refused(404, "Not found", f"There is no {request.method} {request.path}.", "not_found")

    async def converse(self, request: HttpRequest, reply: Reply) -> None:
        """See `Converses.converse`."""
        endpoint = (request.method, request.path)
        answer = self._problem(request)
        if answer is None and endpoint in (("POST", "/tts/bytes"), ("POST", "/tts/sse")):
            answer = await answer_speech(request, reply, self._options, self._callers, _key(request))
            if answer is None:
                return
        if answer is None:
            answer = list_voices(request, self._options) if endpoint == ("GET", "/voices") else self.answer(request)
        await reply.start(answer.status, {"Content-Type": "application/json"})
        await reply.send("error" if answer.status >= 400 else "voices", answer.body)
        await reply.end()

    def wire(self, link: Link, request: HttpRequest) -> Wire:
        """See `Vendor.wire`."""
        if request.path == _SPEAK:
            return SpeakWire(link, self._options, self._callers, _key(request))
        audio = input_format(request.query)
        assert audio is not None
        kind = InkTurnsWire if request.path == "/stt/turns/websocket" else InkWire
        return kind(link, request.query, self._options, self._callers, _key(request), audio)

    def _problem(self, request: HttpRequest) -> HttpAnswer | None:
        key = _key(request)
        if not (key or not self._options.require_key) or (self._options.keys and key not in self._options.keys):
            return refused(401, "Unauthorized", "The API key is not valid.", "invalid_api_key")
        if not (request.headers.get("cartesia-version") or request.query.get("cartesia_version")):
            return refused(400, "Missing version", "Send the header Cartesia-Version.", "missing_version")
        return None


def _key(request: HttpRequest) -> str:
    """The key that a client shows; else nothing."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    shown = key.strip() if scheme.lower() == "bearer" else ""
    return shown or request.headers.get("x-api-key", "") or request.query.get("access_token", "")
