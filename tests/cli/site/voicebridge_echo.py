"""A plugin for tests of `voicebridge simulate`."""

from __future__ import annotations

from typing import Any

from voicebridge.registry.hookspecs import hookimpl
from voicebridge.registry.rows import About


def _echo(settings: Any) -> Any:
    from echo_wire import echo_server

    return echo_server(settings)


def _plain_echo(settings: Any) -> Any:
    from plain_echo import echo_server

    return echo_server(settings)


@hookimpl
def register_simulators(register: Any) -> None:
    register("echo-wire", _echo, About(summary="Gives back each frame"))
    register("lacking", _echo, About(summary="Lacks a package", requires=("no_such_module_here",), extra="local"))
    register("plain-echo", _plain_echo, About(summary="Gives back each body"))
