"""What must hold in a call, whatever backend serves it: disclosure, consent, redaction, marking, limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from .errors import ConfigError
from .events import OutputAudio, UsageReported

__all__ = ["Budget", "CallPolicy"]

_GRACE_S = 30.0
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a call may cost.

    Raises:
        ConfigError: `spend` can't be called, or the limit is not above 0.
    """

    spend: Callable[[UsageReported], float]
    """What a report of usage costs, in any currency. If it raises, the call ends as if the limit were reached."""
    limit: float
    """In the same currency."""

    def __post_init__(self) -> None:
        _check_callable("Budget.spend", self.spend)
        _check_amount("Budget.limit", self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPolicy:
    """The rules of a call. Without arguments it asks for nothing, and no audio is kept.

        CallPolicy(disclosure="You are talking to an AI assistant.", max_duration_s=600)

    These are means; which of them the law asks for depends on where and for what you use them.

    Raises:
        ConfigError: a value does not fit.
    """

    disclosure: str | None = None
    """Said first: nothing else that the agent says is heard before this was played to its end. The user's voice does
    not interrupt it. If something else does, it is said again once the user is silent, and after some attempts the call
    ends (`disclosure_failed`). `session.disclosure` tells when it was made. None: nothing is said."""
    disclosure_as: Literal["speech", "text"] = "speech"
    """`text`: it is given to the application as the text of a response of its own, and counts as read."""
    consent: Callable[[], bool | Awaitable[bool]] | None = None
    """Asked once; a plain function runs in a thread. Nothing is written to the store of the conversation before it has
    returned True, and nothing of what was said or heard until then afterwards. Without it no audio is kept."""
    redact: Callable[[str], str] | None = None
    """Applied to all that voicebridge logs during the call. None: `voicebridge.core.redaction.redact`, which takes
    out e-mail addresses and the numbers of phones, cards and accounts."""
    output_audio: Callable[[OutputAudio], OutputAudio | None] | None = None
    """The last one to have each piece of the agent's voice, to mark it as synthetic. It gives back a piece of the same
    length. Where it gives None or anything else, or raises, silence is heard instead: nothing passes unmarked."""
    max_duration_s: float | None = None
    """Seconds from `SessionReady` on."""
    max_usage: Mapping[str, float] = field(default_factory=dict)
    """Amounts by unit, as `UsageReported` counts them: `output_audio_tokens`, say. Which units there are depends on the
    backend: one that reports no usage is refused, and a unit that is never counted is told (`unit_not_counted`)."""
    budgets: tuple[Budget, ...] = ()
    say_at_limit: str | None = None
    """Said when a limit is reached, where the backend can. Then the session ends."""
    grace_s: float = _GRACE_S
    """Seconds that the agent may go on to finish what it says when a limit is reached, and to say `say_at_limit`. What
    else it would say then is stopped."""

    def __post_init__(self) -> None:
        for name in ("disclosure", "say_at_limit"):
            text = getattr(self, name)
            if text is not None and (not isinstance(text, str) or not text.strip()):
                raise _misfit(name, "is a text, or None for nothing to be said", text)
        if self.disclosure_as not in ("speech", "text"):
            raise _misfit("disclosure_as", "is 'speech' or 'text'", self.disclosure_as)
        for name in ("consent", "redact", "output_audio"):
            if getattr(self, name) is not None:
                _check_callable(name, getattr(self, name))
        if self.max_duration_s is not None:
            _check_amount("max_duration_s", self.max_duration_s)
        if not isinstance(self.max_usage, Mapping):
            raise _misfit("max_usage", "holds amounts by unit, as in {'output_audio_tokens': 20_000}", self.max_usage)
        for unit, amount in self.max_usage.items():
            _check_amount(f"max_usage[{unit!r}]", amount)
        if not isinstance(self.budgets, tuple) or not all(isinstance(one, Budget) for one in self.budgets):
            raise _misfit("budgets", "is a tuple of Budget(spend, limit)", self.budgets)
        if not isinstance(self.grace_s, int | float) or not 0 <= self.grace_s < float("inf"):
            raise _misfit("grace_s", "is a number of seconds from 0 on", self.grace_s)

    @property
    def limited(self) -> bool:
        """Whether the call has a limit."""
        return self.max_duration_s is not None or bool(self.max_usage or self.budgets)

    def combined(self, other: CallPolicy) -> CallPolicy:
        """Both at once: of two limits the lower, of two consents both, of two hooks first this one's, then the other's.

        Of two disclosures both are said, and spoken if one of them is to be.
        """
        spoken = any(one.disclosure and one.disclosure_as == "speech" for one in (self, other))
        said = dict.fromkeys(one.disclosure for one in (self, other) if one.disclosure)
        amounts = (self.max_usage, other.max_usage)
        usage = {unit: min(of[unit] for of in amounts if unit in of) for unit in {**amounts[0], **amounts[1]}}
        return CallPolicy(
            disclosure=" ".join(said) or None,
            disclosure_as="speech" if spoken or not said else "text",
            consent=_either(self.consent, other.consent, _BothAgree),
            redact=_either(self.redact, other.redact, _one_after_the_other),
            output_audio=_either(self.output_audio, other.output_audio, _one_after_the_other),
            max_duration_s=_either(self.max_duration_s, other.max_duration_s, min),
            max_usage=usage,
            budgets=self.budgets + other.budgets,
            say_at_limit=self.say_at_limit or other.say_at_limit,
            grace_s=min(self.grace_s, other.grace_s),
        )


def _either(one: _T | None, other: _T | None, both: Callable[[_T, _T], _T]) -> _T | None:
    if one is None or other is None:
        return other if one is None else one
    return both(one, other)


class _BothAgree:
    """The consent of two policies. `parts`: the functions, to be asked one after the other."""

    def __init__(self, one: Callable[[], Any], other: Callable[[], Any]) -> None:
        self.parts: tuple[Callable[[], Any], ...] = tuple(
            part for each in (one, other) for part in (each.parts if isinstance(each, _BothAgree) else (each,))
        )

    async def __call__(self) -> bool:
        """Whether all return True."""
        for part in self.parts:
            answer = part()
            if (await answer if isinstance(answer, Awaitable) else answer) is not True:
                return False
        return True


def _one_after_the_other(one: Callable[[Any], Any], other: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def hook(value: Any) -> Any:
        value = one(value)
        return None if value is None else other(value)

    return hook


def _check_callable(name: str, value: object) -> None:
    if not callable(value):
        raise _misfit(name, "is a function", value)


def _check_amount(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise _misfit(name, "is a number above 0", value)


def _misfit(name: str, wanted: str, given: object) -> ConfigError:
    return ConfigError(f"The call policy does not fit: {name} {wanted}, not {given!r:.80}.", code="bad_policy")
