"""Parsing of the answers of every kind of upstream."""

from typing import Any

import pytest

from count_tokens_mw import UpstreamError, UpstreamUnusable
from count_tokens_mw.providers.responses import parse_count, upstream_error
from count_tokens_mw.types import UpstreamAnswer

REASON = b"""{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
 "status": "INVALID_ARGUMENT", "details": [
  {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
   "domain": "googleapis.com"}]}}"""
EXHAUSTED = b"""{"error": {"code": 429, "message": "Quota exceeded.",
 "status": "RESOURCE_EXHAUSTED", "details": ["odd",
  {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "16.2s"}]}}"""
WRAPPED = b'[{"error": {"code": 404, "message": "Not found.", "status": "NOT_FOUND"}}]'
ODD = b'{"error": {"message": 7, "status": ["x"], "details": {"reason": "API_KEY_INVALID"}}}'


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, REASON, (401, "authentication_error", "API_KEY_INVALID", None)),
        (429, EXHAUSTED, (429, "rate_limit_error", "RESOURCE_EXHAUSTED", "17")),
        (404, WRAPPED, (404, "not_found_error", "NOT_FOUND", None)),
        (400, ODD, (400, "invalid_request_error", None, None)),
        (
            403,
            b'{"error": {"code": 403, "message": "Denied", "status": "PERMISSION_DENIED"}}',
            (403, "permission_error", "PERMISSION_DENIED", None),
        ),
        (
            401,
            b'{"error": {"code": 401, "message": "Bad token", "status": "UNAUTHENTICATED"}}',
            (401, "authentication_error", "UNAUTHENTICATED", None),
        ),
        (
            503,
            b'{"error": {"code": 503, "message": "Busy", "status": "UNAVAILABLE"}}',
            (503, "api_error", "UNAVAILABLE", None),
        ),
        (
            504,
            b'{"error": {"code": 504, "message": "Late", "status": "DEADLINE_EXCEEDED"}}',
            (504, "timeout_error", "DEADLINE_EXCEEDED", None),
        ),
    ],
)
def test_googles_errors_keep_status_message_and_code(
    status: int, body: bytes, expected: tuple[Any, ...]
) -> None:
    error = upstream_error("gemini", UpstreamAnswer(status, {}, body))
    assert (error.status, error.type, error.code, error.headers.get("retry-after")) == expected
    assert error.body is None


def test_the_message_is_googles_own() -> None:
    error = upstream_error("gemini", UpstreamAnswer(400, {}, REASON))
    assert error.message == "API key not valid. Please pass a valid API key."


def test_a_retry_after_header_wins_over_the_delay_in_the_body() -> None:
    error = upstream_error("gemini", UpstreamAnswer(429, {"retry-after": "3"}, EXHAUSTED))
    assert error.headers["retry-after"] == "3"


@pytest.mark.parametrize(
    "body", [b"{}", b'{"totalBillableCharacters": 5}', b'{"totalTokens": "7"}']
)
def test_a_missing_total_is_not_taken_for_zero(body: bytes) -> None:
    with pytest.raises(UpstreamUnusable):
        parse_count("gemini", UpstreamAnswer(200, {}, body), field="totalTokens")


def test_an_error_status_is_an_error_whatever_stands_in_the_body() -> None:
    with pytest.raises(UpstreamError):
        parse_count("gemini", UpstreamAnswer(500, {}, b'{"totalTokens": 7}'), field="totalTokens")
