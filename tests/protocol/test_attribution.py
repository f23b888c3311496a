"""Names by which a request is attributed, as `metadata` and its like hold them."""

import json
from typing import Any

import pytest

from count_tokens_mw.protocol.attribution import (
    long_fields,
    merge_tags,
    read_attribution,
    split_tags,
)
from count_tokens_mw.protocol.request import parse_request
from count_tokens_mw.rawjson.object import JsonObject
from count_tokens_mw.types import NOBODY, Attribution

SESSION = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def read(body: dict[str, Any]) -> Attribution:
    return read_attribution(JsonObject.parse(json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("user_id", "session"),
    [
        (f"user_ab12_account_11111111-2222-3333-4444-555555555555_session_{SESSION}", SESSION),
        (f"user_ab12_account__session_{SESSION}", SESSION),
        (f"user_a_session_b_session_{SESSION}", SESSION),
        (json.dumps({"device_id": "d", "account_uuid": "", "session_id": SESSION}), SESSION),
        (" " + json.dumps({"session_id": SESSION}), SESSION),
        ({"device_id": "d", "session_id": SESSION}, SESSION),
        ("user_ab12", None),
        ("user_ab12_session_", None),
        ("user_ab12_session_a b", None),
        ("user_ab12_session_" + "s" * 257, None),
        (json.dumps({"session_id": 7}), None),
        (json.dumps({"session_id": "line\nbreak"}), None),
        (json.dumps({"session_id": None}), None),
        (json.dumps([SESSION]), None),
        ("{" * 10_000, None),
        ("[" * 60_000, None),
        ({"session_id": ["a"]}, None),
        (7, None),
        (None, None),
    ],
)
def test_the_session_is_that_of_claude_codes_user_id(user_id: Any, session: str | None) -> None:
    assert read({"metadata": {"user_id": user_id}}).session_id == session


@pytest.mark.parametrize("name", ["metadata", "litellm_metadata"])
@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        (["a", " b ", "a"], ("a", "b")),
        (["", " ", None, 7, ["c"], "a"], ("a",)),
        ([str(number) for number in range(100)], tuple(map(str, range(16)))),
        (["t" * 1000], ("t" * 256,)),
        ("a", ()),
        ({"a": 1}, ()),
        (None, ()),
    ],
)
def test_tags_are_texts_bounded_in_number_and_length(
    name: str, tags: Any, kept: tuple[str, ...]
) -> None:
    assert read({name: {"tags": tags}}).tags == kept
    assert read({name: json.dumps({"tags": tags})}).tags == kept


def test_tags_of_several_places_are_bounded_together() -> None:
    many = [[f"{place}{number}" for number in range(12)] for place in "ab"]
    assert merge_tags(*many) == (*many[0], *many[1][:4])
    assert merge_tags(split_tags("a,b ,,c"), ("b", "d")) == ("a", "b", "c", "d")
    assert split_tags(None) == split_tags("") == []


@pytest.mark.parametrize("field", ["user", "safety_identifier"])
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (" u ", "u"),
        ("", None),
        (" ", None),
        (7, "7"),
        (7.5, "7.5"),
        (True, None),
        (None, None),
        ([1], None),
        ({"id": "u"}, None),
        ("u" * 1000, "u" * 256),
    ],
)
def test_a_name_is_text_or_a_number(field: str, value: Any, name: str | None) -> None:
    assert getattr(read({field: value}), field) == name


def test_a_body_without_a_name_shares_one_attribution() -> None:
    assert read({"model": "m", "messages": []}) is NOBODY
    assert read({"metadata": {"a": 1}}) == NOBODY


@pytest.mark.parametrize("field", ["user", "litellm_metadata", "metadata", "safety_identifier"])
@pytest.mark.parametrize("is_long", [False, True])
def test_a_field_over_64_kb_is_named_and_not_read(field: str, is_long: bool) -> None:
    value = "u" * (64 * 1024 - 2 + is_long)
    body = {"model": "m", "messages": [], field: value, "system": "more"}
    request = parse_request(json.dumps(body).encode())
    assert request.unread == ((field,) if is_long else ())
    assert long_fields(request.body) == request.unread
    is_name = field in {"user", "safety_identifier"}
    assert any(request.attribution) is (is_name and not is_long)
