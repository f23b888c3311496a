"""The resolver of a file's values: references to variables, defaults, validation, problems."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from count_tokens_mw.config.litellm_keys import unknown_key

__all__ = ["REFERENCE", "ReferenceResolver"]

REFERENCE: Final = "os.environ/"
"""The prefix of a value that refers to an environment variable."""

M = TypeVar("M", bound=BaseModel)


class ReferenceResolver:
    """Resolver of values, with the `problems` so far, which name a place and quote no value.

    References `os.environ/NAME` are looked up in `environ`. `unset` has the places of references
    to variables that are not set.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []
        self.unset: set[str] = set()

    def load(
        self,
        model: type[M],
        data: object,
        place: str,
        complete: Callable[[Mapping[str, object]], Mapping[str, object]] = dict,
    ) -> M | None:
        """Resolve the references in data, complete it by defaults, and validate it."""
        resolved = self.resolve(data, place)
        if isinstance(resolved, Mapping):
            not_empty = {key: value for key, value in resolved.items() if value is not None}
            resolved = complete(not_empty)  # LiteLLM treats an empty key as an absent one
        return self.validate(model, resolved, place)

    def resolve(self, value: object, place: str) -> object:
        """Return the value with each `os.environ/NAME` in it replaced by the variable."""
        if isinstance(value, Mapping):
            return self.resolve_items(value, place)
        if isinstance(value, list):
            return [self.resolve(item, f"{place}.{n}") for n, item in enumerate(value)]
        if not isinstance(value, str) or not value.startswith(REFERENCE):
            return value
        name = value.removeprefix(REFERENCE)
        if name not in self.environ and place not in self.unset:
            self.problems.append(f"{place}: the environment variable {name} is not set")
            self.unset.add(place)
        return self.environ.get(name, value)

    def resolve_items(self, data: Mapping[str, object], place: str) -> dict[str, object]:
        """Return a mapping with each of its values resolved."""
        return {key: self.resolve(item, f"{place}.{key}") for key, item in data.items()}

    def validate(self, model: type[M], data: object, place: str) -> M | None:
        """Return data as a model, or None if it is invalid."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            # Without the input, because it may be a key.
            for problem in error.errors(include_input=False, include_url=False):
                key = "".join(f".{part}" for part in problem["loc"])
                text = problem["msg"].removeprefix("Value error, ")
                if problem["type"] == "extra_forbidden":
                    text = unknown_key(str(problem["loc"][-1]), model.model_fields)
                if place + key not in self.unset:
                    self.problems.append(f"{place}{key}: {text}")
            return None

    def merge(self, other: "ReferenceResolver") -> None:
        """Add another resolver's problems and unset places to these."""
        self.problems += other.problems
        self.unset |= other.unset
