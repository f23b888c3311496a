"""A hook that logs one line per request with the standard library.

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
    "tags",
    "model",
    "deployment",
    "provider",
    "upstream_model",
    "attempts",
    "input_tokens",
    "source",
    "omitted",
    "unread",
    "error_type",
    "error",
    "request_id",
    "upstream_request_id",
)


def log_events(logger: logging.Logger) -> Hook:
    """Return a hook that logs a count at INFO, a 4xx at WARNING and any other error at ERROR.

    The line is for people. For a JSON formatter, the record's `count_tokens` (`extra`) is the whole
    event as `CountEvent.as_dict` returns it.
    """

    def log(event: CountEvent) -> None:
        line = f"count_tokens {event.status} {event.duration * 1000:.0f}ms {log_fields(event)}"
        logger.log(_level_of(event.status), "%s", line, extra={"count_tokens": event.as_dict()})

    return log


def log_fields(event: CountEvent) -> str:
    """Return an event as `name=value` pairs, separated by spaces, for a line of any log.

    `model`, `end_user`, `tags` and `omitted` are the caller's own text, and `caller` is the host's.
    A value that could forge a pair or a line is quoted as a JSON string, as is a tag with a comma
    among other tags. Unknown fields are left out, and so are an empty list and the number of
    `attempts` if there was one. Status and duration are no pairs, because a line of an access log
    begins with them.
    """
    caller = event.caller.id if event.caller else None
    lists = {name: ",".join(getattr(event, name)) or None for name in ("omitted", "unread")}
    lists["tags"] = (
        ",".join(tag if "," not in tag else json.dumps(tag) for tag in event.tags) or None
    )
    attempts = len(event.attempts) if len(event.attempts) > 1 else None
    fields = {**event._asdict(), "caller": caller, "attempts": attempts, **lists}
    known = ((name, fields[name]) for name in _FIELDS if fields[name] is not None)
    return " ".join(f"{name}={_quote(value)}" for name, value in known)


def _level_of(status: int) -> int:
    if status < 400:
        return logging.INFO
    return logging.WARNING if status < 500 else logging.ERROR


def _quote(value: object) -> str:
    text = str(value)
    is_plain = text.isprintable() and not set(' ="') & set(text)
    return text if text and is_plain else json.dumps(text)
