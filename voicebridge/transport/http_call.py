"""A request of HTTP as data, and as bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import h11
import httpx
import orjson

from voicebridge.contract.errors import ConfigError

from .http_address import HttpAddress

__all__ = ["HttpCall", "HttpFile", "HttpTimeouts", "encoded"]

Several = Mapping[str, str | Sequence[str]]
_HEADERS = {"User-Agent": "voicebridge", "Accept": "*/*", "Accept-Encoding": "identity"}
"""Nothing is compressed: it would come later, and a small answer could unpack to a huge one."""


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


def encoded(call: HttpCall, address: HttpAddress, headers: Mapping[str, str]) -> tuple[h11.Request, bytes]:
    """What to write: the head, and the body.

    Args:
        address: its path comes before that of the call, and its query before that of the call.
        headers: those of the API.

    Raises:
        ConfigError: the path or the method is none.
    """
    sent = httpx.Headers(_HEADERS)
    if call.json is not None:
        sent["Content-Type"] = "application/json"
    sent.update(headers)
    sent.update(call.headers)
    try:
        url = _url(call, address.url)
        request = httpx.Request(call.method, url, headers=sent, **_body(call))
        content, raw = request.read(), request.headers.raw
        return h11.Request(method=call.method, target=_target(url, address), headers=raw + _proxy(address)), content
    except (httpx.InvalidURL, h11.LocalProtocolError, UnicodeError):
        raise ConfigError(f"{call.method} {call.path!r} is no request that can be sent.", code="bad_request") from None


def _url(call: HttpCall, base: httpx.URL) -> httpx.URL:
    path = base.raw_path.partition(b"?")[0].rstrip(b"/")
    if call.path.strip("/"):
        path += httpx.URL(path=f"/{call.path.lstrip('/')}").raw_path
    url = base.copy_with(raw_path=path or b"/")
    pairs = [*base.params.multi_items(), *_pairs(call.query)]
    return url.copy_with(params=pairs) if pairs else url


def _target(url: httpx.URL, address: HttpAddress) -> bytes:
    """A proxy that is no tunnel needs to know whose path it is."""
    if address.proxy is None or address.secure:
        return url.raw_path
    return b"%s://%s%s" % (url.raw_scheme, url.netloc, url.raw_path)


def _proxy(address: HttpAddress) -> list[tuple[bytes, bytes]]:
    if address.proxy is None or address.secure:
        return []
    return [(name.encode(), value.encode()) for name, value in address.proxy.headers]


def _pairs(several: Several) -> list[tuple[str, str]]:
    listed = ((name, (value,) if isinstance(value, str) else value) for name, value in several.items())
    return [(name, one) for name, values in listed for one in values]


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
