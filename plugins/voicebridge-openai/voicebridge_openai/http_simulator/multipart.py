"""Reads a multipart/form-data body (RFC 7578). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message

__all__ = ["Part", "fields_of", "parse_multipart"]

_MOST_PARTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One field of the form."""

    name: str
    content: bytes
    filename: str | None = None
    """None: no file."""
    mime: str = ""

    @property
    def text(self) -> str:
        """The value of a field that is no file."""
        return self.content.decode("utf-8", "replace")


def parse_multipart(content_type: str, body: bytes) -> list[Part]:
    """The parts in their order.

    Raises:
        ValueError: this is no multipart/form-data, or it breaks off.
    """
    head = Message()
    head["content-type"] = content_type
    boundary = head.get_param("boundary")
    if head.get_content_type() != "multipart/form-data" or not isinstance(boundary, str) or not boundary:
        raise ValueError("it is no multipart/form-data with a boundary")
    fence = b"\r\n--" + boundary.encode("latin-1", "replace")
    pieces = (b"\r\n" + body).split(fence)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise ValueError("the closing boundary is missing")
    if len(pieces) > _MOST_PARTS:
        raise ValueError(f"it has more than {_MOST_PARTS} parts")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> Part:
    lead, _, rest = piece.partition(b"\r\n")
    if lead.strip():
        raise ValueError("a boundary is not alone on its line")
    head, empty, content = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if not empty:
        raise ValueError("a part has no end of its headers")
    fields = Message()
    for line in head.decode("utf-8", "replace").split("\r\n"):
        header, colon, value = line.partition(":")
        if colon:
            fields[header.strip()] = value.strip()
    name = fields.get_param("name", header="content-disposition")
    if not isinstance(name, str):
        raise ValueError("a part has no name")
    filename = fields.get_param("filename", header="content-disposition")
    filename = filename[2] if isinstance(filename, tuple) else filename  # RFC 2231: charset, language, value
    return Part(name=name, content=content, filename=filename, mime=fields.get("content-type", ""))


def fields_of(parts: Sequence[Part]) -> dict[str, list[str]]:
    """The values of all fields that are no files, lists (`name[]`) and repeated ones by the bare name."""
    values: dict[str, list[str]] = {}
    for part in parts:
        if part.filename is None:
            values.setdefault(part.name.removesuffix("[]"), []).append(part.text)
    return values
