"""One line of the standard library's log for each request.

https://docs.python.org/3/library/logging.html
"""

import json
import logging
from typing import Final

from count_tokens_mw.events import CountEvent, Hook

__all__ = ["log_events", "log_fields"]

_FIELDS: Final = (
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
        line = f"count_tokens {event.status} {event.duration * 1000:.0f}ms {log_fields(event)}"
        logger.log(_level(event.status), "%s", line, extra={"count_tokens": event.as_dict()})

    return log


def log_fields(event: CountEvent) -> str:
    """Return an event as `name=value` pairs, separated by spaces, for a line of any log.

    `model` and `end_user` are the caller's own text, and `caller` is the host's: a value that could
    be taken for another pair, for several or for another line is quoted as JSON quotes a string.
    Facts that are unknown are left out. Status and duration are not among the pairs, since a line
    of an access log begins with them.
    """
    facts = {**event._asdict(), "caller": event.caller.id if event.caller else None}
    known = ((name, facts[name]) for name in _FIELDS if facts[name] is not None)
    return " ".join(f"{name}={_quote(value)}" for name, value in known)


def _level(status: int) -> int:
    if status < 400:
        return logging.INFO
    return logging.WARNING if status < 500 else logging.ERROR


def _quote(value: object) -> str:
    text = str(value)
    is_plain = text.isprintable() and not set(' ="') & set(text)
    return text if text and is_plain else json.dumps(text)
