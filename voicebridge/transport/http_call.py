"""A request of HTTP as data, and as bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import h11
import httpx
import orjson

__all__ = ["HttpCall", "HttpFile", "HttpTimeouts", "encoded"]

Several = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTimeouts:
    """How long an answer may take. Time in which nobody reads it does not count."""

    connect_s: float = 3.0
    """Seconds to open a connection, TLS included."""
    first_output_s: float = 5.0
    """Seconds from the request, connecting included, to the first useful output."""
    between_outputs_s: float = 5.0
    """Seconds between useful outputs. Keep-alives, usage and empty pieces are none."""
    total_s: float = 120.0
    """Seconds from the request to the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFile:
    """One part of a multipart upload."""

    field: str
    filename: str
    content: bytes
    mime: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCall:
    """One request. The body is one of `json`, `content` and `form` with or without `files`."""

    path: str
    """Appended to the base URL."""
    method: str = "POST"
    query: Several = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Beside those of the API."""
    json: object = None
    """Encoded with orjson."""
    content: bytes | None = None
    form: Several = field(default_factory=dict)
    """With `files` it is sent as multipart/form-data."""
    files: Sequence[HttpFile] = ()


def encoded(call: HttpCall, base: httpx.URL, headers: Mapping[str, str]) -> tuple[h11.Request, bytes]:
    """What to write: the head, and the body.

    Args:
        base: scheme, host and the beginning of the path; its query is kept.
        headers: those of the API.
    """
    url = base.copy_with(raw_path=base.raw_path.partition(b"?")[0].rstrip(b"/") + b"/" + _path(call.path))
    if pairs := [*base.params.multi_items(), *_pairs(call.query)]:
        url = url.copy_with(params=pairs)
    sent = httpx.Headers(_HEADERS)
    if call.json is not None:
        sent["Content-Type"] = "application/json"
    sent.update(headers)
    sent.update(call.headers)
    request = httpx.Request(call.method, url, headers=sent, **_body(call))
    content = request.read()
    return h11.Request(method=request.method, target=url.raw_path, headers=request.headers.raw), content


_HEADERS = {"User-Agent": "voicebridge", "Accept": "*/*", "Accept-Encoding": "identity"}


def _path(path: str) -> bytes:
    return httpx.URL(path=f"/{path.lstrip('/')}").raw_path[1:]


def _pairs(several: Several) -> list[tuple[str, str]]:
    return [
        (name, one) for name, value in several.items() for one in ((value,) if isinstance(value, str) else tuple(value))
    ]


def _body(call: HttpCall) -> dict[str, Any]:
    if call.json is not None:
        return {"content": orjson.dumps(call.json)}
    if call.content is not None:
        return {"content": call.content}
    form = {name: value if isinstance(value, str) else list(value) for name, value in call.form.items()}
    if call.files:
        files = [(one.field, (one.filename, one.content, one.mime)) for one in call.files]
        return {"data": form, "files": files}
    return {"data": form} if form else {}
