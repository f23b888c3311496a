"""Names by which a request is attributed: its end user, its session and its tags.

They are read as LiteLLM reads them: https://docs.litellm.ai/docs/proxy/customers
"""

import json
import re
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import Final

from count_tokens_mw.rawjson.object import JsonObject
from count_tokens_mw.types import NOBODY, Attribution

__all__ = ["TAGS_HEADER", "long_fields", "merge_tags", "read_attribution", "split_tags"]

TAGS_HEADER: Final = "x-litellm-tags"
"""The header of comma-separated tags."""

_FIELDS: Final = ("user", "litellm_metadata", "metadata", "safety_identifier")
_MAX_BYTES: Final = 64 * 1024
_MAX_NAME: Final = 256
_MOST_TAGS: Final = 16
_SESSION_MARK: Final = "_session_"
_SESSION: Final = re.compile(r"[A-Za-z0-9_-]{1,256}").fullmatch


def read_attribution(body: JsonObject) -> Attribution:
    """Return the names in a body, from fields of 64 KB at most.

    The end user is OpenAI's `user`, else `litellm_metadata.user`, else Anthropic's
    `metadata.user_id`. The two objects may be JSON text. The tags are those of both objects.

    Raises:
        ValueError: Python cannot read a value; the message gives the reason.
    """
    if body.members.keys().isdisjoint(_FIELDS):
        return NOBODY
    of_litellm = _to_mapping(_read_short(body, "litellm_metadata"))
    metadata = _to_mapping(_read_short(body, "metadata"))
    user_id = metadata.get("user_id")
    users = (_read_short(body, "user"), of_litellm.get("user"), user_id)
    return Attribution(
        next((name for name in map(_to_name, users) if name), None),
        _to_name(_read_short(body, "safety_identifier")),
        _session_in(user_id),
        merge_tags(_to_list(of_litellm.get("tags")), _to_list(metadata.get("tags"))),
    )


def long_fields(body: JsonObject) -> tuple[str, ...]:
    """Return the fields with names that have more than 64 KB and are not read."""
    if len(body.raw) <= _MAX_BYTES:
        return ()
    members = ((name, body.member(name)) for name in _FIELDS)
    return tuple(name for name, at in members if at is not None and len(at) > _MAX_BYTES)


def split_tags(header: str | None) -> list[str]:
    """Return the tags of a header, which separates them by commas."""
    return header.split(",") if header else []


def merge_tags(*lists: Iterable[object]) -> tuple[str, ...]:
    """Return the first 16 tags without repetitions, each cut to 256 characters.

    White space around a tag is stripped. An item that is empty or no text is skipped.
    """
    texts = (item.strip() for item in chain(*lists) if isinstance(item, str))
    cut = (text[:_MAX_NAME] for text in texts if text)
    return tuple(islice(dict.fromkeys(cut), _MOST_TAGS))


def _read_short(body: JsonObject, name: str) -> object:
    member = body.member(name)
    return None if member is None or len(member) > _MAX_BYTES else member.value


def _to_name(value: object) -> str | None:
    """Return the name that a value is: text or a number, and neither a boolean nor a structure."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return value.strip()[:_MAX_NAME] or None if isinstance(value, str) else None


def _to_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _to_mapping(value: object) -> Mapping[str, object]:
    """Return an object, which may be given as JSON text; any other value is an empty one."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _session_in(user_id: object) -> str | None:
    """Return the session id in Claude Code's `metadata.user_id`, or None.

    Up to 2.1.77 it is `user_{device}_account_{uuid}_session_{uuid}`, then an object as JSON text:
    `{"device_id": ..., "account_uuid": ..., "session_id": ...}`.
    """
    session: object = None
    if isinstance(user_id, str) and _SESSION_MARK in user_id:
        session = user_id.rpartition(_SESSION_MARK)[2]
    elif isinstance(user_id, str | dict):
        session = _to_mapping(user_id).get("session_id")
    return session if isinstance(session, str) and _SESSION(session) else None
