"""The server's side of the door: which endpoint a request is for, and how it is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import orjson

from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.http_vendor import HttpVendor
from voicebridge.testing.simulator.wire import HttpRequest, Reply

from .admission import Admission
from .api_error import ApiError, no_model
from .audio_endpoints import AudioEndpoints
from .dialects import DIALECTS, Endpoint
from .identity import Identity
from .options import HttpOptions
from .profiles import TOKENS_PER_SECOND
from .refusal import error_body
from .response_head import JSON, head
from .text_endpoints import TextEndpoints

__all__ = ["ApiVendor"]

_MODELS = "/models"
_SINCE = 1_715_367_049
"""When every model says it was made."""


class ApiVendor(HttpVendor):
    """Is a `Vendor` that `Converses`."""

    def __init__(self, options: HttpOptions, callers: Callers, seed: int) -> None:
        self._dialect = DIALECTS[options.dialect]
        self._admission = Admission(options, self._dialect)
        self._seed = seed
        pace = options.tokens_per_second or TOKENS_PER_SECOND.get(callers.profile.name, 0.0)
        text = TextEndpoints(options, self._dialect, self._admission, callers, seed, pace)
        self._audio = AudioEndpoints(options, self._dialect, self._admission, callers, seed)
        self._posts: dict[str, tuple[Endpoint, Callable[[str, HttpRequest, Reply], Awaitable[None]]]] = {
            "/chat/completions": ("chat", text.chat),
            "/responses": ("responses", text.responses),
            self._dialect.transcriptions: ("transcriptions", self._audio.transcriptions),
            "/audio/speech": ("speech", self._audio.speech),
        }

    async def warm(self) -> None:
        """See `Vendor.warm`."""
        await self._audio.warm()

    async def converse(self, request: HttpRequest, reply: Reply) -> None:
        """See `Converses.converse`."""
        try:
            key = self._admission.key(request.headers)
            with self._admission.inside():
                await self._route(key, request, reply)
        except ApiError as error:
            body = error_body(error, self._dialect)
            headers = head(JSON, Identity(self._seed, reply.number), len(body)) | error.headers
            await reply.start(200 if self._dialect.refuses_with_200 else error.status, headers, kind="error")
            await reply.send("error", body)

    async def _route(self, key: str, request: HttpRequest, reply: Reply) -> None:
        path = request.path.rstrip("/")
        if not path.startswith(self._dialect.prefix):
            raise _no_url(request)
        path = path.removeprefix(self._dialect.prefix)
        endpoint, post = self._posts.get(path, (None, None))
        if path == _MODELS or path.startswith(f"{_MODELS}/"):
            endpoint = "models"
        if endpoint is None or endpoint not in self._dialect.endpoints:
            raise _no_url(request)
        if request.method != ("GET" if endpoint == "models" else "POST"):
            message = (
                f"Not allowed to {request.method} on {request.path}. (HINT: Perhaps you meant to use a different HTTP "
                "method?)"
            )
            raise ApiError(405, message)
        if post is not None:
            await post(key, request, reply)
            return
        body = self._models(path)
        await reply.start(200, head(JSON, Identity(self._seed, reply.number), len(body)))
        await reply.send("body", body)

    def _models(self, path: str) -> bytes:
        wanted = path.removeprefix(_MODELS).removeprefix("/")
        if not wanted:
            return orjson.dumps({"object": "list", "data": [self._model(name) for name in self._admission.models()]})
        if not self._admission.knows(wanted):
            raise no_model(wanted)
        return orjson.dumps(self._model(wanted))

    def _model(self, name: str) -> dict[str, object]:
        return {"id": name, "object": "model", "created": _SINCE, "owned_by": self._dialect.owned_by}


def _no_url(request: HttpRequest) -> ApiError:
    return ApiError(404, f"Invalid URL ({request.method} {request.path})")
