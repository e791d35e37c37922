"""Secrets out of what is written down: by value where it is known, by their shape and by the name of their field."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["REMOVED", "Scrubber", "secrets_of_environment"]

REMOVED = "[secret]"
"""What stands in a secret's place."""
_SHORTEST = 8
"""Characters of the shortest secret that is looked for by value: shorter ones are words that people say."""
_SHORTEST_IN_ENVIRONMENT = 12
_ENVIRONMENT = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_FIELD = re.compile(
    r"(?:proxy[-_]?)?authorization|(?:[a-z0-9]+[-_])*(?:api[-_]?key|apikey|secret|password|passwd|cookie)"
    r"|(?:access|auth|bearer|refresh|session|security)[-_]?token|token",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    r"""
    \b(?:sk|pk|rk|ek|xai|gsk|hf|key|ghp|gho|glpat|xox[abprs])[-_][A-Za-z0-9_-]{16,}   # what vendors put before keys
    | \bAIza[A-Za-z0-9_-]{30,}
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*                        # a JSON web token
    | (?<=Bearer\ )[A-Za-z0-9._~+/=-]{8,}
    | (?<=[?&]key=)[^&\s"'\#]+ | (?<=token=)[^&\s"'\#]+ | (?<=api[-_]key=)[^&\s"'\#]+ | (?<=[?&]sig=)[^&\s"'\#]+
    | (?<=://)[^/\s"'@]+(?=@)                                                          # a user and a password
    """,
    re.VERBOSE,
)


def secrets_of_environment(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The values of environment variables whose names say that they are secret."""
    given = os.environ if environment is None else environment
    return tuple(
        value for name, value in given.items() if _ENVIRONMENT.search(name) and len(value) >= _SHORTEST_IN_ENVIRONMENT
    )


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
        parts = [*map(re.escape, written), _SHAPES.pattern]
        fields = rf'"(?:{_FIELD.pattern})"\s*:'
        self._suspect = re.compile("|".join([*parts[:-1], f"(?:{parts[-1]})", fields]), re.VERBOSE | re.IGNORECASE)

    def line(self, line: str) -> str:
        """A line of JSON without the secrets in it. Most have none, and are only looked at."""
        if not self._suspect.search(line):
            return line
        return json.dumps(self.value(json.loads(line)), ensure_ascii=False)

    def value(self, value: Any) -> Any:
        """JSON data without the secrets in its strings, the names of fields included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(str(name)): _emptied(one) if _FIELD.fullmatch(str(name)) else self.value(one)
                for name, one in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.value(one) for one in value]
        return value

    def text(self, text: str) -> str:
        """A text without the secrets in it."""
        if self._known:
            text = self._known.sub(REMOVED, text)
        return _SHAPES.sub(REMOVED, text)


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
