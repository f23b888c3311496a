"""Errors are public, and survive copying, pickling and the way to another process."""

import copy
import inspect
import pickle
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Final, get_type_hints

import pytest

import count_tokens_mw
from count_tokens_mw import CountError, CountTokensError, UpstreamError
from tests.support.fakes import HELLO, FakeUpstream, count_tokens_with

# An argument for each parameter of any constructor; none is a default.
ARGUMENTS: Final[dict[str, Any]] = {
    "body": b'{"type": "error"}',
    "code": "overloaded_error",
    "error_code": "model_not_found",
    "headers": {"retry-after": "3", "request-id": "req_1"},
    "message": "It failed.",
    "problems": ["model_list[0]: unknown key", "model_list[1]: unknown key"],
    "source": "config.yaml",
    "status": 418,
}


class OverBudget(CountError):
    """An error of a host, whose constructor takes no message."""

    status = 402

    def __init__(self, *, team: str) -> None:
        super().__init__(f"{team} is over its budget.", headers={"x-team": team})
        self.team = team


def subclasses_of(error: type[CountTokensError]) -> Iterator[type[CountTokensError]]:
    for subclass in error.__subclasses__():
        yield subclass
        yield from subclasses_of(subclass)


ERRORS: Final[list[type[CountTokensError]]] = [
    CountTokensError,
    *(
        error
        for error in subclasses_of(CountTokensError)
        if error.__module__.startswith("count_tokens_mw.")  # not those that tests define
    ),
]


def example_of(error: type[CountTokensError]) -> CountTokensError:
    """Return an error with all arguments of its constructor, attributes and a note."""
    if error is CountTokensError:
        example = error("It failed.", 1)
    else:
        parameters = inspect.signature(error).parameters
        example = error(**{name: ARGUMENTS[name] for name in parameters})
    example.add_note("A note.")
    return example


def facts_of(error: BaseException) -> dict[str, Any]:
    """Return everything that a handler can read from an error."""
    public = {name: getattr(error, name) for name in dir(error) if not name.startswith("_")}
    methods = {name for name, value in public.items() if callable(value)}
    facts = {name: value for name, value in public.items() if name not in methods}
    return {**facts, "class": type(error), "text": str(error), "state": vars(error)}


EXAMPLES: Final = [*map(example_of, ERRORS), OverBudget(team="a")]
COPIES: Final[dict[str, Callable[[Any], Any]]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "oldest pickle": lambda error: pickle.loads(pickle.dumps(error, 0)),
    "newest pickle": lambda error: pickle.loads(pickle.dumps(error, pickle.HIGHEST_PROTOCOL)),
}


def raise_error(error: CountTokensError) -> None:
    """Raise in the other process what was pickled into it."""
    raise error


@pytest.fixture(scope="module")
def other_process() -> Iterator[ProcessPoolExecutor]:
    """Start a process by spawning: a fork of a process with threads is a warning."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def test_the_tree_has_all_errors() -> None:
    assert len(ERRORS) >= 18
    documented = re.findall(r"\w+", count_tokens_mw.errors.__doc__ or "")
    assert {error.__name__ for error in ERRORS} - set(documented) == set()


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_public(error: type[CountTokensError]) -> None:
    assert error.__name__ in count_tokens_mw.__all__
    assert getattr(count_tokens_mw, error.__name__) is error


def test_the_type_of_error_types_is_public() -> None:
    """A gateway annotates its own functions with it, as in `match error.type`."""
    getter = vars(CountError)["type"].fget
    assert "ErrorType" in count_tokens_mw.__all__
    assert get_type_hints(getter)["return"] == count_tokens_mw.ErrorType


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_a_copied_error_has_all_that_the_error_had(error: CountTokensError, how: str) -> None:
    assert facts_of(error)["state"], "nothing would be compared"
    assert facts_of(COPIES[how](error)) == facts_of(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_of_another_process_is_the_same(
    error: CountTokensError, other_process: ProcessPoolExecutor
) -> None:
    raised = other_process.submit(raise_error, error).exception(timeout=60)
    assert raised is not None
    assert facts_of(raised) == facts_of(error)


async def test_the_error_of_a_count_can_be_pickled(upstream: FakeUpstream) -> None:
    """Unlike the examples, its attributes come from an HTTP client."""
    body = b'{"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}'
    upstream.answers(529, body, request_id="req_upstream", x_should_retry="false")
    with pytest.raises(UpstreamError) as raised:
        await count_tokens_with(upstream).count(HELLO)
    loaded = pickle.loads(pickle.dumps(raised.value))
    assert facts_of(loaded) == facts_of(raised.value)
    assert (loaded.status, loaded.code, loaded.body) == (529, "overloaded_error", body)
    assert loaded.headers["request-id"] == "req_upstream"
