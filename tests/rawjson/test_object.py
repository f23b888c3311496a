"""`JsonObject`, the JSON object that keeps its own text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from count_tokens_mw.rawjson.object import JsonObject

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
json_objects = st.dictionaries(st.text(), json_values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value at line 1, column 1"),
        ("nope", "Expecting value at line 1, column 1"),
        ("[1]", "it is not an object"),
        ("{", "Expecting property name enclosed in double quotes at line 1, column 2"),
        ('{"a"', "Expecting ':' delimiter at line 1, column 5"),
        ('{"a" 1}', "Expecting ':' delimiter at line 1, column 6"),
        ('{"a":', "Expecting value at line 1, column 6"),
        ('{"a": 1', "Expecting ',' or '}' at line 1, column 8"),
        ('{"a": 1 "b": 2}', "Expecting ',' or '}' at line 1, column 9"),
        ('{"a": 1,}', "Expecting property name enclosed in double quotes at line 1, column 9"),
        ('{"a": 1} x', "Extra data at line 1, column 10"),
        ('{"a": 1,\n "a": 2}', 'it has "a" twice'),
        ('{"a": Infinity}', "Infinity is not JSON"),
        ('{"a": ' + "[" * 100_000, "it is nested too deeply"),
    ],
)
def test_text_that_cannot_be_used_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the message is compared below
        JsonObject.parse(text.encode())
    assert str(raised.value) == message


def test_a_value_that_python_cannot_read_is_refused_where_it_is_asked_for() -> None:
    parsed = JsonObject.parse(b'{"a": [' + b"1" * 10_000 + b'], "b": 2}')
    assert parsed.get("b") == 2
    with pytest.raises(ValueError, match="a number in it has too many digits"):
        parsed.get("a")


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    with pytest.raises(ValueError, match="it is not UTF-8"):
        JsonObject.parse(b'{"a": "\xff"}')


@given(json_objects)
def test_members_are_those_that_json_itself_reads(value: dict[str, object]) -> None:
    parsed = JsonObject.parse(json.dumps(value, indent=1).encode())
    assert parsed.value == value
    assert list(parsed.members) == list(value)


@given(json_objects, json_objects, st.sets(st.text()))
def test_edits_find_their_place_in_text_that_is_no_ascii(
    value: dict[str, object], replace: dict[str, object], drop: set[str]
) -> None:
    """Both parsers are tested: msgspec rejects a lone surrogate, `json` accepts it."""
    text = json.dumps(value, ensure_ascii=False, separators=(" , ", " : ")).encode()
    lone = text[:-1] + b"," + b'"lone one":"\\ud800"}'
    for raw in (text, lone if value else b'{"lone one":"\\ud800"}'):
        edited = json.loads(JsonObject.parse(raw).edit(replace, drop))  # type: ignore[arg-type]
        kept = {name: item for name, item in json.loads(raw).items() if name not in drop}
        assert edited == {**kept, **replace}


@pytest.mark.parametrize("member", ['"a": 1, "a": 22', '"a": {"k":1  ,  "b":  2}, "b": 2, "a": 1'])
def test_a_name_that_is_there_twice_is_found_wherever_it_is(member: str) -> None:
    with pytest.raises(ValueError, match='it has "a" twice'):
        JsonObject.parse(b"{" + member.encode() + b"}")


@given(json_objects, json_objects, st.sets(st.text()))
def test_an_edited_object_is_the_same_but_for_the_edits(
    value: dict[str, object], replace: dict[str, object], drop: set[str]
) -> None:
    parsed = JsonObject.parse(json.dumps(value).encode())
    edited = json.loads(parsed.edit(replace, drop))  # type: ignore[arg-type]
    kept = {name: item for name, item in value.items() if name not in drop}
    assert edited == {**kept, **replace}
    assert list(edited) == list({**kept, **replace})


def test_what_is_not_edited_keeps_its_own_words() -> None:
    text = ' { "a" : 1.50E+2 , "b":{"x":1, "x":2} ,"c": "\\u00e9\\/" }\n'
    edited = JsonObject.parse(text.encode()).edit({"d": None}, drop={"b"})
    assert edited == b'{"a" : 1.50E+2,"c": "\\u00e9\\/","d":null}'


def test_a_member_that_is_not_there_is_none() -> None:
    assert JsonObject.parse(b"{}").get("model") is None


def test_nothing_of_the_text_shows_in_repr() -> None:
    assert "secret" not in repr(JsonObject.parse(b'{"system": "secret"}'))
