"""What the vendor's refusals mean."""

from __future__ import annotations

import pytest

from voicebridge.contract.codec import Closed
from voicebridge_aws.faults import classify, explain, named_fault

REFUSALS = [
    (403, '{"message":"The security token included in the request is invalid."}', "auth", "UnrecognizedClient"),
    (403, '{"message":"The security token included in the request is expired"}', "auth", "ExpiredToken"),
    (403, '{"message":"The request signature we calculated does not match ..."}', "auth", "InvalidSignature"),
    (403, '{"message":"Signature expired: 20261124T000000Z is now earlier than"}', "auth", "RequestExpired"),
    (403, '{"message":"Missing Authentication Token"}', "auth", "MissingAuthenticationToken"),
    (403, '{"__type":"com.amazon.coral#AccessDeniedException","message":"no"}', "auth", "AccessDenied"),
    (400, '{"message":"User: x is not authorized to perform: polly:SynthesizeSpeech"}', "auth", "AccessDenied"),
    (429, '{"message":"Rate exceeded"}', "rate", "Throttling"),
    (400, '{"__type":"ThrottlingException","Message":"Rate exceeded"}', "rate", "Throttling"),
    (400, '{"message":"This voice does not support the selected engine: neural"}', "config", "EngineNotSupported"),
    (500, '{"__type":"ServiceFailureException"}', "network", "ServiceFailure"),
    (503, '{"__type":"ServiceUnavailableException:http://x/"}', "busy", "ServiceUnavailable"),
]


@pytest.mark.parametrize(("status", "body", "category", "code"), REFUSALS)
def test_a_refusal_over_http(status: int, body: str, category: str, code: str) -> None:
    fault = explain(status, body)
    assert fault is not None
    assert (fault.category, fault.retryable) == (category, category in ("rate", "network", "busy"))
    assert fault.code.startswith(code)
    assert classify(Closed(by="peer", status=status, body=body)) == fault


@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", '{"message": 3}', '{"message": "Something else"}'])
def test_what_is_not_known_is_left_to_its_status(body: str) -> None:
    assert explain(418, body) is None
    assert classify(Closed(by="peer", status=429, body=body)).category == "rate"


def test_a_stream_without_audio_has_ended_as_announced() -> None:
    words = "Your request timed out because no new audio was received for 15 seconds."
    fault = named_fault("BadRequestException", words)
    assert fault is not None
    assert (fault.category, fault.retryable) == ("planned_end", True)


def test_what_is_refused_for_its_signature_quotes_nothing() -> None:
    """The vendor answers with the request as it understood it, session token included."""
    fault = named_fault("InvalidSignatureException", "The Canonical String ... x-amz-security-token:FwoGZX")
    assert fault is not None
    assert "FwoGZX" not in fault.message
