"""Whether a backend can keep the rules of a call: looked at before it gets the call, not found out in it."""

from __future__ import annotations

from collections.abc import Iterable

from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.errors import ConfigError

from .verbatim import verbatim

__all__ = ["check_disclosure", "check_usage"]


def check_disclosure(policy: CallPolicy, capabilities: Capabilities, outputs: Iterable[str], backend: str) -> None:
    """Whether it can make the disclosure.

    Args:
        outputs: of the session's config.
        backend: its name, for people.

    Raises:
        ConfigError: it can't.
    """
    if policy.disclosure is None or policy.disclosure_as == "text":
        return
    if "audio" not in outputs:
        raise _unfit("This session does not speak, so it can't speak its disclosure. Set disclosure_as='text'.")
    if "audio" not in capabilities.outputs:
        raise _unfit(
            f"The backend {backend} does not speak, so it can't speak the disclosure. Set disclosure_as='text', or "
            "choose one that speaks."
        )
    if verbatim(policy.disclosure, capabilities) is None:
        raise _unfit(
            f"The backend {backend} can't be asked to say the disclosure. Set disclosure_as='text' and show it before "
            "the call, or choose a backend whose capabilities have 'say' or 'instructions' in `respond`."
        )


def check_usage(policy: CallPolicy, capabilities: Capabilities, backend: str) -> None:
    """Whether it counts what the policy limits.

    Args:
        backend: as above.

    Raises:
        ConfigError: it reports no usage, so that a limit on it would never be reached.
    """
    limits = [name for name in ("max_usage", "budgets") if getattr(policy, name)]
    if limits and capabilities.usage == "none":
        raise _unfit(
            f"The backend {backend} reports no usage, so {limits[0]} would never be reached. Limit the call with "
            "max_duration_s, or choose a backend whose capabilities have another `usage` than 'none'."
        )


def _unfit(message: str) -> ConfigError:
    return ConfigError(message, code="bad_policy")
