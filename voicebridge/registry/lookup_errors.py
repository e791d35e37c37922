"""Why a name can't be used, in words that say what to do next. Every error of a lookup is made here."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from voicebridge.contract.errors import BackendNotFound, BrokenPlugin, MissingExtra, VoiceBridgeError

from .catalogue import Catalogue, origin
from .plugins import HOME
from .rows import SEATS, PluginRow, Row

__all__ = ["broken", "elsewhere", "failed", "missing", "unknown"]

_A_KIND = {
    "backend": "a backend",
    "command": "a command",
    "simulator": "a simulator",
    "stt": "a speech-to-text stage",
    "detector": "a turn detector",
    "llm": "a language model stage",
    "tts": "a text-to-speech stage",
}


def unknown(catalogue: Catalogue, kind: str, name: str) -> VoiceBridgeError:
    """The error for a name that no row of its kind has: the one of the plugin that should have brought it, if any."""
    for plugin in catalogue.plugins:
        if plugin.status == "broken" and _would_bring(plugin, name):
            return broken(plugin)
    for plugin in catalogue.plugins:
        if plugin.status == "blocked" and _would_bring(plugin, name):
            return BackendNotFound(
                f"{name!r} is not available: {origin(plugin)} is kept from loading by {plugin.held_by}.",
                code="blocked",
            )
    parts = [elsewhere(catalogue, kind, name) or _nearest(catalogue, kind, name), _unloaded(catalogue)]
    return BackendNotFound(" ".join(part for part in parts if part), code="not_found")


def broken(plugin: PluginRow) -> BrokenPlugin:
    """The error for a plugin that failed to load, with its own error as the cause."""
    who = origin(plugin)
    error = BrokenPlugin(
        f"{who[0].upper()}{who[1:]} failed to load: {_in_words(plugin.error)}. "
        f"{_remedy(plugin.distribution, plugin.name)}",
        code="broken_plugin",
    )
    error.__cause__ = plugin.error
    return error


def failed(row: Row, cause: Exception) -> BrokenPlugin:
    """The error for a factory that raised what is none of voicebridge's own."""
    error = BrokenPlugin(
        f"{row.name!r} can't be made: {origin(row)} failed with {_in_words(cause)}. "
        f"{_remedy(row.distribution, row.plugin)}",
        code="broken_plugin",
    )
    error.__cause__ = cause
    return error


def missing(row: Row, modules: Sequence[str]) -> MissingExtra:
    """The error for a row whose packages are not installed."""
    what = f"{row.name!r} needs {_listed(modules)}, not installed here."
    if row.about.extra:
        # Never the bare name: on the public index it belongs to a stranger.
        how = f"In a clone of voicebridge: pip install '.[{row.about.extra}]'"
    elif row.distribution and row.distribution != HOME:
        how = f"The documentation of {row.distribution} should say how to install it."
    else:
        how = f"Install what brings {'it' if len(modules) == 1 else 'them'}, then try again."
    return MissingExtra(f"{what} {how}", code="missing_extra")


def elsewhere(catalogue: Catalogue, kind: str, name: str) -> str:
    """Where the name is known as something else: what it is, and how to use it as that."""
    others = [other for other in ("backend", *SEATS) if other != kind and (other, name) in catalogue.rows]
    if not others or kind in ("command", "simulator"):
        return ""
    what = " and ".join(_A_KIND[other] for other in others)
    hint = "A cascade is written stt+llm+tts." if set(others) & {"stt", "llm", "tts"} else ""
    if others == ["backend"]:
        hint = f"Use it alone: {name!r} is the whole spec."
    return f"{name!r} is {what}, not {_A_KIND[kind]}. {hint}".rstrip()


def _nearest(catalogue: Catalogue, kind: str, name: str) -> str:
    """That there is no such name, and which there are."""
    names = sorted(catalogue.names(kind))
    near = _near(name, names)
    if near:
        there = f"Did you mean {_listed([repr(one) for one in near], 'or')}?"
    elif names:
        shown = names if len(names) <= 8 else [*names[:8], f"{len(names) - 8} more (see `voicebridge backends`)"]
        there = f"There are: {', '.join(shown)}."
    else:
        there = "None is installed; in a clone of voicebridge, `pip install .` brings the bundled ones."
    return f"There is no {_A_KIND[kind].split(' ', 1)[1]} {_short(name)!r}. {there}"


def _near(name: str, names: Sequence[str]) -> list[str]:
    under = [one for one in names if one.startswith(f"{name}/")]
    folded = {one.lower(): one for one in names}
    close = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.6)
    vendor = difflib.get_close_matches(name.partition("/")[0].lower(), folded, n=1, cutoff=0.75)
    return list(dict.fromkeys(under + [folded[one] for one in close + vendor]))[:3]


def _would_bring(plugin: PluginRow, name: str) -> bool:
    return any(name == hint or name.startswith(f"{hint}/") for hint in plugin.names)


def _unloaded(catalogue: Catalogue) -> str:
    """A name may belong to a plugin whose entry point is called otherwise."""
    names = [origin(plugin) for plugin in catalogue.plugins if plugin.status == "broken"]
    return f"It may belong to {_listed(names, 'or')}, which failed to load: see `voicebridge doctor`." if names else ""


def _remedy(distribution: str, plugin: str) -> str:
    if not distribution:
        return "It was added by the application itself."
    block = f"or set VOICEBRIDGE_BLOCK_PLUGINS={plugin}"
    if distribution == HOME:
        return f"Install voicebridge again (`pip install .` in its clone), {block}."
    # No command that installs by name: a name that its maker never published may be anyone's on the public index.
    return f"Upgrade {distribution} from where it came, remove it (`pip uninstall {distribution}`), {block}."


def _in_words(error: BaseException | None) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {_short(text)}" if text else type(error).__name__


def _short(text: str) -> str:
    return text if len(text) <= 300 else text[:297] + "..."


def _listed(words: Sequence[str], joint: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"
