"""One line of the standard library's log for each request.

https://docs.python.org/3/library/logging.html
"""

import json
import logging
from typing import Final

from count_tokens_mw.hooks import CountEvent, Hook

__all__ = ["log_events"]

_IN_THE_LINE: Final = (
    "caller",
    "end_user",
    "model",
    "provider",
    "upstream_model",
    "input_tokens",
    "source",
    "error_type",
    "error",
    "request_id",
    "upstream_request_id",
)


def log_events(logger: logging.Logger) -> Hook:
    """A hook that logs: counts at INFO, what the caller can mend at WARNING, the rest at ERROR.

    The line is for a person; the whole event is in the record's `count_tokens` (`extra`), as
    `CountEvent.as_dict` has it, for a formatter that writes JSON.
    """

    def log(event: CountEvent) -> None:
        facts = event.as_dict()
        words = [
            f"{name}={_quoted(facts[name])}" for name in _IN_THE_LINE if facts[name] is not None
        ]
        line = f"count_tokens {event.status} {event.duration * 1000:.0f}ms {' '.join(words)}"
        logger.log(_level(event.status), "%s", line, extra={"count_tokens": facts})

    return log


def _level(status: int) -> int:
    if status < 400:
        return logging.INFO
    return logging.WARNING if status < 500 else logging.ERROR


def _quoted(value: object) -> str:
    """So that no value can be taken for two facts, or for another line."""
    text = str(value)
    return text if text.isprintable() and not set(' ="') & set(text) else json.dumps(text)
