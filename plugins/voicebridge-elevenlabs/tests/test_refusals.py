"""What the vendor means by its errors, wherever they stand."""

from __future__ import annotations

import json

import pytest

from voicebridge.contract.codec import Closed
from voicebridge_elevenlabs.refusals import explain, fault_of_close, fault_of_message


@pytest.mark.parametrize(
    ("status", "body", "category", "code"),
    [
        (401, {"detail": {"status": "quota_exceeded", "message": "none left"}}, "quota", "quota_exceeded"),
        (401, {"detail": {"status": "invalid_api_key", "message": "no"}}, "auth", "invalid_api_key"),
        (429, {"detail": {"status": "too_many_concurrent_requests"}}, "rate", "too_many_concurrent_requests"),
        (429, {"detail": {"status": "system_busy"}}, "busy", "system_busy"),
        (404, {"detail": {"status": "voice_not_found"}}, "config", "voice_not_found"),
        (422, {"detail": [{"loc": ["body", "text"], "msg": "field required"}]}, "config", "http_422"),
    ],
    ids=["quota", "key", "rate", "busy", "voice", "invalid"],
)
def test_a_refusal_is_what_its_body_says(status: int, body: object, category: str, code: str) -> None:
    fault = explain(status, json.dumps(body))
    assert fault is not None
    assert (fault.category, fault.code) == (category, code)
    assert fault.retryable == (category in ("rate", "busy"))


@pytest.mark.parametrize("body", ["", "no json", "[]", '{"detail": "text"}', '{"detail": {"status": "new"}}', "null"])
def test_what_the_body_does_not_say_the_common_table_does(body: str) -> None:
    assert explain(500, body) is None


@pytest.mark.parametrize(
    ("closed", "category"),
    [
        (Closed(by="peer", code=1008, reason="Have not received a new text input within the timeout"), "planned_end"),
        (Closed(by="peer", code=1008, reason="This request exceeds your quota"), "quota"),
        (Closed(by="peer", code=1008, reason="Too many concurrent connections"), "rate"),
        (Closed(by="peer", code=1008, reason="A voice with this id does not exist"), "config"),
        (Closed(by="peer", code=1008, reason=""), "auth"),
        (Closed(by="peer", code=1011, reason="oops"), "network"),
        (Closed(by="peer", status=401, body='{"detail": {"status": "quota_exceeded", "message": "x"}}'), "quota"),
        (Closed(by="peer", status=403), "auth"),
        (Closed(by="nobody", problem="reset"), "network"),
    ],
    ids=["idle", "quota", "rate", "voice", "no-reason", "failed", "refused", "forbidden", "lost"],
)
def test_a_close_is_what_its_reason_says(closed: Closed, category: str) -> None:
    assert fault_of_close(closed).category == category


def test_an_error_that_nobody_knows_is_told_as_it_is() -> None:
    fault = fault_of_message({"error": "brand_new", "message": "The moon is full."})
    assert fault is not None
    assert (fault.category, fault.code) == ("protocol", "brand_new")
    assert fault.message == "ElevenLabs reports an error: The moon is full."
    assert fault_of_message({"audio": None, "error": None}) is None
