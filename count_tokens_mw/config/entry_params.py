"""The reader of `litellm_params`: what an entry and its credential say, and what looks wrong."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, Field

from count_tokens_mw.config.litellm_keys import ADDS_TO_PROMPT, misspelt, nearest
from count_tokens_mw.config.providers import PROVIDERS
from count_tokens_mw.config.references import REFERENCE, ReferenceResolver

__all__ = ["Credential", "ParamsReader", "RawParams", "used_keys"]

_ROUTING_KEYS: Final = frozenset(
    {"custom_llm_provider", "litellm_credential_name", "model", "order", "weight"}
)
# Placeholders that another tool, or a person, was to replace.
_TEMPLATE: Final = re.compile(r"\$\{[^{}]*\}|\{\{[^{}]*\}\}|<[^<>]*>|.os\.environ/").search


def used_keys() -> frozenset[str]:
    """Return the keys of `litellm_params` that concern a count at any provider."""
    return _ROUTING_KEYS.union(*(spec.params.all_names() for spec in PROVIDERS.values()))


class Credential(BaseModel):
    """An entry of `credential_list` as it stands in the file."""

    credential_name: str
    credential_values: dict[str, Any] = Field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class RawParams:
    """An entry's own parameters, its credential's parameters, and the origin of both.

    `problem` is set if no request may use the credential.
    """

    own: Mapping[str, object]
    shared: Mapping[str, object]
    own_origins: Mapping[str, str]
    shared_origins: Mapping[str, str]
    problem: str | None = None


class ParamsReader:
    """Reader of parameters, which adds their problems to those of `values`.

    `credentials` has the entries of `credential_list` by name, each with its place in the file.
    """

    def __init__(
        self, values: ReferenceResolver, credentials: Mapping[str, tuple[str, Credential]]
    ) -> None:
        self._values = values
        self._credentials = credentials
        self._resolved_credentials: dict[str, dict[str, object]] = {}
        self._broken_credentials: set[str] = set()
        self._mistakes = _Findings()
        self._prompts = _Findings()
        self._compared: dict[str, str | None] = {}
        self._used = used_keys()

    def peek(self, litellm_params: Mapping[str, object]) -> RawParams:
        """Return the parameters of an entry as far as they can be read; no fault is a problem."""
        values = ReferenceResolver(self._values.variables)

        def resolve(data: Mapping[str, object]) -> Mapping[str, object]:
            return values.resolve_items({key: data[key] for key in self._used & data.keys()}, "")

        own = resolve(litellm_params)
        named = self._credentials.get(str(own.get("litellm_credential_name")))
        return RawParams(own, resolve(named[1].credential_values) if named else {}, {}, {})

    def read(self, litellm_params: Mapping[str, object], place: str) -> RawParams:
        """Return the parameters of an entry, with references resolved."""
        own = self._pick_used(litellm_params, place)
        origins = {key: _origin(value, f"litellm_params.{key}") for key, value in own.items()}
        resolved = self._values.resolve_items(own, place)
        self.find_templates({key: resolved[key] for key in resolved.keys() - {"model"}}, place)
        if "litellm_credential_name" not in resolved:
            return RawParams(resolved, {}, origins, {})
        name = str(resolved["litellm_credential_name"])
        if name not in self._credentials:
            near = nearest(name, self._credentials)
            self._values.problems.append(
                f"{place}.litellm_credential_name: no entry of credential_list has this name"
                + (f"; did you mean {near}?" if near else "")
            )
            return RawParams(resolved, {}, origins, {})
        shared = self._resolve_credential(name)
        # An unset reference of the credential is a problem there, and none of the entry.
        credential_place = f"{self._credentials[name][0]}.credential_values"
        self._values.unset |= {
            f"{place}.{key}" for key in shared if f"{credential_place}.{key}" in self._values.unset
        }
        source = f"credential_list ({name})"
        # Its problem is reported once, at the credential.
        broken = f"{source}: the credential has a problem; see its entry"
        problem = broken if name in self._broken_credentials else None
        return RawParams(resolved, shared, origins, dict.fromkeys(shared, source), problem)

    def find_mistakes(self, litellm_params: Mapping[str, object], place: str) -> None:
        """Add a warning for each key that is probably a mistake; no value is read."""
        self._pick_used(litellm_params, place)

    def find_templates(self, values: Mapping[str, object], place: str) -> None:
        """Add a warning for each value that still has a placeholder in it."""
        for key, value in values.items():
            if isinstance(value, Mapping):
                self.find_templates(value, f"{place}.{key}")
            elif isinstance(value, str) and _TEMPLATE(value):
                self._mistakes.add(place, key, "it still has a placeholder in it")

    def warnings(self) -> Iterator[str]:
        """Yield a warning for each key or value that is probably a mistake."""
        return self._mistakes.lines()

    def remarks(self) -> Iterator[str]:
        """Yield a warning for each key by which LiteLLM adds to a prompt what no count has."""
        return self._prompts.lines()

    def _resolve_credential(self, name: str) -> dict[str, object]:
        """Return a credential's values, which are resolved when a countable entry needs them."""
        if name not in self._resolved_credentials:
            place, credential = self._credentials[name]
            place = f"{place}.credential_values"
            used = self._pick_used(credential.credential_values, place)
            known_problems = len(self._values.problems)
            resolved = self._resolved_credentials[name] = self._values.resolve_items(used, place)
            self.find_templates(resolved, place)
            if len(self._values.problems) > known_problems:
                self._broken_credentials.add(name)
        return self._resolved_credentials[name]

    def _pick_used(self, values: Mapping[str, object], place: str) -> dict[str, object]:
        """Return the items that concern a count; an empty key counts as absent."""
        not_empty = {key: value for key, value in values.items() if value is not None}
        for key in sorted(not_empty.keys() - self._used):
            if key in ADDS_TO_PROMPT:
                self._prompts.add(place, key, "LiteLLM adds to the prompt what no count has")
            elif meant := self._misspelt(key):
                self._mistakes.add(place, key, f"unknown key; did you mean {meant}?")
        return {key: not_empty[key] for key in not_empty.keys() & self._used}

    def _misspelt(self, key: str) -> str | None:
        if key not in self._compared:
            self._compared[key] = misspelt(key, self._used)
        return self._compared[key]


class _Findings:
    """Findings at keys, of which the first place is named and the others are counted."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], list[str]] = {}

    def add(self, place: str, key: str, text: str) -> None:
        self._places.setdefault((key, text), []).append(place)

    def lines(self) -> Iterator[str]:
        for (key, text), places in self._places.items():
            more = f" (also in {len(places) - 1} more)" if len(places) > 1 else ""
            yield f"{places[0]}.{key}: {text}{more}"


def _origin(value: object, place: str) -> str:
    return value if isinstance(value, str) and value.startswith(REFERENCE) else place
