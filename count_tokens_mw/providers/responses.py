"""From what an upstream answered to a count or an error, pure.

https://docs.claude.com/en/api/errors, https://cloud.google.com/apis/design/errors and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Final

from count_tokens_mw.errors import UpstreamError, UpstreamUnusable
from count_tokens_mw.types import TokenCount, UpstreamAnswer

__all__ = ["parse_count", "upstream_error"]

_LONGEST_MESSAGE: Final = 2000
_PASSED_ON: Final = {"retry-after", "retry-after-ms", "x-should-retry", "request-id"}
_PASSED_ON_PREFIX: Final = "anthropic-ratelimit-"
_PRINTABLE: Final = re.compile(r"[\t\x20-\x7e]*").fullmatch
_SECONDS: Final = re.compile(r"(\d{1,6}(?:\.\d+)?)s").fullmatch


def parse_count(
    provider: str, answer: UpstreamAnswer, *, field: str = "input_tokens", verbatim: bool = False
) -> TokenCount:
    """The count in an answer: a whole number that the provider itself gave, or an error.

    With the answer itself where it is in Anthropic's format, and so to be given `verbatim`.

    Raises:
        UpstreamError: the answer is an error status.
        UpstreamUnusable: neither that nor a count. Zero is never made up.
    """
    if answer.status >= 400:
        raise upstream_error(provider, answer)
    said = _json_object(answer.body) if 200 <= answer.status < 300 else {}
    count = said.get(field)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise UpstreamUnusable(
            f"{provider} answered {answer.status} without a count.", headers=_passed_on(answer)
        )
    return TokenCount(count, "provider", answer.body if verbatim else None, _passed_on(answer))


def upstream_error(provider: str, answer: UpstreamAnswer) -> UpstreamError:
    """An error status in the upstream's own words.

    Anthropic's envelope is kept byte for byte; of anything else the message is kept if it can be
    told from the rest (never a page of HTML), and the status. Google answers 400 to a key that is
    not valid, which is a 401 here, and says in the body when to try again. AWS names its exception
    in a header.
    """
    said = _json_object(answer.body)
    error = said.get("error")
    inner = error if isinstance(error, Mapping) else {}
    message, error_type = inner.get("message"), inner.get("type")
    headers = _passed_on(answer)
    if said.get("type") == "error" and isinstance(message, str) and isinstance(error_type, str):
        return UpstreamError(
            answer.status, message, headers=headers, body=answer.body, code=error_type
        )
    candidates = (message, error, *map(said.get, ("message", "Message", "detail")))
    words = next((text for text in candidates if isinstance(text, str) and text), None)
    words = words or f"{provider} answered {answer.status}."
    details = list(_details(inner))
    exception = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
    code = _first_text(details, "reason") or _first_text([inner], "status") or exception or None
    delay = _SECONDS(_first_text(details, "retryDelay") or "")
    if delay:
        headers = {"retry-after": str(math.ceil(float(delay[1]))), **headers}
    status = 401 if code == "API_KEY_INVALID" else answer.status
    return UpstreamError(status, words[:_LONGEST_MESSAGE], headers=headers, code=code)


def _details(error: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    details = error.get("details")
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, Mapping):
            yield detail


def _first_text(objects: list[Mapping[str, object]], name: str) -> str | None:
    found = (value for value in (each.get(name) for each in objects) if isinstance(value, str))
    return next(found, None)


def _passed_on(answer: UpstreamAnswer) -> Mapping[str, str]:
    passed_on = {
        name: value
        for name, value in answer.headers.items()
        if (name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIX)) and _PRINTABLE(value)
    }
    aws_id = answer.headers.get("x-amzn-requestid", "")
    return {"request-id": aws_id, **passed_on} if _PRINTABLE(aws_id) and aws_id else passed_on


def _json_object(body: bytes) -> Mapping[str, object]:
    try:
        said = json.loads(body.decode())
    except (ValueError, RecursionError):
        return {}
    if isinstance(said, list) and len(said) == 1:  # as Google's front end wraps its errors
        said = said[0]
    return said if isinstance(said, dict) else {}
