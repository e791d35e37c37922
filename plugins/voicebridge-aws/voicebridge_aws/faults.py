"""What Amazon means by its refusals: over HTTP, at the handshake, and as exceptions in an event stream.

An error has a type, which stands in a header of HTTP that is not seen here, in `:exception-type` of an event, or as
`__type` in the body; the words say as much, so they count where no type is there. Sources: `CommonErrors` of both
services, the service model of Polly in botocore 1.44.8 and the guide to Transcribe over websockets; the sentences are
those that users quote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from voicebridge.contract.codec import Closed
from voicebridge.contract.fault import Category, Fault
from voicebridge.core.closing import fault_of

__all__ = ["classify", "explain", "named_fault"]

_TABLE: Mapping[str, tuple[Category, str]] = {
    "UnrecognizedClientException": ("auth", "Amazon does not know this access key. Check it, and its session token"),
    "InvalidClientTokenId": ("auth", "Amazon does not know this access key. Check it, and its session token"),
    "InvalidSignatureException": ("auth", "Amazon refused the signature. Check the secret access key and the region"),
    "SignatureDoesNotMatch": ("auth", "Amazon refused the signature. Check the secret access key and the region"),
    "IncompleteSignature": ("auth", "Amazon refused the signature. Check the credentials"),
    "MissingAuthenticationTokenException": ("auth", "Amazon wants a signed request. Check the credentials"),
    "ExpiredTokenException": ("auth", "The session token has expired. Log in again"),
    "RequestExpired": ("auth", "Amazon refused a signature as too old. Check this machine's clock"),
    "AccessDeniedException": ("auth", "The Amazon account does not let these credentials use that. Check its policies"),
    "ThrottlingException": ("rate", "Too many requests for this Amazon account right now"),
    "Throttling": ("rate", "Too many requests for this Amazon account right now"),
    "TooManyRequestsException": ("rate", "Too many requests for this Amazon account right now"),
    "LimitExceededException": ("rate", "As many streams as the Amazon account may have are open"),
    "ServiceQuotaExceededException": ("quota", "A quota of the Amazon account is used up"),
    "ServiceFailureException": ("network", "Amazon failed"),
    "InternalFailureException": ("network", "Amazon failed"),
    "InternalFailure": ("network", "Amazon failed"),
    "ServiceUnavailableException": ("busy", "Amazon is overloaded"),
    "ConflictException": ("busy", "Amazon is still at work on what this names"),
    "BadRequestException": ("config", "Amazon does not take what was sent"),
    "ValidationException": ("config", "Amazon does not take these settings. Check the voice and the language"),
    "TextLengthExceededException": ("config", "The text is too long for one request to Amazon Polly"),
    "InvalidSsmlException": ("config", "Amazon Polly can't read this SSML"),
    "LexiconNotFoundException": ("config", "The Amazon account has no such lexicon in this region"),
    "LanguageNotSupportedException": ("config", "This voice does not speak that language"),
    "EngineNotSupportedException": ("config", "This voice is not made with that engine. Choose another voice or model"),
    "ResourceNotFoundException": ("config", "Amazon has no such voice in this region"),
}
_WORDS: tuple[tuple[str, str], ...] = (
    (r"signature (expired|not yet current)|has expired", "RequestExpired"),
    (r"signature we calculated|signature does not match", "InvalidSignatureException"),
    (r"security token included in the request is expired", "ExpiredTokenException"),
    (r"security token included in the request is invalid", "UnrecognizedClientException"),
    (r"missing authentication token", "MissingAuthenticationTokenException"),
    (r"not authorized to perform", "AccessDeniedException"),
    (r"rate exceeded|too many requests", "ThrottlingException"),
    (r"does not support the selected engine|engine is not supported", "EngineNotSupportedException"),
)
_NO_AUDIO = re.compile(r"no new audio", re.IGNORECASE)
_AGAIN: frozenset[Category] = frozenset({"network", "rate", "busy", "planned_end"})
_SHOWN = 200


def named_fault(name: str, details: str) -> Fault | None:
    """What an error of this type means. None: it is not known."""
    if _NO_AUDIO.search(details):
        return _fault("planned_end", name, "Amazon Transcribe got no audio for too long", details)
    if name not in _TABLE:
        return None
    category, message = _TABLE[name]
    return _fault(category, name, message, "" if category == "auth" else details)


def explain(status: int, body: str) -> Fault | None:
    """What a refusal means. None: what its status says."""
    name, details = _told(body)
    if known := named_fault(name, details):
        return known
    for pattern, named in _WORDS:
        if re.search(pattern, details, re.IGNORECASE):
            return named_fault(named, details)
    return None


def classify(closed: Closed) -> Fault:
    """What the end of a websocket means."""
    return (explain(closed.status, closed.body) if closed.status is not None else None) or fault_of(closed)


def _told(body: str) -> tuple[str, str]:
    """The type of an error, and its words."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", body
    if not isinstance(told, Mapping):
        return "", body
    name = str(told.get("__type") or told.get("code") or "").rpartition("#")[2].partition(":")[0]
    return name, str(told.get("message") or told.get("Message") or "")


def _fault(category: Category, code: str, message: str, details: str) -> Fault:
    shown = " ".join(details.split())[:_SHOWN].rstrip(".")
    text = f"{message}: {shown}." if shown else f"{message}."
    return Fault(category=category, code=code, message=text, retryable=category in _AGAIN)
