"""Each field of the events has its own entry in the docstring, with its unit and its None."""

import ast
import inspect
import re
from types import NoneType
from typing import Any, Final, get_args, get_type_hints

import pytest

import count_tokens_mw
from count_tokens_mw import Attempt, CountEvent

EVENTS: Final[list[type[Any]]] = [CountEvent, Attempt]
FIELDS: Final = [
    pytest.param(event, name, kind, id=f"{event.__name__}.{name}")
    for event in EVENTS
    for name, kind in get_type_hints(event).items()
]


def entries_of(docstring: str) -> list[tuple[str, str]]:
    """Return the names and texts of a docstring's section `Attributes`, each text on one line."""
    section = inspect.cleandoc(docstring).partition("\nAttributes:\n")[2].partition("\n\n")[0]
    _, *entries = re.split(r"^ {4}(\w+): ", section, flags=re.MULTILINE)
    texts = (" ".join(text.split()) for text in entries[1::2])
    return list(zip(entries[::2], texts, strict=True))


def types_of(event: type[object]) -> set[str]:
    """Return the names of classes and aliases that the fields' annotations use."""
    (tree,) = ast.parse(inspect.getsource(event)).body
    annotations = [node.annotation for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)]
    nodes = [node for annotation in annotations for node in ast.walk(annotation)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return {name for name in names if name[0].isupper()}


@pytest.mark.parametrize("event", EVENTS)
def test_every_field_is_documented_once_and_in_order(event: Any) -> None:
    assert [name for name, _ in entries_of(event.__doc__)] == list(event._fields)


@pytest.mark.parametrize(("event", "name", "kind"), FIELDS)
def test_a_field_is_documented_with_its_unit_and_its_none(event: Any, name: str, kind: Any) -> None:
    text = dict(entries_of(event.__doc__))[name]
    assert text.endswith(".")
    assert ("None" in text) == (NoneType in get_args(kind))
    assert ("seconds" in text) == (kind is float)


@pytest.mark.parametrize(
    ("event", "types"),
    [(CountEvent, {"Attempt", "Caller", "EntryPoint", "Source"}), (Attempt, {"Source"})],
)
def test_the_types_of_the_fields_are_public(event: type[object], types: set[str]) -> None:
    assert types_of(event) == types
    assert types <= set(count_tokens_mw.__all__)
