"""The options of a stage: a frozen pydantic model of its own, filled and checked from what the user gave."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from voicebridge.contract.errors import BadOption

__all__ = ["StageOptions", "read_stage_options"]

_T = TypeVar("_T", bound=BaseModel)


class StageOptions(BaseModel):
    """What the options of all stages have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def read_stage_options(kind: type[_T], given: Mapping[str, Any], who: str) -> _T:
    """The options with these values.

    Args:
        who: the stage's name, for the error.

    Raises:
        BadOption: an option is unknown, or its value does not fit.
    """
    known = sorted(kind.model_fields)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else f" It knows {', '.join(known)}."
            raise BadOption(f"{who} has no option {name!r}.{hint}", code="unknown_option")
    try:
        return kind.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        problem = f"The option {where!r} of {who} does not fit" if where else f"The options of {who} do not fit"
        raise BadOption(f"{problem}: {first['msg']}.", code="bad_option") from None
