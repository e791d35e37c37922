"""What the vendor means by its refusals."""

from __future__ import annotations

import pytest

from voicebridge_azure.refusals import explain


@pytest.mark.parametrize(
    ("status", "body", "category", "message"),
    [
        (400, "Unsupported voice x.", "config", "setting: Unsupported voice x."),
        (401, '{"error": {"code": "401", "message": "Access denied."}}', "auth", "region: Access denied."),
        (401, "", "auth", "in this region."),
        (403, '{"error": {"code": "403", "message": "Out of call volume quota."}}', "quota", "used up: Out of"),
        (403, "<html>no</html>", "auth", "in this region."),
        (413, "", "config", "too long"),
        (429, '{"error": "slow down"}', "rate", "right now: slow down."),
        (502, "{broken", "network", "failed."),
    ],
    ids=["voice", "key", "bare", "quota", "html", "long", "rate", "gateway"],
)
def test_a_refusal_is_what_it_says(status: int, body: str, category: str, message: str) -> None:
    fault = explain(status, body)
    assert fault is not None
    assert (fault.category, fault.code) == (category, f"http_{status}")
    assert message in fault.message
    assert fault.retryable == (category in ("rate", "network"))


def test_what_is_not_ours_the_common_table_knows() -> None:
    assert explain(500, "oops") is None
    assert explain(404, "{}") is None
