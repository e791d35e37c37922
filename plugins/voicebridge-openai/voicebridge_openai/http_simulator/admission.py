"""Who is let in: keys, models and how many at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .api_error import ApiError, failure, no_model
from .dialects import HttpDialect
from .known_models import LISTED, Family, Use, family_of
from .options import HttpOptions

__all__ = ["Admission", "shown_key"]

_SHOWN_FIRST, _SHOWN_LAST = 8, 4


def shown_key(key: str) -> str:
    """A key as the vendor's refusal repeats it: its two ends."""
    if len(key) <= _SHOWN_FIRST + _SHOWN_LAST:
        return "*" * len(key)
    hidden = len(key) - _SHOWN_FIRST - _SHOWN_LAST
    return key[:_SHOWN_FIRST] + "*" * hidden + key[-_SHOWN_LAST:]


class Admission:
    """Checks what comes before the request itself."""

    def __init__(self, options: HttpOptions, dialect: HttpDialect) -> None:
        self._options = options
        self._dialect = dialect
        self._inside = 0

    def key(self, headers: Mapping[str, str]) -> str:
        """The key of a request; empty where it shows none.

        Raises:
            ApiError: it may not come in.
        """
        options = self._options
        scheme, _, key = headers.get("authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else headers.get("api-key", "").strip()
        if not key and options.require_key and self._dialect.asks_key:
            message = (
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
            )
            raise ApiError(401, message)
        if key and options.keys and key not in options.keys:
            message = (
                f"Incorrect API key provided: {shown_key(key)}. You can find your API key at "
                "https://platform.openai.com/account/api-keys."
            )
            raise ApiError(401, message, code="invalid_api_key")
        if key in options.forbidden_keys:
            raise ApiError(403, "You have insufficient permissions for this operation.")
        if key in options.exhausted_keys:
            message = "You exceeded your current quota, please check your plan and billing details."
            raise failure("insufficient_quota", message)
        if key in options.limited_keys:
            raise self._limited()
        return key

    def _limited(self) -> ApiError:
        seconds = self._options.retry_after_s
        message = f"Rate limit reached on requests per min (RPM). Please try again in {seconds}s."
        return failure("rate_limit_exceeded", message, seconds)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """As long as a request is answered.

        Raises:
            ApiError: too many are.
        """
        if 0 < self._options.max_requests <= self._inside:
            raise self._limited()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def family(self, model: object, use: Use) -> Family | None:
        """The family of a model at an endpoint; None: it has no rules of its own, or the model is not told.

        Raises:
            ApiError: there is no such model, or it belongs to another endpoint.
        """
        if not isinstance(model, str) or not model:
            return None
        if self._options.models and model not in self._options.models:
            raise no_model(model)
        if not self._dialect.checks_models:
            return None
        family = family_of(model)
        if family is None:
            if self._options.models:
                return None
            raise no_model(model)
        if family.use == use:
            return family
        if use == "chat":
            message = (
                "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to "
                "use v1/completions?"
            )
            raise ApiError(404, message, param="model")
        raise no_model(model)

    def models(self) -> tuple[str, ...]:
        """Those that are listed."""
        return self._options.models or (LISTED if self._dialect.checks_models else ("simulated",))

    def knows(self, model: str) -> bool:
        """Whether a model can be looked up."""
        if self._options.models:
            return model in self._options.models
        return family_of(model) is not None if self._dialect.checks_models else True
