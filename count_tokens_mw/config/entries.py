"""From one entry of `model_list` to a deployment."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field

from count_tokens_mw.config.fields import Duration
from count_tokens_mw.config.litellm_keys import ignored_params, is_ignored, nearest, unknown_key
from count_tokens_mw.config.model_names import ANY_PROVIDER, may_count, provider_of
from count_tokens_mw.config.models import PASSTHROUGH_ID, Deployment
from count_tokens_mw.config.params.anthropic import AnthropicParams, AzureParams
from count_tokens_mw.config.params.base import Params
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.config.params.google import GeminiParams, VertexParams
from count_tokens_mw.config.references import REFERENCE, ReferenceResolver

__all__ = ["Credential", "EntryReader"]

_PARAMS: Final[Mapping[str, type[Params]]] = {
    "anthropic": AnthropicParams,
    "azure_ai": AzureParams,
    "bedrock": BedrockParams,
    "gemini": GeminiParams,
    "vertex_ai": VertexParams,
}
_OURS: Final = frozenset(
    {"custom_llm_provider", "litellm_credential_name", "model", "order", "weight"}
).union(*(params.names(field) for params in _PARAMS.values() for field in params.model_fields))
_REGION: Final = {"bedrock": "aws_region_name", "vertex_ai": "vertex_count_tokens_location"}


class _CountModel(BaseModel):
    model: str = Field(min_length=1)
    region: str | None = None


def _count_model(value: object) -> object:
    return {"model": value} if isinstance(value, str) else value


class _Info(BaseModel):
    """What of `model_info` concerns a count."""

    id: str | int | None = None
    supported_environments: list[str] | None = None
    order: int | None = None
    base_model: str | None = None
    token_count_model: Annotated[_CountModel, BeforeValidator(_count_model)] | None = None


class _Routing(BaseModel):
    order: int | None = None
    weight: Duration | None = None


class _Entry(BaseModel):
    model_name: str = Field(min_length=1)
    litellm_params: dict[str, Any] = Field(repr=False)
    model_info: dict[str, Any] | None = None


class Credential(BaseModel):
    """One entry of `credential_list` as it stands in the file."""

    credential_name: str
    credential_values: dict[str, Any] = Field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class _Given:
    """An entry's own parameters, those of its credential, and where each of them is from."""

    own: Mapping[str, object]
    shared: Mapping[str, object]
    own_origins: Mapping[str, str]
    shared_origins: Mapping[str, str]


