"""The resolver of a file's values: references to variables, defaults, validation, problems."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from count_tokens_mw.config.litellm_keys import unknown_key

__all__ = ["ENDLESS", "REFERENCE", "ReferenceResolver", "Variables"]

REFERENCE: Final = "os.environ/"
"""The prefix of a value that refers to an environment variable."""

ENDLESS: Final = "a YAML alias refers to itself"
"""The problem of data that contain themselves."""

M = TypeVar("M", bound=BaseModel)


class Variables(NamedTuple):
    """Variables by name: those that references name, those of defaults, and the process's alone.

    The first two differ where the file and the process have the same variable. As in LiteLLM, a
    reference is the process's, and a default the file's.
    """

    referenced: Mapping[str, str]
    defaults: Mapping[str, str]
    process: Mapping[str, str]


class ReferenceResolver:
    """Resolver of values, with the `problems` so far, which name a place and quote no value.

    `unset` has the places of references `os.environ/NAME` to variables that are not set.
    """

    def __init__(self, variables: Variables) -> None:
        self.variables = variables
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
        try:
            resolved = self.resolve(data, place)
            if isinstance(resolved, Mapping):
                not_empty = {key: value for key, value in resolved.items() if value is not None}
                resolved = complete(not_empty)  # LiteLLM treats an empty key as an absent one
            return self.validate(model, resolved, place)
        except RecursionError:
            self.problems.append(f"{place}: {ENDLESS}")
            return None

    def resolve(self, value: object, place: str) -> object:
        """Return the value with each `os.environ/NAME` in it replaced by the variable."""
        if isinstance(value, Mapping):
            return self.resolve_items(value, place)
        if isinstance(value, list):
            return [self.resolve(item, f"{place}.{n}") for n, item in enumerate(value)]
        if not isinstance(value, str) or not value.startswith(REFERENCE):
            return value
        name = value.removeprefix(REFERENCE)
        referenced = self.variables.referenced
        if name not in referenced and place not in self.unset:
            self.problems.append(f"{place}: the environment variable {name} is not set")
            self.unset.add(place)
        return referenced.get(name, value)

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
