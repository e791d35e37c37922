"""What to type for the same run, without what nobody else may read."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .options import backend_options
from .plan import Plan

__all__ = ["command_line", "option_words"]

_SECRET = re.compile(r"key(?!word)|token|secret|passw|pwd|credential|authori[sz]ation|bearer", re.IGNORECASE)
_LIMIT = re.compile(r"(max|min|num|n)_", re.IGNORECASE)
"""Of tokens, as in `max_output_tokens`: no secret."""
_MASK = "..."


def command_line(plan: Plan) -> str:
    """What to type for the same run: only what differs from the defaults, secrets masked, quoted for a shell."""
    plain = Plan()
    words = ["voicebridge", "bench"]
    if plan.backends != plain.backends:
        words += ["--backend", ",".join(plan.backends)]
    if plan.silences_ms != plain.silences_ms:
        silences = ("own" if silence is None else str(silence) for silence in plan.silences_ms)
        words += ["--silence-ms", ",".join(silences)]
    if plan.corpus != plain.corpus:
        words += ["--corpus", Path(plan.corpus).name]
    for name, value, default in (
        ("sessions", plan.rounds, plain.rounds),
        ("cold", plan.cold, plain.cold),
        ("seed", plan.seed, plain.seed),
        ("reply-s", plan.reply_s, plain.reply_s),
    ):
        words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)] if value != default else []
    if plan.instructions is not None:
        words += ["--instructions", plan.instructions]
    return shlex.join(words + option_words(plan.options))


def option_words(options: Mapping[str, Any]) -> list[str]:
    """`--option name=value` for each, secrets masked."""
    pairs = [_pair(name, _without_secrets(name, value)) for name, value in options.items()]
    return [word for pair in pairs for word in ("--option", pair)]


def _without_secrets(name: str, value: Any) -> Any:
    if _SECRET.search(name) and not _LIMIT.match(name):
        return _MASK
    if isinstance(value, dict):
        return {key: _without_secrets(str(key), part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_secrets("", part) for part in value]
    return value


def _pair(name: str, value: Any) -> str:
    """The pair from which `backend_options` makes this value."""
    plain = f"{name}={value}"
    if isinstance(value, str) and (value == _MASK or backend_options([plain]) == {name: value}):
        return plain
    return f"{name}={json.dumps(value, ensure_ascii=False)}"
