"""Commands whose fields do not fit are refused in words, before anything is sent."""

from __future__ import annotations

import inspect
import math
from types import MappingProxyType
from typing import Any

import pytest

from voicebridge import (
    Command,
    ConfigError,
    Configure,
    DiscardTurn,
    EndTurn,
    Interrupt,
    OutputText,
    ProviderCommand,
    ReportPlayed,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract import commands
from voicebridge.contract.stages import PCM_16K
from voicebridge.session.command_check import check

FITTING = [
    SendAudio(pcm=b"12"),
    SendAudio(pcm=bytearray(b"12")),  # type: ignore[arg-type]  # not promised, but harmless
    SendText(text="hi", role="system", images=("data:x",), respond=False),
    SendToolResult(call_id="k", output="3", is_error=True),
    EndTurn(respond=False),
    DiscardTurn(),
    Respond(instructions="x", say=None, aside=True, modality="text", options={"a": [1, None]}),
    Interrupt(response_id="r1", heard={"r1": 0, "r2": 7.5}),
    ReportPlayed(response_id="r1", ms=3),
    Configure(patch=MappingProxyType({"voice": None, "turns": {"mode": "manual"}})),
    ProviderCommand(payload={"type": "x"}),
]


def test_every_command_is_among_those_that_fit() -> None:
    all_of_them = {cls for _, cls in inspect.getmembers(commands, inspect.isclass) if issubclass(cls, Command)}
    assert {type(command) for command in FITTING} == all_of_them - {Command}


@pytest.mark.parametrize("command", FITTING, ids=lambda command: type(command).__name__)
def test_what_fits_passes(command: Command) -> None:
    check(command)


MISFITS: list[tuple[Any, str]] = [
    (None, "takes commands.* not NoneType"),
    ("hello", "takes commands.* not str"),
    (SendAudio, "takes commands.* not type"),
    (OutputText(response_id="r", delta="x"), "takes commands.* not OutputText"),
    (lambda _: SendAudio(pcm=_(None)), r"SendAudio\.pcm does not fit: bytes are wanted \(got NoneType\)"),
    (lambda _: SendAudio(pcm=_("abc")), r"SendAudio\.pcm does not fit: .*got str"),
    (lambda _: SendText(text=_(None)), r"SendText\.text does not fit: .*string \(got NoneType\)"),
    (lambda _: SendText(text="x", role=_("robot")), r"SendText\.role .*'user'"),
    (lambda _: SendText(text="x", images=(_(1),)), r"SendText\.images\[0\] does not fit"),
    (lambda _: SendText(text="x", respond=_("yes")), r"SendText\.respond does not fit"),
    (lambda _: SendText(text="x", id=_(7)), r"SendText\.id does not fit"),
    (lambda _: SendToolResult(call_id="k", output=_({"a": 1})), r"SendToolResult\.output does not fit"),
    (lambda _: Respond(say=_(3)), r"Respond\.say does not fit"),
    (lambda _: Configure(patch=_(None)), r"Configure\.patch does not fit"),
    (lambda _: Configure(patch=_({1: 2})), r"Configure\.patch\[1.*does not fit"),
    (lambda _: Configure(patch={"input_format": PCM_16K}), "input_format is the whole session's and never changes"),
    (
        lambda _: Configure(patch={"voice": "x", "output_format": _(None)}),
        "output_format .* give it to voicebridge.con",
    ),
    (
        lambda _: Configure(patch={"tools": [len]}),
        r"takes tools as Tool\(.*'len': give functions to voicebridge.connect",
    ),
    (lambda _: ProviderCommand(payload=_("x")), r"ProviderCommand\.payload does not fit"),
    (lambda _: ReportPlayed(response_id=_(None), ms=1), r"ReportPlayed\.response_id does not fit"),
    (lambda _: ReportPlayed(response_id="r", ms=_("5")), r"ReportPlayed\.ms does not fit: milliseconds.*got str"),
    (lambda _: ReportPlayed(response_id="r", ms=math.nan), r"ReportPlayed\.ms .*got nan"),
    (lambda _: ReportPlayed(response_id="r", ms=-1.0), r"ReportPlayed\.ms .*0 or more \(got -1\.0\)"),
    (lambda _: Interrupt(heard=_(None)), r"Interrupt\.heard does not fit"),
    (lambda _: Interrupt(heard={"r": _("5")}), r"Interrupt\.heard\['r'\] does not fit"),
    (lambda _: Interrupt(heard={"r": math.nan}), r"Interrupt\.heard\['r'\] does not fit: milliseconds.*got nan"),
    (lambda _: Interrupt(heard={"r": -5}), r"Interrupt\.heard\['r'\].*got -5"),
    (lambda _: Interrupt(response_id=_(3)), r"Interrupt\.response_id does not fit"),
]


@pytest.mark.parametrize(("made", "words"), MISFITS, ids=[words for _, words in MISFITS])
def test_what_does_not_is_refused_in_words(made: Any, words: str) -> None:
    def anything(value: Any) -> Any:
        return value

    command = made(anything) if inspect.isfunction(made) else made
    with pytest.raises(ConfigError, match=words) as caught:
        check(command)
    assert caught.value.command_id == (command.id if isinstance(command, Command) else None)
