"""LiteLLM as the judge of names: both read each request alike, or the difference has a reason.

LiteLLM's answers are recorded by `make compare-requests`.
"""

from typing import Final

import pytest

from tests.facts import read_facts
from tests.facts.litellm_requests import LITELLM_REQUESTS, RequestShape, our_names, read_requests

REQUESTS: Final = read_requests()
FACTS: Final = read_facts(LITELLM_REQUESTS)
FEWEST: Final = 50
# The name that differs, by request; docs/litellm.md states both.
DIFFERENT: Final = {
    "Claude Code's user_id since 2.1.78": ["session_id"],  # LiteLLM does not read the newer form
    "tags of all three": ["tags"],  # in another order
}


def test_litellm_answered_every_request() -> None:
    names = [shape.name for shape in REQUESTS]
    assert len(names) == len(set(names)) >= FEWEST
    assert sorted(names) == sorted(FACTS["answers"])


@pytest.mark.parametrize("shape", REQUESTS, ids=lambda shape: shape.name)
async def test_a_request_is_attributed_as_by_litellm(shape: RequestShape) -> None:
    theirs, ours = FACTS["answers"][shape.name], await our_names(shape)
    different = [name for name in ours if ours[name] != theirs[name]]
    assert different == DIFFERENT.get(shape.name, [])
    assert set(ours["tags"]) == set(theirs["tags"])
    assert theirs["session_id"] in {None, ours["session_id"]}
