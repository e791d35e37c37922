"""The settings of one stage that is used alone, outside a cascade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicebridge.cascade.seat_settings import OwnOptions
from voicebridge.contract.config import SessionConfig, TurnPolicy, checked
from voicebridge.contract.errors import BadOption
from voicebridge.contract.stages import Stage

__all__ = ["configure"]


def configure(stage: Stage, name: str, options: Mapping[str, Any]) -> None:
    """Give a stage its settings. Only marks end utterances: nobody waits for a silence.

    Args:
        stage: what is configured.
        name: how it is called in messages.
        options: settings of a session (`api_key`, `language`, `voice`) and options of the stage, by name.

    Raises:
        BadOption: it does not know an option, or a value does not fit.
        ConfigError: the stage refuses a setting.
    """
    portable = {key: value for key, value in options.items() if key in SessionConfig.model_fields}
    others = {key: value for key, value in options.items() if key not in SessionConfig.model_fields}
    own = OwnOptions(others)
    stage.configure(checked({"turns": TurnPolicy(mode="manual")} | portable | {"options": own}))
    if others and not own.seen:
        raise BadOption(f"{name} has no option {next(iter(others))!r}: it has none of its own.", code="unknown_option")
