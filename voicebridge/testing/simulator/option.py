"""The options of one wire: a frozen dataclass of its own, filled and checked from what the user gave."""

from __future__ import annotations

import ast
import difflib
import inspect
import textwrap
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from voicebridge.contract.errors import BadOption

__all__ = ["Option", "described", "read_options"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """One option, for people to read."""

    name: str
    default: Any
    about: str


def read_options(kind: type[T], given: Mapping[str, Any]) -> T:
    """The options with these values; a list becomes a tuple, an integer a float where one is wanted.

    Raises:
        BadOption: an option is unknown, or its value does not fit.
    """
    hints = get_type_hints(kind)
    values = {}
    for name, value in given.items():
        if name not in hints:
            near = difflib.get_close_matches(name, hints, 1)
            hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(sorted(hints))}."
            raise BadOption(f"This simulator has no option {name!r}.{hint}", code="unknown_option")
        values[name] = _fitting(name, value, hints[name])
    try:
        return kind(**values)
    except ValueError as error:
        raise BadOption(str(error), code="bad_option") from None


def described(kind: type[Any]) -> tuple[Option, ...]:
    """The options, their defaults, and the docstrings that stand under them."""
    # Python drops docstrings of fields: only the source has them. Where there is no source, there is no text.
    try:
        [klass] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, TypeError):
        return tuple(Option(one.name, one.default, "") for one in fields(kind))
    assert isinstance(klass, ast.ClassDef)
    texts: dict[str, str] = {}
    for line, below in pairwise(klass.body):
        if isinstance(line, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            texts[ast.unparse(line.target)] = " ".join(str(below.value.value).split())
    return tuple(Option(one.name, one.default, texts.get(one.name, "")) for one in fields(kind))


def _fitting(name: str, value: Any, hint: Any) -> Any:
    if hint is Any:
        return value
    if get_origin(hint) in (Union, types.UnionType):
        for choice in get_args(hint):
            if choice is type(None) and value is None:
                return None
            try:
                return _fitting(name, value, choice)
            except BadOption:
                continue
        raise _misfit(name, value, hint)
    origin = get_origin(hint) or hint
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_fitting(name, one, get_args(hint)[0]) for one in value)
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) and origin is not bool:
        raise _misfit(name, value, hint)
    if origin is Mapping:
        origin = dict
    if not isinstance(value, origin):
        raise _misfit(name, value, hint)
    return value


def _misfit(name: str, value: Any, hint: Any) -> BadOption:
    wanted = getattr(hint, "__name__", None) if not get_args(hint) else None
    return BadOption(f"The option {name!r} can't be {value!r}: it wants {wanted or hint}.", code="bad_option")
