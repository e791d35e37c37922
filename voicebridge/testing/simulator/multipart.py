"""Reads uploads: the parts of a `multipart/form-data` body, as RFC 7578 has it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser

__all__ = ["Part", "fields_of", "file_of", "read_multipart"]

_MOST_PARTS = 1000
_LARGEST_HEAD = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One field of a form."""

    name: str
    content: bytes
    filename: str | None = None
    """None: it is no file."""
    mime: str = ""
    """Empty: it was not told."""

    @property
    def text(self) -> str:
        """The value of a field that is no file."""
        return self.content.decode("utf-8", "replace")


def read_multipart(content_type: str, body: bytes) -> list[Part]:
    """The parts, in their order.

    Args:
        content_type: the header of the request; it names the boundary.

    Raises:
        ValueError: this is no multipart/form-data, or it breaks off; says which.
    """
    head = _head(b"Content-Type: " + content_type.encode("utf-8", "replace"))
    boundary = head.get_boundary()
    if head.get_content_type() != "multipart/form-data" or not boundary:
        raise ValueError("The body is no multipart/form-data with a boundary.")
    fence = b"\r\n--" + boundary.encode("utf-8", "replace")
    _, *parts = (b"\r\n" + body).split(fence, _MOST_PARTS + 1)
    if len(parts) > _MOST_PARTS:
        raise ValueError(f"The form has more than {_MOST_PARTS} parts.")
    if not parts or not parts[-1].startswith(b"--"):
        raise ValueError("The form breaks off: its closing boundary is missing.")
    return [_part(part) for part in parts[:-1]]


def fields_of(parts: Sequence[Part]) -> dict[str, list[str]]:
    """The values of what is no file, by name; the brackets of `name[]` are taken off."""
    values: dict[str, list[str]] = {}
    for part in parts:
        if part.filename is None:
            values.setdefault(part.name.removesuffix("[]"), []).append(part.text)
    return values


def file_of(parts: Sequence[Part], name: str) -> Part | None:
    """The first file of that field."""
    return next((part for part in parts if part.name == name and part.filename is not None), None)


def _part(raw: bytes) -> Part:
    padding, _, rest = raw.partition(b"\r\n")
    if padding.strip(b" \t"):
        raise ValueError("A boundary is not alone on its line.")
    told, gap, content = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if not gap or len(told) > _LARGEST_HEAD:
        raise ValueError("The headers of a part have no end.")
    head = _head(told.lstrip(b"\r\n"))
    name = head.get_param("name", header="content-disposition")
    if not isinstance(name, str):
        raise ValueError("A part of the form has no name.")
    mime = head.get_content_type() if "content-type" in head else ""
    return Part(name=name, content=content, filename=head.get_filename(), mime=mime)


def _head(raw: bytes) -> EmailMessage:
    message = BytesHeaderParser(policy=policy.HTTP).parsebytes(raw + b"\r\n\r\n")
    assert isinstance(message, EmailMessage)
    return message
