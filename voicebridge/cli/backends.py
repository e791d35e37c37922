"""`voicebridge backends`: what is installed, what it can do, what is missing and how to get it."""

from __future__ import annotations

import json as json_format
import os
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.registry import lookup_errors
from voicebridge.registry.registry import registry
from voicebridge.registry.rows import BackendRow, CommandRow, Listing, PluginRow, StageRow

__all__ = ["backends", "shutdowns"]

_SOON_DAYS = 180
_SEATS = {
    "stt": "speech to text",
    "detector": "turn detector",
    "llm": "language model",
    "tts": "text to speech",
    "backend": "backend",
}


def backends(*, licences: bool, json: bool) -> int:
    """Run the command; its exit status."""
    listing = registry().rows()
    found: list[BackendRow | StageRow] = [*listing.backends, *listing.stages]
    rows = [_described(row) for row in found]
    if json:
        clashes = [{"kind": c.kind, "name": c.name, "kept": c.kept, "dropped": c.dropped} for c in listing.clashes]
        document = {
            "backends": rows[: len(listing.backends)],
            "stages": rows[len(listing.backends) :],
            "commands": [_command(row) for row in listing.commands],
            "plugins": [_plugin(plugin) for plugin in listing.plugins],
            "clashes": clashes,
        }
        print(json_format.dumps(document, indent=2))
        return 0
    console = Console(highlight=False, markup=False)
    console.print(_licences(rows) if licences else _overview(rows))
    if not rows:
        console.print("Nothing is installed. In a clone of voicebridge: pip install '.[local]'")
    lines = (
        [row["missing"] for row in rows if row["missing"]]
        + _troubles(listing)
        + shutdowns(found, datetime.now(UTC).date())
    )
    for line in dict.fromkeys(lines):
        console.print(f"! {line}", soft_wrap=True)
    return 0


def _described(row: BackendRow | StageRow) -> dict[str, Any]:
    lacking = row.about.missing()
    described: dict[str, Any] = {
        "name": row.name,
        "kind": row.seat if isinstance(row, StageRow) else "backend",
        "summary": row.about.summary,
        "licence": row.about.licence,
        "source": row.about.source,
        "plugin": row.plugin,
        "ready": not lacking and not row.about.unavailable,
        "unavailable": row.about.unavailable,
        "key": row.about.key,
        "has_key": not row.about.key or bool(os.environ.get(row.about.key)),
        "missing": str(lookup_errors.missing(row, lacking)) if lacking else "",
    }
    if row.about.models:
        described["models"] = [
            {
                "name": model.name,
                "aliases": list(model.aliases),
                "shuts_down": model.shuts_down.isoformat() if model.shuts_down else None,
                "note": model.note,
            }
            for model in row.about.models
        ]
    if isinstance(row, BackendRow) and not lacking:
        described["can"] = _can(row)
    return described


def _can(row: BackendRow) -> list[str]:
    """What a backend can do, in words; nothing where it must be told a model first."""
    try:
        capabilities = registry().backend(row.name).capabilities
    except VoiceBridgeError:
        return []
    return _in_words(capabilities) if isinstance(capabilities, Capabilities) else []


def _in_words(can: Capabilities) -> list[str]:
    words = [f"turns by {' or '.join(sorted(can.turns))}"] if can.turns else []
    words += ["interruption"] if can.interrupt else []
    words += [f"hears {' and '.join(sorted(can.inputs))}"] if can.inputs else []
    words += [f"gives {' and '.join(sorted(can.outputs))}" if can.outputs else "only transcribes"]
    words += ["tools"] if can.tools != "none" else []
    words += [f"changes {', '.join(sorted(can.live_update))} live"] if can.live_update else []
    return words


def _overview(rows: Iterable[dict[str, Any]]) -> Table:
    table = _table("", "name", "what it is", "state")
    for row in rows:
        about = "; ".join(filter(None, [row["summary"], ", ".join(row.get("can", []))]))
        table.add_row(_SEATS[row["kind"]], row["name"], about, _state(row))
    return table


def _state(row: dict[str, Any]) -> str:
    if row["unavailable"]:
        return "can't be had"
    if not row["ready"]:
        return "not installed"
    return "ready" if row["has_key"] else f"needs {row['key']}"


def _licences(rows: Iterable[dict[str, Any]]) -> Table:
    table = _table("", "name", "licence", "source")
    for row in rows:
        table.add_row(_SEATS[row["kind"]], row["name"], row["licence"] or "not stated", row["source"])
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        # Names are there to be copied: they are never cut.
        table.add_column(column, no_wrap=column == "name", overflow="fold")
    return table


def _troubles(listing: Listing) -> list[str]:
    lines = [str(lookup_errors.broken(plugin)) for plugin in listing.broken]
    lines += [
        f"The plugin {plugin.name!r} is kept from loading by {plugin.held_by}."
        for plugin in listing.plugins
        if plugin.status == "blocked"
    ]
    return lines + [
        f"The {clash.kind} {clash.name!r} comes from {clash.kept}; {clash.dropped} has one of that name, too."
        for clash in listing.clashes
    ]


def shutdowns(rows: Iterable[BackendRow | StageRow], today: date) -> list[str]:
    """Models that their vendors serve no more, or not for long."""
    lines = []
    for row in rows:
        for model in row.about.models:
            day = model.shuts_down
            if day is None or (day - today).days > _SOON_DAYS:
                continue
            when = f"shuts down on {day}" if day > today else f"was shut down on {day}"
            lines.append(f"{row.name}/{model.name} {when}: choose another model of {row.name}.")
    return lines


def _plugin(plugin: PluginRow) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "status": plugin.status,
        "reason": str(lookup_errors.broken(plugin)) if plugin.error is not None else plugin.held_by,
        "names": list(plugin.names),
    }


def _command(row: CommandRow) -> dict[str, Any]:
    return {"name": row.name, "summary": row.about.summary, "plugin": row.plugin, "ready": not row.about.missing()}
