"""What the vendor means by its refusals."""

from __future__ import annotations

import json

import pytest

from voicebridge_google.refusals import explain


@pytest.mark.parametrize(
    ("status", "name", "category", "retryable"),
    [
        (401, "UNAUTHENTICATED", "auth", False),
        (403, "PERMISSION_DENIED", "auth", False),
        (400, "INVALID_ARGUMENT", "config", False),
        (404, "NOT_FOUND", "config", False),
        (429, "RESOURCE_EXHAUSTED", "rate", True),
        (503, "UNAVAILABLE", "busy", True),
        (500, "INTERNAL", "network", True),
        (501, "UNIMPLEMENTED", "unsupported", False),
    ],
    ids=lambda value: str(value),
)
def test_a_refusal_is_what_its_status_says(status: int, name: str, category: str, retryable: bool) -> None:
    fault = explain(status, json.dumps({"error": {"code": status, "status": name, "message": "why \n not."}}))
    assert fault is not None
    assert (fault.category, fault.code, fault.retryable) == (category, name.lower(), retryable)
    assert fault.message.endswith(": why not.")


@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", "{}", '{"error": "x"}', '{"error": {"status": "NEW"}}'])
def test_what_the_body_does_not_say_the_common_table_does(body: str) -> None:
    assert explain(500, body) is None
