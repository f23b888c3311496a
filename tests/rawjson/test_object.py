"""`JsonObject`, the JSON object that keeps its own text."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from count_tokens_mw.rawjson import members
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
        ("", "it is not JSON: input data was truncated"),
        ("nope", "it is not JSON: invalid character (byte 4)"),
        ("[1]", "it is not an object"),
        ('"a"', "it is not an object"),
        ("{", "it is not JSON: input data was truncated"),
        ('{"a"', "it is not JSON: input data was truncated"),
        ('{"a" 1}', "it is not JSON: expected ':' (byte 5)"),
        ('{"a": 1', "it is not JSON: input data was truncated"),
        ('{"a": 1 "b": 2}', "it is not JSON: expected ',' or '}' (byte 8)"),
        ('{"a": 1,}', "it is not JSON: trailing comma in object (byte 8)"),
        ('{"a": 1} x', "it is not JSON: trailing characters (byte 10)"),
        (
            r'{"a": "\ud800", "b": "\x"}',
            "it is not JSON: invalid escaped character (byte 23)",
        ),
        (r'{"a": "\ud8"}', "it is not JSON: invalid character in unicode escape (byte 12)"),
        ('{"a": 1,\n "a": 2}', 'it has "a" twice'),
        ('{"a": 1, "b": 2, "a": 1}', 'it has "a" twice'),
        ('{"a": 1, "a": 1, "b": 1}', 'it has "a" twice'),
        ('{"a": 1, "b": 1, "b": 1, "c": 1}', 'it has "b" twice'),
        (r'{"a": 1, "\u0061": 1}', 'it has "a" twice'),
        ('{"a": Infinity}', "it is not JSON: invalid character (byte 6)"),
        ('{"a": ' + "[" * 100_000, "it is nested too deeply"),
    ],
)
def test_text_that_cannot_be_used_is_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the message is compared below
        JsonObject.parse(text.encode())
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        (rb'{"a": "\ud800", "b": [ "\uD83D" , "\udc00\\udc00", 2 ]}', {"a": "\ud800"}),
        (rb'{"\udfff" : "\ud83d\ude00"}', {"\udfff": "\U0001f600"}),
    ],
)
def test_a_lone_surrogate_is_read_and_keeps_its_text(raw: bytes, values: dict[str, Any]) -> None:
    parsed = JsonObject.parse(raw)
    assert {name: parsed.get(name) for name in values} == values
    assert parsed.edit({}) == raw.replace(b', "b"', b',"b"')
    assert [text for _, text in parsed.items("b")] == (
        [rb'"\uD83D"', rb'"\udc00\\udc00"', b"2"] if b'"b"' in raw else []
    )


MANY_MEMBERS = b"{%b}" % b",".join(b'"a%d":1' % number for number in range(1001))
DENSE_MEMBERS = b"{%b}" % b",".join(b'"%d":1' % number for number in range(50_001))


@pytest.mark.parametrize("raw", [MANY_MEMBERS, DENSE_MEMBERS])
def test_too_many_members_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="it has too many members"):
        JsonObject.parse(raw)


def test_dense_members_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would take some 230 bytes, and its text has 7."""
    monkeypatch.setattr(members, "_decode_raw_values", None)
    with pytest.raises(ValueError, match="it has too many members"):
        JsonObject.parse(DENSE_MEMBERS)


@pytest.mark.parametrize("name", ["messages", "system", "tools", "metadata"])
def test_dense_values_in_a_long_member_are_none_of_its_object(name: str) -> None:
    raw = b'{"model": "m", "%b": [%b]}' % (name.encode(), DENSE_MEMBERS)
    assert list(JsonObject.parse(raw).members) == ["model", name]


@pytest.mark.parametrize("item", [b"[],", b"{},", b"1,"])
def test_a_value_of_too_many_values_is_not_parsed(item: bytes) -> None:
    parsed = JsonObject.parse(b'{"a": [[%b1]], "b": {"x": [%b1]}}' % (item * 200_001, item * 9))
    assert parsed.get("b")
    for read in (parsed.get, parsed.items):
        with pytest.raises(ValueError, match="it has too many values"):
            read("a")


def test_punctuation_in_strings_is_no_value() -> None:
    text = json.dumps(["," * 300_000, '"[{,' * 100_000])
    assert JsonObject.parse(b'{"a": %b}' % text.encode()).get("a") == json.loads(text)


def test_a_long_name_is_refused_before_it_is_looked_for() -> None:
    for name in (b"n" * 1_000_000, b"\\n" * 1001):
        with pytest.raises(ValueError, match=r"^it has a member whose name is too long$"):
            JsonObject.parse(b'{"%b": 1, "%b": 2}' % (name, name))
    assert len(next(iter(JsonObject.parse(b'{"%b": 1}' % (b"n" * 1000)).members))) == 1000
    with pytest.raises(ValueError, match=r'^it has "n{63} twice$'):
        JsonObject.parse(b'{"%b": 1, "%b": 2}' % (b"n" * 1000, b"n" * 1000))


def test_a_value_that_python_cannot_read_is_refused_where_it_is_asked_for() -> None:
    parsed = JsonObject.parse(b'{"a": [' + b"1" * 10_000 + b'], "b": 2}')
    assert parsed.get("b") == 2
    with pytest.raises(ValueError, match="a number in it has too many digits"):
        parsed.get("a")


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    with pytest.raises(ValueError, match="it is not UTF-8"):
        JsonObject.parse(b'{"a": "\xff"}')


@settings(max_examples=30)
@given(json_objects)
def test_members_are_those_that_json_itself_reads(value: dict[str, object]) -> None:
    parsed = JsonObject.parse(json.dumps(value, indent=1).encode())
    assert parsed.value == value
    assert list(parsed.members) == list(value)


@settings(max_examples=30)
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


@settings(max_examples=30)
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
