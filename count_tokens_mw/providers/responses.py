"""Parsing of an upstream's answer to a count or an error, pure.

https://docs.claude.com/en/api/errors, https://cloud.google.com/apis/design/errors,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html and
https://developers.openai.com/api/docs/guides/error-codes
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Final

from count_tokens_mw.errors import CannotCount, UpstreamError, UpstreamUnusable
from count_tokens_mw.providers.other_servers import (
    MODEL_CODES,
    SOURCE,
    is_anthropics_type,
    is_envelope,
    refuse_estimate,
    text_of_detail,
)
from count_tokens_mw.types import TokenCount, UpstreamAnswer

__all__ = ["check_server", "parse_count", "unusable_answer", "upstream_error"]

_LONGEST_MESSAGE: Final = 2000
_FORWARDED: Final = {"retry-after", "retry-after-ms", "x-should-retry", "request-id"}
# AWS's names of `request-id`, and OpenAI's.
_REQUEST_IDS: Final = ("x-amzn-requestid", "x-request-id")
_FORWARDED_PREFIX: Final = "anthropic-ratelimit-"
_PRINTABLE: Final = re.compile(r"[\t\x20-\x7e]*").fullmatch
_SECONDS: Final = re.compile(r"(\d{1,6}(?:\.\d+)?)s").fullmatch


def parse_count(
    provider: str,
    answer: UpstreamAnswer,
    *,
    field: str = "input_tokens",
    verbatim: bool = False,
    needs_source: bool = False,
) -> TokenCount:
    """Return the count in an answer; it is never estimated.

    With `verbatim`, for an answer in Anthropic's format, the result keeps the body. A LiteLLM proxy
    names the source of its count, and has to with `needs_source`.

    Raises:
        CannotCount: the source is another than a provider, or is not named and has to be.
        UpstreamError: the answer has an error status, from 400 to 599.
        UpstreamUnusable: the answer has neither an error status nor a count. A missing count is
            never taken for zero, and a zero of LiteLLM's is a missing count.
    """
    if 400 <= answer.status < 600:
        raise upstream_error(provider, answer)
    payload = _parse_object(answer.body) if 200 <= answer.status < 300 else {}
    count = payload.get(field)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < 2**63:
        raise unusable_answer(provider, answer, "without a count")
    source = payload.get(SOURCE)
    if needs_source or source is not None:
        if count == 0 and source in (None, "provider"):
            raise unusable_answer(provider, answer, "with a count of 0, which stands for none")
        refuse_estimate(source)
    return TokenCount(count, "provider", answer.body if verbatim else None, _select_headers(answer))


def check_server(provider: str, answer: UpstreamAnswer) -> None:
    """Raise an error that only servers other than Anthropic's give in Anthropic's format.

    A 404 or 405 that is not in the envelope is no answer of a counting API, unless it names the
    model. An envelope whose type is not Anthropic's gets the type that fits its status.

    Raises:
        CannotCount: the server has no counting API.
        UpstreamError: the envelope has a type of the server's own.
    """
    payload = _parse_object(answer.body) if 400 <= answer.status < 600 else {}
    error = payload.get("error")
    inner = error if isinstance(error, Mapping) else {}
    if is_envelope(payload):
        if not is_anthropics_type(inner["type"]):
            foreign = upstream_error(provider, answer)
            foreign.body = None
            raise foreign
    elif answer.status in {404, 405} and inner.get("code") not in MODEL_CODES:
        raise CannotCount(
            f"{provider} answered {answer.status}: the server has no token counting API."
        )


def unusable_answer(provider: str, answer: UpstreamAnswer, reason: str) -> UpstreamUnusable:
    """Return the error for an answer that is neither a count nor an error; it keeps headers."""
    message = f"{provider} answered {answer.status} {reason}."
    return UpstreamUnusable(message, headers=_select_headers(answer))


def upstream_error(provider: str, answer: UpstreamAnswer) -> UpstreamError:
    """Return an error status as an error with the upstream's own message.

    Anthropic's envelope stays byte-identical. Any other body is reduced to its status and its
    message, if it is JSON with one. Google answers 400 to an invalid key, which becomes a 401, and
    puts the retry delay in the body. AWS names its exception in a header, and OpenAI its error in
    `code`.
    """
    payload = _parse_object(answer.body)
    error = payload.get("error")
    inner = error if isinstance(error, Mapping) else {}
    message, error_type = inner.get("message"), inner.get("type")
    headers = _select_headers(answer)
    if is_envelope(payload):
        return UpstreamError(
            answer.status, str(message), headers=headers, body=answer.body, code=str(error_type)
        )
    candidates = (message, error, *map(payload.get, ("message", "Message", "detail")))
    text = next((text for text in candidates if isinstance(text, str) and text), None)
    text = text or text_of_detail(payload.get("detail")) or f"{provider} answered {answer.status}."
    details = list(_iterate_details(inner))
    exception = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
    code = _first_text(details, "reason") or _first_text([inner], "status") or exception or None
    code = code or _name_of(inner)
    delay = _SECONDS(_first_text(details, "retryDelay") or "")
    if delay:
        headers = {"retry-after": str(math.ceil(float(delay[1]))), **headers}
    status = 401 if code == "API_KEY_INVALID" else answer.status
    code = code or _first_text([payload], "type")  # SGLang's, beside the message
    return UpstreamError(status, text[:_LONGEST_MESSAGE], headers=headers, code=code)


def _iterate_details(error: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    details = error.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, Mapping):
            yield detail


def _name_of(error: Mapping[str, object]) -> str | None:
    """Return OpenAI's name of an error, whose `code` may be a status in its place."""
    code = _first_text([error], "code") or ""
    return _first_text([error], "type") if code.isdecimal() or not code else code


def _first_text(objects: list[Mapping[str, object]], name: str) -> str | None:
    values = (value.get(name) for value in objects)
    return next((value for value in values if isinstance(value, str)), None)


def _select_headers(answer: UpstreamAnswer) -> Mapping[str, str]:
    forwarded = {
        name: value
        for name, value in answer.headers.items()
        if (name in _FORWARDED or name.startswith(_FORWARDED_PREFIX)) and _PRINTABLE(value)
    }
    ids = (answer.headers.get(name, "") for name in _REQUEST_IDS)
    other_id = next((other_id for other_id in ids if other_id and _PRINTABLE(other_id)), None)
    return {"request-id": other_id, **forwarded} if other_id else forwarded


def _parse_object(body: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(body.decode())
    except (ValueError, RecursionError):
        return {}
    if isinstance(value, list) and len(value) == 1:  # Google's front end wraps its errors in a list
        value = value[0]
    return value if isinstance(value, dict) else {}
