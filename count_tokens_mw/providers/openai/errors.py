"""OpenAI's errors, pure.

https://developers.openai.com/api/docs/guides/error-codes
"""

import re
from typing import Final

from count_tokens_mw.errors import CannotCount, CountError, UpstreamError

__all__ = ["explain_error"]

# OpenAI's 401 quotes the key, with stars in the middle. Each run of characters is tried once from
# its beginning, because another server may answer with a megabyte.
_MASKED_KEY: Final = re.compile(r"(?<![^\s\"'`:])[^\s\"'`:*]*\*{3,}[^\s\"'`.,]*")
_NO_MODEL: Final = re.compile("model|deployment", re.IGNORECASE).search


def explain_error(provider: str, error: UpstreamError) -> CountError:
    """Return the error for the caller, whose message quotes no part of a key.

    A 404 or 405 that is not about the model is a server without the counting API.
    """
    if error.status in {404, 405} and not _NO_MODEL(error.message):
        return CannotCount(
            f"{provider} answered {error.status}: the server has no token counting API."
        )
    message = _MASKED_KEY.sub("…", error.message)
    body = error.body if message == error.message else None
    return UpstreamError(error.status, message, headers=error.headers, body=body, code=error.code)
