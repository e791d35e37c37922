"""`voicebridge doctor`: is this installation as it should be? Each check is a line, with what to do where it is not."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json as json_format
import platform
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.text import Text

from voicebridge.contract.commands import SendText
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import NoSoundDevice, VoiceBridgeError
from voicebridge.contract.events import OutputAudio, OutputText, ResponseEnded
from voicebridge.registry import lookup_errors
from voicebridge.registry.plugins import HOME
from voicebridge.registry.registry import registry
from voicebridge.registry.rows import Listing, StageRow
from voicebridge.session.door import connect

from .ending import FAILED

__all__ = ["doctor"]

_OLDEST = (3, 11)
_LOAD_S = 60.0
"""A model that takes longer to load is not usable."""
_ANSWER_S = 60.0
_SELF_TEST = "local"
"""The backend that needs no key and no network."""
_SIGNS = {"ok": ("ok     ", "green"), "warning": ("warning", "yellow"), "problem": ("problem", "red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    check: str
    state: Literal["ok", "warning", "problem"]
    text: str
    """What is so, and for what is not well, what to do next."""


def doctor(*, json: bool) -> int:
    """Run the command; its exit status."""
    console = Console(highlight=False, markup=False)
    findings = []
    for finding in _findings():
        findings.append(finding)
        if not json:
            sign, colour = _SIGNS[finding.state]
            console.print(Text(sign, style=colour), f"{finding.check}: {finding.text}", soft_wrap=True)
    well = all(finding.state != "problem" for finding in findings)
    if json:
        print(json_format.dumps({"ok": well, "checks": [asdict(finding) for finding in findings]}, indent=2))
    return 0 if well else FAILED


def _findings() -> Iterator[Finding]:
    yield _python()
    yield from _extras()
    listing = registry().rows()
    yield from _plugins(listing)
    for row in listing.stages:
        yield _model(row)
    yield from asyncio.run(_sound_devices())
    yield asyncio.run(_self_test(listing))


def _python() -> Finding:
    there = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _OLDEST:
        return Finding("python", "problem", f"{there}: voicebridge needs 3.11 or newer.")
    return Finding("python", "ok", there)


def _extras() -> Iterator[Finding]:
    """The packages of each extra, and those that are always needed."""
    try:
        requirements = importlib.metadata.requires(HOME) or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(
            "packages", "warning", f"{HOME} is not installed, only run from its source: pip install -e '.[local]'"
        )
        return
    groups: dict[str, list[str]] = {}
    for requirement in requirements:
        extra = re.search(r"extra\s*==\s*[\"']([^\"']+)", requirement)
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        if name and name.group() != HOME:
            groups.setdefault(extra.group(1) if extra else "", []).append(requirement)
    for extra_name, needed in sorted(groups.items()):
        if extra_name != "dev":
            yield _packages(extra_name, needed)


def _packages(extra: str, needed: list[str]) -> Finding:
    check = f"packages of [{extra}]" if extra else "packages"
    wrong = [problem for requirement in needed if (problem := _package_problem(requirement))]
    if not wrong:
        return Finding(check, "ok", f"all {len(needed)} are installed")
    how = f"In a clone of voicebridge: pip install '.{f'[{extra}]' if extra else ''}'"
    return Finding(check, "warning" if extra else "problem", f"{', '.join(wrong)}. {how}")


def _package_problem(requirement: str) -> str:
    """What is wrong with an installed package; empty where nothing is. Only exact versions are compared."""
    match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?:==\s*([^\s;,]+))?", requirement)
    assert match is not None
    name, pinned = match.groups()
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is not installed"
    return f"{name} is {version}, not {pinned}" if pinned and version != pinned else ""


def _plugins(listing: Listing) -> Iterator[Finding]:
    for plugin in listing.plugins:
        check = f"plugin {plugin.name}"
        if plugin.error is not None:
            yield Finding(check, "problem", str(lookup_errors.broken(plugin)))
        elif plugin.status == "blocked":
            yield Finding(check, "warning", f"kept from loading by {plugin.held_by}")
        else:
            yield Finding(check, "ok", f"brings {', '.join(plugin.names) or 'nothing'}")
    for clash in listing.clashes:
        text = f"{clash.kept} has it; {clash.dropped} brings one of that name, too. Block one of them."
        yield Finding(f"{clash.kind} {clash.name}", "warning", text)


def _model(row: StageRow) -> Finding:
    """Load a stage as a session would."""
    check = f"{row.seat} {row.name}"
    lacking = row.about.missing()
    if lacking:
        return Finding(check, "warning", str(lookup_errors.missing(row, lacking)))
    began = time.monotonic()
    try:
        asyncio.run(_load(row))
    except TimeoutError:
        return Finding(
            check, "problem", f"not loaded after {_LOAD_S:.0f} s: the machine is too slow or too busy for it"
        )
    except VoiceBridgeError as error:
        # Without a key or its own settings a stage is not broken, only not set up.
        return Finding(check, "warning" if error.category in ("auth", "config") else "problem", str(error))
    except Exception as error:  # a plugin's code: whatever it raises is a finding
        return Finding(check, "problem", f"can't be loaded: {type(error).__name__}: {error}")
    return Finding(check, "ok", f"loaded in {time.monotonic() - began:.1f} s")


async def _load(row: StageRow) -> None:
    stage = registry().stage(row.seat, row.name)
    try:
        stage.configure(SessionConfig())
        async with asyncio.timeout(_LOAD_S):
            await stage.warm()
    finally:
        await stage.aclose()


async def _sound_devices() -> list[Finding]:
    from voicebridge.audio.device import Microphone, Speaker

    findings = []
    for device in (Microphone(), Speaker()):
        try:
            async with device:
                text = f"opens, at {device.device_format}"
                findings.append(Finding(device.noun, "ok", text))
        except NoSoundDevice as error:
            findings.append(Finding(device.noun, "warning", str(error)))
    return findings


async def _self_test(listing: Listing) -> Finding:
    """Does `local` answer a written question with sound?"""
    check = f"self-test of {_SELF_TEST}"
    rows = [row for row in listing.backends if row.name == _SELF_TEST]
    if not rows or rows[0].about.missing():
        lacking = str(lookup_errors.missing(rows[0], rows[0].about.missing())) if rows else ""
        reason = lacking or "there is no such backend here."
        return Finding(check, "warning", f"left out: {reason}")
    began = time.monotonic()
    try:
        async with asyncio.timeout(_ANSWER_S):
            said, audio_ms = await _answer()
    except TimeoutError:
        return Finding(check, "problem", f"no answer within {_ANSWER_S:.0f} s")
    except Exception as error:  # as above
        return Finding(check, "problem", f"failed: {error}")
    if not audio_ms:
        return Finding(check, "problem", f"answered {said!r} without any sound")
    took_s = time.monotonic() - began
    return Finding(check, "ok", f"said {said!r}: {audio_ms / 1000:.1f} s of sound, {took_s:.1f} s after the start")


async def _answer() -> tuple[str, float]:
    """What it says, and how many milliseconds that takes."""
    said, size = "", 0
    async with connect(_SELF_TEST, instructions="Answer in one short sentence.") as session:
        await session.send(SendText(text="Hello, how are you?"))
        async for event in session:
            if isinstance(event, OutputText):
                said += event.delta
            elif isinstance(event, OutputAudio):
                size += len(event.pcm)
            elif isinstance(event, ResponseEnded):
                if event.fault is not None:
                    raise VoiceBridgeError(event.fault)
                break
        return said.strip(), session.capabilities.formats_out[0].ms(size)
