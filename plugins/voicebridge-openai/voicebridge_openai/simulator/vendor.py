"""The server's side of the door: who is let in, ephemeral keys, and a wire for each client."""

from __future__ import annotations

import time
from typing import Any

import orjson

from voicebridge.testing.simulator.named_stages import warm_stages
from voicebridge.testing.simulator.profile import Profile, StageDraws
from voicebridge.testing.simulator.turn_log import TurnLog
from voicebridge.testing.simulator.wire import HttpAnswer, HttpRequest, Link, Wire

from .dialects import DIALECTS
from .identifiers import Identifiers
from .options import WireOptions
from .protocol_error import ProtocolError
from .session_rules import check_expiry
from .session_state import SessionState
from .wire import RealtimeWire

__all__ = ["RealtimeVendor"]

_DEFAULT_MODEL = "gpt-realtime-2"
_LARGEST_FRAME = 24 * 1024 * 1024
"""15 MiB of audio are 20 MiB of base64."""
_KEY_IN_SUBPROTOCOL = "openai-insecure-api-key."
_MOST_SECRETS = 10_000


class RealtimeVendor:
    """Is a `Vendor`."""

    subprotocols: tuple[str, ...] = ("realtime",)
    largest_frame: int = _LARGEST_FRAME

    def __init__(self, options: WireOptions, profile: Profile, seed: int, log: TurnLog) -> None:
        self._options = options
        self._dialect = DIALECTS[options.dialect]
        self._path = f"{self._dialect.base_path}/realtime"
        self._profile = profile
        self._seed = seed
        self._log = log
        self._open = 0
        self._secrets: dict[str, tuple[float, dict[str, Any]]] = {}
        """Ephemeral keys: until when, and the session's settings that came with them."""
        self._identifiers = Identifiers(seed, 0)

    async def warm(self) -> None:
        """See `Vendor.warm`."""
        await warm_stages(self._options)

    def refusal(self, request: HttpRequest) -> HttpAnswer | None:
        """See `Vendor.refusal`."""
        if not request.path.endswith(self._path):
            return _refused(404, "invalid_request_error", None, f"Invalid URL (GET {request.path})")
        key = self._key(request)
        if problem := self._problem_of_key(key):
            return problem
        model = request.query.get("model")
        named = model or key in self._secrets or "call_id" in request.query or _only_transcribes(request)
        if self._dialect.model_in == "query" and not named:
            return _refused(400, "invalid_request_error", "missing_model", "You must provide a model parameter.")
        if model and self._options.models and model not in self._options.models:
            message = f"The model `{model}` does not exist or you do not have access to it."
            return _refused(404, "invalid_request_error", "model_not_found", message)
        if 0 < self._options.max_connections <= self._open:
            busy = _refused(429, "requests", "rate_limit_exceeded", "Too many concurrent sessions.")
            headers = {"Retry-After": str(self._options.retry_after_s)}
            return HttpAnswer(status=busy.status, body=busy.body, headers=headers)
        return None

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """See `Vendor.answer`."""
        if request.method != "POST" or not request.path.endswith(f"{self._path}/client_secrets"):
            return _refused(404, "invalid_request_error", None, f"Invalid URL ({request.method} {request.path})")
        if problem := self._problem_of_key(self._key(request)):
            return problem
        try:
            return self._client_secret(orjson.loads(request.body or b"{}"))
        except orjson.JSONDecodeError:
            return _refused(400, "invalid_request_error", None, "We could not parse the JSON body of your request.")
        except ProtocolError as error:
            return _refused(400, error.kind, error.code, error.message, error.param)

    def wire(self, link: Link, request: HttpRequest) -> Wire:
        """See `Vendor.wire`."""
        _, settings = self._secrets.get(self._key(request), (0.0, {}))
        model = request.query.get("model") or settings.get("model") or _DEFAULT_MODEL
        self._open += 1
        return RealtimeWire(
            link,
            self._options,
            StageDraws(self._profile, self._seed, link.number),
            self._log,
            Identifiers(self._seed, link.number),
            model=model,
            settings=settings,
            beta="openai-beta" in request.headers,
            only_transcribes=_only_transcribes(request),
            closed=self._left,
        )

    def _left(self) -> None:
        self._open -= 1

    def _key(self, request: HttpRequest) -> str:
        """The key that a client shows, in a header or in a browser's subprotocol; else nothing."""
        for header, wanted in self._dialect.key_headers.items():
            key = request.headers.get(header, "").strip()
            if wanted:
                scheme, _, key = key.partition(" ")
                key = key.strip() if scheme.lower() == wanted else ""
            if key:
                return key
        for name in request.headers.get("sec-websocket-protocol", "").split(","):
            if self._dialect.key_in_subprotocol and name.strip().startswith(_KEY_IN_SUBPROTOCOL):
                return name.strip().removeprefix(_KEY_IN_SUBPROTOCOL)
        return ""

    def _problem_of_key(self, key: str) -> HttpAnswer | None:
        options = self._options
        if not (options.require_key and self._dialect.asks_key) and not key:
            return None
        if key in options.forbidden_keys:
            return _refused(403, "invalid_request_error", None, "You have insufficient permissions for this operation.")
        until, _ = self._secrets.get(key, (0.0, {}))
        if until > time.time():
            return None
        if not key or key.startswith("ek_") or (options.keys and key not in options.keys):
            message = "Incorrect API key provided." if key else "Missing bearer authentication in header"
            return _refused(401, "invalid_request_error", "invalid_api_key" if key else None, message)
        return None

    def _client_secret(self, asked: Any) -> HttpAnswer:
        if not isinstance(asked, dict):
            raise ProtocolError(None, "The body must be a JSON object.")
        settings = {"type": "realtime"} if asked.get("session") is None else asked["session"]
        expiry = {} if asked.get("expires_after") is None else asked["expires_after"]
        check_expiry(expiry)
        until = int(time.time()) + expiry.get("seconds", 600)
        session = SessionState(
            self._identifiers.new("sess"),
            settings.get("model", _DEFAULT_MODEL) if isinstance(settings, dict) else _DEFAULT_MODEL,
            until,
            self._options.silence_ms,
            self._dialect,
        )
        session.update(settings)
        value = self._identifiers.new("ek", 32)
        self._secrets[value] = (until, settings)
        while len(self._secrets) > _MOST_SECRETS:
            del self._secrets[next(iter(self._secrets))]
        answer = {"value": value, "expires_at": until, "session": session.shown()}
        return HttpAnswer(status=200, body=orjson.dumps(answer))


def _only_transcribes(request: HttpRequest) -> bool:
    return request.query.get("intent") == "transcription"


def _refused(status: int, kind: str, code: str | None, message: str, param: str | None = None) -> HttpAnswer:
    error = {"message": message, "type": kind, "param": param, "code": code}
    return HttpAnswer(status=status, body=orjson.dumps({"error": error}))
