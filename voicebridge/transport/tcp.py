"""What websockets and HTTP share of the network below them: addresses, certificates, and why there is no connection."""

from __future__ import annotations

import errno
import functools
import socket
import ssl
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from voicebridge.contract.codec import Closed

__all__ = ["connection_problem", "is_this_machine", "tls_context"]


@functools.cache
def tls_context() -> ssl.SSLContext:
    """One for all connections: each costs 20 ms and 300 KB to make."""
    return ssl.create_default_context()


def is_this_machine(url: str) -> bool:
    """Whether a server runs on this machine."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # brackets around what is no address
        return False
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def connection_problem(error: Exception, host: str) -> Closed | None:
    """Why no connection could be opened; None where the network does not say.

    Args:
        host: to show.
    """
    if isinstance(error, socket.gaierror):
        return Closed(by="nobody", problem="dns" if error.errno == socket.EAI_AGAIN else "no_such_host", reason=host)
    if isinstance(error, ssl.SSLError):
        return Closed(by="nobody", problem="tls", reason=f"{host}: {error.reason or 'failed'}")
    if isinstance(error, ConnectionRefusedError) or _all_refused(error):
        return Closed(by="nobody", problem="refused", reason=host)
    if isinstance(error, TimeoutError):
        return Closed(by="nobody", problem="timeout", reason=host)
    return None


def _all_refused(error: Exception) -> bool:
    """Whether a host with several addresses refused at each: asyncio makes one error of theirs, without a number."""
    text = str(error)
    return text.startswith("Multiple exceptions:") and text.count("[Errno ") == text.count(
        f"[Errno {errno.ECONNREFUSED}]"
    )
