"""Signatures (AWS Signature Version 4), made by botocore. The address is signed as it will be sent.

botocore writes signatures, and what they are made of, to its log at DEBUG. Not those that are made here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .account import Keys

__all__ = ["presigned_query", "signed_headers"]

LONGEST_S = 300
"""Seconds for which Transcribe takes a presigned address (`X-Amz-Expires`, its guide)."""
_ours: ContextVar[bool] = ContextVar("voicebridge_aws_signs", default=False)
logging.getLogger("botocore.auth").addFilter(lambda record: not (_ours.get() and record.levelno < logging.INFO))


def signed_headers(
    keys: Keys,
    *,
    service: str,
    region: str,
    method: str,
    url: str,
    headers: Mapping[str, str] = {},
    content: bytes | None = None,
) -> dict[str, str]:
    """The headers, and with them those that sign the request.

    Args:
        service: as it signs, such as `polly`.
        url: whole, with its query.
    """
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=content)
    with _unlogged():
        SigV4Auth(_credentials(keys), service, region).add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}


def presigned_query(keys: Keys, *, service: str, region: str, url: str) -> str:
    """What to append to the query of a websocket's address. Whoever has it can open that address for five minutes."""
    request = AWSRequest(method="GET", url=url.replace("ws", "http", 1))
    with _unlogged():
        SigV4QueryAuth(_credentials(keys), service, region, expires=LONGEST_S).add_auth(request)
    query = str(request.url).partition("?")[2]
    return query[query.index("X-Amz-Algorithm=") :]


def _credentials(keys: Keys) -> Credentials:
    return Credentials(keys.access_key, keys.secret_key, keys.token)


@contextmanager
def _unlogged() -> Iterator[None]:
    before = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(before)