class EntryReader:
    """Reads entries; what is wrong with them is gathered in `values`.

    `credentials` are those of `credential_list` by name, each with its place in the file.
    """

    def __init__(
        self, values: ReferenceResolver, credentials: Mapping[str, tuple[str, Credential]]
    ) -> None:
        self._values = values
        self._credentials = credentials
        self._resolved_credentials: dict[str, dict[str, object]] = {}
        self._broken_credentials: set[str] = set()
        self._unknown: dict[str, list[str]] = {}
        self._ids = {PASSTHROUGH_ID: "the pass-through"}

    def deployments(self, items: Iterable[tuple[str, object]]) -> Iterator[Deployment]:
        """The deployments of entries that each come with their place.

        What is wrong with one is its `problem` too. One that is not meant for this
        LITELLM_ENVIRONMENT is left out.
        """
        for index, (place, data) in enumerate(items):
            entry = self._values.validate(_Entry, data, place)
            if entry is None:
                continue
            place_and_name = f"{place} ({entry.model_name})"
            known_problems = len(self._values.problems)
            try:
                found = self._deployment(index, entry, place_and_name)
            except RecursionError:
                self._values.problems.append(f"{place_and_name}: an alias refers to itself")
                found = None
            problems = self._values.problems[known_problems:]
            if found is not None and problems:
                words = (problem.removeprefix(f"{place_and_name}: ") for problem in problems)
                found = found.model_copy(update={"problem": "; ".join(words)})
            if found is not None:
                yield found

    def warnings(self) -> list[str]:
        """One for each key that nobody knows, with the nearest that somebody knows."""
        return [
            f"{places[0]}.{key}: {unknown_key(key, _OURS | ignored_params())}"
            + (f" (also in {len(places) - 1} more)" if len(places) > 1 else "")
            for key, places in self._unknown.items()
        ]

    def _deployment(self, index: int, entry: _Entry, place: str) -> Deployment | None:
        # Apart at first: entries of other providers may say what only their proxy understands, or
        # refer to variables that only it has.
        values = ReferenceResolver(self._values.environ)
        given = _only(_Info, entry.model_info or {})
        info = values.load(_Info, given, f"{place}: model_info") or _Info()
        params_place = f"{place}: litellm_params"
        given = _only(_Routing, entry.litellm_params)
        routing = values.load(_Routing, given, params_place) or _Routing()
        model = _model(entry, f"{params_place}.model", values)
        named_place = f"{params_place}.custom_llm_provider"
        named = values.resolve(entry.litellm_params.get("custom_llm_provider"), named_place)
        provider, upstream_model = provider_of(model, named if isinstance(named, str) else None)
        if info.token_count_model:
            its_provider, name = provider_of(info.token_count_model.model)
            is_same = its_provider == provider
            upstream_model = name if is_same else info.token_count_model.model
        here = self._values.environ.get("LITELLM_ENVIRONMENT")
        if here and here not in (info.supported_environments or (here,)):
            return None
        found = Deployment(
            id=self._id(index, entry, info, place),
            model_name=entry.model_name,
            provider=provider,
            upstream_model=upstream_model,
            order=info.order if routing.order is None else routing.order,
            weight=routing.weight,
        )
        countable = _may_be_counted(found, info)
        is_others = not countable and (model or named) and named_place not in values.unset
        if is_others:
            return found
        self._values.merge(values)
        return self._with_params(found, entry, info, params_place) if countable else found

    def _id(self, index: int, entry: _Entry, info: _Info, place: str) -> str:
        """An entry without an id of its own is named after its model and its place."""
        id_ = f"{entry.model_name}#{index}" if info.id is None else str(info.id)
        if id_ in self._ids:
            self._values.problems.append(f"{place}: model_info.id: {self._ids[id_]} has it too")
        self._ids[id_] = place
        return id_

    def _with_params(self, found: Deployment, entry: _Entry, info: _Info, place: str) -> Deployment:
        given = self._given(entry.litellm_params, place)
        found = self._with_given(found, given, info, place)
        credential = given.own.get("litellm_credential_name")
        if str(credential) not in self._broken_credentials:
            return found
        # What is wrong with it is told once, at its own place; nobody may be asked by it.
        words = f"credential_list ({credential}): a problem of it"
        return found.model_copy(update={"params": None, "by_provider": {}, "problem": words})

    def _with_given(self, found: Deployment, given: _Given, info: _Info, place: str) -> Deployment:
        more: dict[str, object] = {} if info.base_model is None else {"base_model": info.base_model}
        if info.token_count_model and info.token_count_model.region and found.provider in _REGION:
            more[_REGION[found.provider]] = info.token_count_model.region
        given = replace(given, own={**given.own, **more})
        if found.provider != ANY_PROVIDER:
            return self._at(found, given, place, self._values) or found
        by_provider = {name: self._at_any(found, name, given) for name in _PARAMS}
        return found.model_copy(update={"by_provider": by_provider})

    def _at(
        self, found: Deployment, given: _Given, place: str, values: ReferenceResolver
    ) -> Deployment | None:
        kind = _PARAMS[found.provider]
        # By the fields' own names, or an `api_base` that is shared would win over a `base_url`.
        merged = {**kind.canonical(given.shared), **kind.canonical(given.own)}
        variables = kind.from_environment(merged, values.environ)
        filled = {field: values.environ[name] for field, name in variables.items()}
        params = values.validate(kind, {**merged, **filled}, place)
        if params is None:
            return None
        origins = {**kind.canonical(given.shared_origins), **kind.canonical(given.own_origins)}
        source = _source_of_credential(params, {**origins, **variables})
        return found.model_copy(update={"params": params, "credential_source": source})

    def _at_any(self, found: Deployment, provider: str, given: _Given) -> Deployment:
        """What an entry for any provider is at one of them: no problem until it is asked for."""
        values = ReferenceResolver(self._values.environ)
        there = found.model_copy(update={"provider": provider})
        return self._at(there, given, provider, values) or there.model_copy(
            update={"problem": "; ".join(values.problems)}
        )

    def _given(self, litellm_params: Mapping[str, object], place: str) -> _Given:
        own = self._of_ours(litellm_params, place)
        origins = {key: _origin(value, f"litellm_params.{key}") for key, value in own.items()}
        resolved = self._values.resolve_items(own, place)
        if "litellm_credential_name" not in resolved:
            return _Given(resolved, {}, origins, {})
        name = str(resolved["litellm_credential_name"])
        if name not in self._credentials:
            near = nearest(name, self._credentials)
            self._values.problems.append(
                f"{place}.litellm_credential_name: no entry of credential_list has this name"
                + (f"; did you mean {near}?" if near else "")
            )
            return _Given(resolved, {}, origins, {})
        shared = self._credential(name)
        # A reference that is unset there makes no further problem here.
        there = f"{self._credentials[name][0]}.credential_values"
        self._values.unset |= {
            f"{place}.{key}" for key in shared if f"{there}.{key}" in self._values.unset
        }
        words = f"credential_list ({name})"
        return _Given(resolved, shared, origins, dict.fromkeys(shared, words))

    def _credential(self, name: str) -> dict[str, object]:
        """A credential's values, resolved when an entry that can be counted first needs them."""
        if name not in self._resolved_credentials:
            place, credential = self._credentials[name]
            place = f"{place}.credential_values"
            given = self._of_ours(credential.credential_values, place)
            known_problems = len(self._values.problems)
            self._resolved_credentials[name] = self._values.resolve_items(given, place)
            if len(self._values.problems) > known_problems:
                self._broken_credentials.add(name)
        return self._resolved_credentials[name]

    def _of_ours(self, given: Mapping[str, object], place: str) -> dict[str, object]:
        """What concerns a count; a key that is left empty is a key that is not there."""
        not_empty = {key: value for key, value in given.items() if value is not None}
        for key in sorted(not_empty.keys() - _OURS):
            if not is_ignored(key):
                self._unknown.setdefault(key, []).append(place)
        return {key: not_empty[key] for key in not_empty.keys() & _OURS}


def _model(entry: _Entry, place: str, values: ReferenceResolver) -> str:
    """The entry's model; empty where there is none, which is a problem."""
    model = values.resolve(entry.litellm_params.get("model"), place)
    if place in values.unset:
        return ""
    if not isinstance(model, str) or not model:
        values.problems.append(f"{place}: a string is required")
        return ""
    return model


def _may_be_counted(found: Deployment, info: _Info) -> bool:
    base_model = provider_of(info.base_model or "")[1]
    names = (found.upstream_model, base_model)
    return found.provider == ANY_PROVIDER or any(
        may_count(found.provider, name) for name in names if name
    )


def _only(model: type[BaseModel], data: Mapping[str, object]) -> dict[str, object]:
    return {key: data[key] for key in model.model_fields if key in data}


def _origin(value: object, place: str) -> str:
    return value if isinstance(value, str) and value.startswith(REFERENCE) else place


def _source_of_credential(params: Params, origins: Mapping[str, str]) -> str:
    source = origins.get(params.credential_field or "", params.without_credentials)
    assumes_role = isinstance(params, BedrockParams) and params.aws_role_name
    return f"{source}, assuming aws_role_name" if assumes_role else source
