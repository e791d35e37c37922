"""Shipped for tests of backends and applications: scripted sessions, virtual time, the contract suite, guards.

README.md beside this file has an example of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .contract import BackendContract

__all__ = ["BackendContract"]


def __getattr__(name: str) -> Any:
    # Whoever wants a clock only does not load the suite.
    if name == "BackendContract":
        from .contract import BackendContract

        return BackendContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
