"""Secrets out of what is written down: by value where it is known, by their shape and by the name of their field."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from pydantic import SecretStr

__all__ = ["REMOVED", "Scrubber", "is_secret", "secrets_of_environment", "secrets_of_settings"]

REMOVED = "[secret]"
"""What stands in a secret's place."""
_SHORTEST = 8
"""Characters of the shortest secret that is looked for by value: shorter ones are words that people say."""
_SHORTEST_IN_ENVIRONMENT = 12
_WORDS = frozenset(
    {
        "key",
        "keys",
        "secret",
        "secrets",
        "token",
        "tokens",
        "password",
        "passwords",
        "passwd",
        "passphrase",
        "pwd",
        "credential",
        "credentials",
        "signature",
        "sig",
        "auth",
        "authorization",
        "cookie",
        "cookies",
        "jwt",
        "apikey",
        "apikeys",
        "authkey",
        "secretkey",
        "accesskey",
        "accesstoken",
        "clientsecret",
        "connectionstring",
    }
)
"""Of which the last part of a secret field's name is one."""
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
"""Of a name: `xApiKey`, `X-Api-Key` and `x_api_key` have the same ones."""
_SURROUNDINGS = frozenset({"value", "pem", "base64", "header"})
"""What may stand behind the part that says it."""
_REFERENCES = frozenset({"id", "ids", "answers"})
"""Names of fields with ids. Some look like keys, and must stay the same wherever they are."""
_SHAPES = re.compile(
    r"""
    (?<![A-Za-z0-9_-])                                                 # the usual form of a key: a few letters before
    (?:(?!(?:msg|evt|req|run|fc|rs|id)_)[a-z]{2,3}[-_]|[a-z]{4,6}-)    # many, but no id of a message or request
    (?=[A-Za-z0-9_-]*?(?=[A-Za-z0-9]{12})[a-z]*[0-9A-Z])[A-Za-z0-9_-]{16,}
    | \bAIza[A-Za-z0-9_-]{30,}
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*         # a JSON web token
    | (?<=://)[^/\s"'@]+(?=@)                                          # a user and a password
    """,
    re.VERBOSE,
)
_HEADERS = re.compile(
    r"""
    ( (?i:authorization)["']?\s*[:=]\s*["']?(?:[A-Za-z-]+\s+)?         # as a header, whatever its scheme
    | (?i:\bbearer)\s+ )
    [A-Za-z0-9._~+/=-]{8,}
    |
    ( (?i:\b(?:basic|token))\s+ )                                      # words that people say, too
    (?=[^\s"']*(?:[0-9=]|[a-z][A-Z]))(?=[^\s"']*[A-Za-z])[A-Za-z0-9._~+/=-]{12,}
    """,
    re.VERBOSE,
)
_WORD = "|".join(sorted(_WORDS, key=len, reverse=True))
_NAMED = re.compile(rf"""((?i:{_WORD}))(=|\\*["']?\s*:\s*\\*["']?)([^&\s"'\\\#,;]+)""")
"""The end of a name, and its value: a parameter of a URL, an assignment; a header, a field of JSON in a text."""
_NAME = re.compile(r"[A-Za-z0-9_.-]*\Z")
_ROOTS = (
    "key",
    "secret",
    "token",
    "pass",
    "pwd",
    "credential",
    "sig",
    "auth",
    "cookie",
    "jwt",
    "string",
    "bearer",
    "basic",
)
"""Without one of these, in small letters, a line has no secret by name."""
_SHORTEST_BEHIND_COLON = 8
_LONGEST_NAME = 64
_HINT = re.compile(
    rf"""(?:{_WORD}|string)(?:[^"\\]{{0,10}}"\s*:\s*["\[{{]|=|\\*["']?\s*:\s*(?![\s\d-]|null|true|false))"""
    r"|(?:bearer|basic|token)\s|authorization"
)
"""Of a line in small letters."""


