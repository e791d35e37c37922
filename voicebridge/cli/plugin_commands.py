"""Commands that plugins bring: listed without importing them, loaded when one is run."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from voicebridge.contract.errors import BrokenPlugin, ConfigError, VoiceBridgeError
from voicebridge.registry.registry import registry
from voicebridge.registry.rows import CommandRow

__all__ = ["CommandGroup"]


class CommandGroup(TyperGroup):
    """The commands of voicebridge itself, then those of plugins. A plugin can't take the name of one of ours."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all of them."""
        own = super().list_commands(ctx)
        return own + [row.name for row in registry().rows().commands if row.name not in own]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command.

        Raises:
            VoiceBridgeError: there is none of that name, or its plugin is broken or blocked.
        """
        if own := super().get_command(ctx, cmd_name):
            return own
        for row in registry().rows().commands:
            if row.name == cmd_name:
                return _PluginCommand(row)
        try:
            registry().command(cmd_name)
        except VoiceBridgeError as error:
            if error.fault.code != "not_found":
                raise
        if cmd_name.startswith("-"):
            return None  # typer has better words for an option
        near = get_close_matches(cmd_name, self.list_commands(ctx), 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"There is no command {cmd_name!r}.{hint} See `voicebridge --help`.", code="no_command")


class _PluginCommand(TyperCommand):
    """Stands for a plugin's command in a list. To run it is to load it."""

    def __init__(self, row: CommandRow) -> None:
        super().__init__(name=row.name, help=row.about.summary)
        self._row = row

    def make_context(self, info_name: Any, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the real command.

        Raises:
            MissingExtra: its packages are not installed.
            BrokenPlugin: it can't be loaded.
        """
        app = registry().command(self._row.name)
        try:
            command = get_command(app)
        except Exception as error:
            raise BrokenPlugin(
                f"The command {self._row.name!r} of the plugin {self._row.plugin!r} can't be used: "
                f"{type(error).__name__}: {error}.",
                code="broken_plugin",
            ) from error
        return command.make_context(info_name, args, parent=parent, **extra)
