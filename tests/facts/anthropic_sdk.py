"""Facts about the Messages API, from the parameter types of the installed `anthropic` SDK."""

from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final, get_args

from typing_extensions import get_type_hints, is_typeddict

from tests.facts import Facts

__all__ = ["describe_types", "generate"]

_PACKAGE: Final = "anthropic"
_DISCRIMINATORS: Final = ("role", "type")


def generate() -> Facts:
    """Return the facts of the installed SDK.

    `only_creating` has the fields that creating a message takes and counting does not; `types` has
    every type of the counting API's beta body.
    """
    creating = {twin: _fields_of(_load(twin, "MessageCreateParams")) for twin in ("", "beta.")}
    counting = {twin: _fields_of(_load(twin, "MessageCountTokensParams")) for twin in creating}
    messages = import_module("anthropic.resources.messages.messages")
    return {
        "package": _PACKAGE,
        "version": version(_PACKAGE),
        "creating": {_name_of_twin(twin): sorted(names) for twin, names in creating.items()},
        "counting": {_name_of_twin(twin): sorted(names) for twin, names in counting.items()},
        "only_creating": sorted(set().union(*creating.values()) - set().union(*counting.values())),
        "types": describe_types(_load("beta.", "MessageCountTokensParams")),
        "betas": _literals_of(import_module("anthropic.types").AnthropicBetaParam),
        "models": _literals_of(import_module("anthropic.types").Model),
        "deprecated_models": dict(getattr(messages, "DEPRECATED_MODELS", {})),
    }


def describe_types(root: type) -> dict[str, Any]:
    """Return the root's type and every `TypedDict` below it, at any depth.

    A type has the values of its discriminators and, for each field, the types that the field may
    hold. Types of one name are prefixed with their module's.
    """
    hints: dict[type, dict[str, Any]] = {}
    pending = [root]
    while pending:
        kind = pending.pop()
        if kind not in hints:
            hints[kind] = get_type_hints(kind)
            pending += _typed_dicts_of(hints[kind].values())
    names = _names_of(hints)
    return {names[kind]: _describe(fields, names) for kind, fields in hints.items()}


def _describe(hints: dict[str, Any], names: dict[type, str]) -> dict[str, Any]:
    return {
        "discriminator": {
            name: _literals_of(hints[name]) for name in _DISCRIMINATORS if name in hints
        },
        "fields": {
            name: sorted({names[kind] for kind in _typed_dicts_of([hint])})
            for name, hint in hints.items()
        },
    }


def _names_of(kinds: Iterable[type]) -> dict[type, str]:
    uses = Counter(kind.__name__ for kind in kinds)
    return {
        kind: kind.__name__
        if uses[kind.__name__] == 1
        else f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
        for kind in kinds
    }


def _load(twin: str, name: str) -> Any:
    """Return a type of the body from the plain API or from its beta twin."""
    module = {"MessageCreateParams": "create", "MessageCountTokensParams": "count_tokens"}[name]
    return getattr(import_module(f"anthropic.types.{twin}message_{module}_params"), name)


def _name_of_twin(twin: str) -> str:
    return twin.rstrip(".") or "plain"


def _fields_of(params: Any) -> set[str]:
    """Return the fields of a `TypedDict`, or of all in a union, with the inherited ones."""
    return {name for kind in _typed_dicts_of([params]) for name in get_type_hints(kind)}


def _typed_dicts_of(hints: Iterable[object]) -> list[type]:
    """Return each `TypedDict` in the hints; the SDK's answer models beside them are left out."""
    return [
        part
        for hint in hints
        for part in _parts_of(hint)
        if isinstance(part, type) and is_typeddict(part)
    ]


def _literals_of(hint: object) -> list[str]:
    # A resolved hint has no other strings than the values of its literals.
    return sorted({part for part in _parts_of(hint) if isinstance(part, str)})


def _parts_of(hint: object) -> Iterator[object]:
    yield hint
    for part in get_args(hint):
        yield from _parts_of(part)
