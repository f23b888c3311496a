"""The header that names what a count leaves out."""

import pytest

from count_tokens_mw import TokenCount
from count_tokens_mw.protocol.omissions import bound_places, encode_places
from count_tokens_mw.protocol.response import http_answer


@pytest.mark.parametrize(
    ("places", "header"),
    [
        (["tools.0.custom.eager_input_streaming"], "tools.0.custom.eager_input_streaming"),
        (["anthropic-beta:a-2025-10-19", "system.0"], "anthropic-beta:a-2025-10-19,system.0"),
        (["tools.0.a,b"], "tools.0.a%2Cb"),
        (["a b\r\nx: y"], "a%20b%0D%0Ax:%20y"),
        (["ä~/%"], "%C3%A4%7E%2F%25"),
        (["\ud800"], "%3F"),
        (["a_B.9:-"], "a_B.9:-"),
        ([f"p{n}" for n in range(16)], ",".join(f"p{n}" for n in range(16))),
        ([f"p{n}" for n in range(40)], ",".join([*(f"p{n}" for n in range(16)), "+24"])),
        (["ä" * 100] * 3, "%C3%A4" * 100 + ",+2"),
        (["ä" * 100] * 30, "%C3%A4" * 100 + ",+29"),
    ],
)
def test_places_are_encoded_within_bounds(places: list[str], header: str) -> None:
    bounded = bound_places(places)
    assert encode_places(bounded) == header
    answer = http_answer(TokenCount(14, omitted=bounded), "req_1")
    assert (b"x-count-tokens-omitted", header.encode()) in answer.headers


def test_a_place_is_cut() -> None:
    assert bound_places(["x" * 10_000]) == ("x" * 256,)


def test_without_omissions_there_is_no_header() -> None:
    names = [name for name, _ in http_answer(TokenCount(14), "req_1").headers]
    assert b"x-count-tokens-omitted" not in names
