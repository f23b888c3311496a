"""The header that names what was left out of a count."""

from urllib.parse import unquote

import pytest

from count_tokens_mw import NotFound, TokenCount
from count_tokens_mw.protocol.omissions import bound_places, encode_places
from count_tokens_mw.protocol.response import http_answer


@pytest.mark.parametrize(
    ("places", "header"),
    [
        (["tools.0.custom.strict"], "tools.0.custom.strict"),
        (["anthropic-beta:a-2025-10-19"], "anthropic-beta:a-2025-10-19"),
        (["tools.0.A_b-1", "messages.10"], "tools.0.A_b-1,messages.10"),
        (["a,b", "c+1"], "a%2Cb,c%2B1"),
        (["a b%20~/\"';=()"], "a%20b%2520%7E%2F%22%27%3B%3D%28%29"),
        (["a\r\nset-cookie: b\x00\x7f"], "a%0D%0Aset-cookie:%20b%00%7F"),
        (["é.名.\U0001f600"], "%C3%A9.%E5%90%8D.%F0%9F%98%80"),
        (["\ud800"], "%5Cud800"),
        (["+7"], "%2B7"),
        ([str(n) for n in range(16)], ",".join(map(str, range(16)))),
        ([str(n) for n in range(17)], ",".join(map(str, range(16))) + ",+1"),
        (["a"] * 16 + ["+9"], ",".join(["a"] * 16) + ",+9"),
        (["a"] * 17 + ["+9"], ",".join(["a"] * 16) + ",+2"),
        (["a" * 256] * 16 + ["+9"], f"{'a' * 256},{'a' * 256},{'a' * 256},+22"),
        (["a"] * 5000, ",".join(["a"] * 16) + ",+4984"),
        (["a" * 256] * 4, f"{'a' * 256},{'a' * 256},{'a' * 256},+1"),
        (["a" * 256] * 20, f"{'a' * 256},{'a' * 256},{'a' * 256},+17"),
        (["a" * 300, "b"], f"{'a' * 256},b"),
        (["\U0001f600" * 300, "b"], "+2"),
        (["b", "\U0001f600" * 300, "c"], "b,+2"),
    ],
)
def test_the_places_are_named_within_bounds(places: list[str], header: str) -> None:
    sent = encode_places(bound_places(places)).decode("ascii")
    assert sent == header
    assert len(sent) <= 1024


def test_each_item_reads_back_as_its_place() -> None:
    places = ["tools.0.a,b", "é%2C", "anthropic-beta:x y"]
    header = encode_places(bound_places(places)).decode("ascii")
    assert [unquote(item) for item in header.split(",")] == places


def test_the_header_is_on_counts_that_omit_something_and_on_nothing_else() -> None:
    def names(outcome: TokenCount | NotFound) -> list[bytes]:
        return [name for name, _ in http_answer(outcome, "req_1").headers]

    assert names(TokenCount(7, omitted=("a",)))[-1] == b"x-count-tokens-omitted"
    assert b"x-count-tokens-omitted" not in names(TokenCount(7))
    assert b"x-count-tokens-omitted" not in names(NotFound("model: m"))


def test_omissions_are_cut_and_the_rest_is_numbered() -> None:
    assert bound_places([]) == ()
    assert bound_places(["a" * 300]) == ("a" * 256,)
    assert bound_places(["a"] * 16) == ("a",) * 16
    assert bound_places(["a"] * 100) == (*("a",) * 16, "+84")


@pytest.mark.parametrize("number", [0, 1, 16, 17, 18, 100])
def test_what_is_bounded_stays_as_it_is(number: int) -> None:
    bounded = bound_places(["a" * 300] * number)
    assert bound_places(bounded) == bounded