def secrets_of_environment(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The values of environment variables whose names say that they are secret."""
    given = os.environ if environment is None else environment
    return tuple(value for name, value in given.items() if is_secret(name) and len(value) >= _SHORTEST_IN_ENVIRONMENT)


def secrets_of_settings(settings: Any) -> Iterator[str]:
    """The secret values in settings: what is wrapped as one, and what the name of its field says."""
    if isinstance(settings, SecretStr):
        yield settings.get_secret_value()
    elif isinstance(settings, Mapping):
        for name, value in settings.items():
            yield from _texts(value) if is_secret(str(name)) else secrets_of_settings(value)
    elif isinstance(settings, (list, tuple, set, frozenset)):
        for value in settings:
            yield from secrets_of_settings(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from chain.from_iterable(map(_texts, value.values()))
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from chain.from_iterable(map(_texts, value))
    else:
        yield from secrets_of_settings(value)


class Scrubber:
    """Takes secrets out of JSON.

    Args:
        secrets: values to look for. Very short ones are passed over.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {one for one in secrets if len(one.strip()) >= _SHORTEST}
        # A text may itself be JSON, with the secret escaped: tools' arguments are.
        forms = sorted(known.union(*map(_escaped, known)), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, forms))) if forms else None
        written = sorted(set(forms).union(*map(_escaped, forms)), key=len, reverse=True)
        shapes = "|".join([*map(re.escape, written), f"(?x:{_SHAPES.pattern})"])
        self._suspect = re.compile(shapes)

    def line(self, line: str) -> str:
        """A line of JSON without the secrets in it. Most have none, and are only looked at."""
        if not self._suspect.search(line) and not _hints(line):
            return line
        return json.dumps(self.value(json.loads(line)), ensure_ascii=False)

    def value(self, value: Any) -> Any:
        """JSON data without the secrets in its strings, the names of fields included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, SecretStr):
            return REMOVED
        if isinstance(value, Mapping):
            return {self.text(str(name)): self._field(str(name), one) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(one) for one in value]
        return value

    def text(self, text: str) -> str:
        """A text without the secrets in it."""
        text = _SHAPES.sub(REMOVED, self._without_known(text))
        text = _HEADERS.sub(lambda found: (found[1] or found[2]) + REMOVED, text)
        return _NAMED.sub(_without_value, text)

    def _without_known(self, text: str) -> str:
        return self._known.sub(REMOVED, text) if self._known else text

    def _field(self, name: str, value: Any) -> Any:
        if is_secret(name):
            return _emptied(value)
        parts = _PARTS.findall(name)
        if not parts or parts[-1].lower() not in _REFERENCES:
            return self.value(value)
        if isinstance(value, str):
            return self._without_known(value)
        if isinstance(value, (list, tuple)):
            return [self._without_known(one) if isinstance(one, str) else self.value(one) for one in value]
        return self.value(value)


def is_secret(name: str) -> bool:
    """Whether the name of a field, header, option or parameter says that its value is secret."""
    parts = [part.lower() for part in _PARTS.findall(name)]
    while parts and (parts[-1] in _SURROUNDINGS or parts[-1].isdigit()):
        parts.pop()
    return bool(parts) and (parts[-1] in _WORDS or parts[-2:] == ["connection", "string"])


def _hints(line: str) -> bool:
    """Whether something in a line of JSON may be secret by its name. A quick look: most lines have nothing."""
    small = line.lower()
    return any(root in small for root in _ROOTS) and bool(_HINT.search(small))


def _without_value(found: re.Match[str]) -> str:
    word, between, value = found.groups()
    before = _NAME.search(found.string, max(0, found.start() - _LONGEST_NAME), found.start())
    name = (before[0] if before else "") + word
    if not is_secret(name) or value == REMOVED or (between != "=" and len(value) < _SHORTEST_BEHIND_COLON):
        return found[0]
    return f"{word}{between}{REMOVED}"


def _escaped(text: str) -> set[str]:
    """How a text may look inside of a JSON string."""
    return {json.dumps(text, ensure_ascii=ascii)[1:-1] for ascii in (False, True)}


def _emptied(value: Any) -> Any:
    """What a secret field held: its shape stays, its strings go."""
    if isinstance(value, str):
        return REMOVED if value else value
    if isinstance(value, Mapping):
        return {name: _emptied(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_emptied(one) for one in value]
    return value
