"""Values of a file: references resolved, defaults added, validated; and what is wrong with them."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from count_tokens_mw.config.litellm_keys import unknown_key

__all__ = ["REFERENCE", "ReferenceResolver"]

REFERENCE: Final = "os.environ/"
"""How a value that is a reference to a variable begins."""

M = TypeVar("M", bound=BaseModel)


class ReferenceResolver:
    """Reads single values, and gathers `problems`: each names the place and quotes no value.

    References `os.environ/NAME` are looked up in `environ`; `unset` are the places of those that
    are not there.
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
        """Data with its references resolved, completed by defaults, and validated."""
        resolved = self.resolve(data, place)
        if isinstance(resolved, Mapping):
            given = {key: value for key, value in resolved.items() if value is not None}
            resolved = complete(given)  # a key that is left empty is a key that is not there
        return self.validate(model, resolved, place)

    def resolve(self, value: object, place: str) -> object:
        """The value with each `os.environ/NAME` in it replaced by that variable."""
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
        """The same for each value of a mapping."""
        return {key: self.resolve(item, f"{place}.{key}") for key, item in data.items()}

    def validate(self, model: type[M], data: object, place: str) -> M | None:
        """Data as a model; None if it is not one."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            # Without the input: it may be a key.
            for problem in error.errors(include_input=False, include_url=False):
                key = "".join(f".{part}" for part in problem["loc"])
                words = problem["msg"].removeprefix("Value error, ")
                if problem["type"] == "extra_forbidden":
                    words = unknown_key(str(problem["loc"][-1]), model.model_fields)
                if place + key not in self.unset:
                    self.problems.append(f"{place}{key}: {words}")
            return None

    def merge(self, other: "ReferenceResolver") -> None:
        """Make what another one gathered a part of this."""
        self.problems += other.problems
        self.unset |= other.unset
