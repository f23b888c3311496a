"""From one entry of `model_list` to a deployment."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field

from count_tokens_mw.cloud_params import BedrockParams, GeminiParams, VertexParams
from count_tokens_mw.config_models import PASSTHROUGH_ID, Deployment
from count_tokens_mw.config_values import REFERENCE, ConfigValues
from count_tokens_mw.known_params import ignored_params, is_ignored, nearest
from count_tokens_mw.model_names import ANY_PROVIDER, may_count, provider_of
from count_tokens_mw.params import AnthropicParams, AzureParams, Params
from count_tokens_mw.value_types import Duration

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
    custom_llm_provider: str | None = None


class _Entry(BaseModel):
    model_name: str = Field(min_length=1)
    litellm_params: dict[str, Any]
    model_info: dict[str, Any] | None = None


class Credential(BaseModel):
    """One entry of `credential_list` as it stands in the file."""

    credential_name: str
    credential_values: dict[str, Any]


class EntryReader:
    """Reads entries; what is wrong with them is gathered in `values`.

    `credentials` are those of `credential_list` by name, each with its place in the file.
    """

    def __init__(
        self, values: ConfigValues, credentials: Mapping[str, tuple[str, Credential]]
    ) -> None:
        self._values = values
        self._credentials = credentials
        self._resolved_credentials: dict[str, dict[str, object]] = {}
        self._unknown: dict[str, list[str]] = {}
        self._ids = {PASSTHROUGH_ID}

    def deployments(self, items: Iterable[tuple[str, object]]) -> Iterator[Deployment]:
        """The deployments of entries that each come with their place.

        What is wrong with one is its `problem` too. One that is not meant for this
        LITELLM_ENVIRONMENT is left out.
        """
        here = self._values.environ.get("LITELLM_ENVIRONMENT")
        for index, (item_place, data) in enumerate(items):
            entry = self._values.validated(_Entry, data, item_place)
            if entry is None:
                continue
            place = f"{item_place} ({entry.model_name})"
            known_problems = len(self._values.problems)
            given = _only(_Info, entry.model_info or {})
            info = self._values.loaded(_Info, given, f"{place}: model_info")
            if info and here and here not in (info.supported_environments or (here,)):
                continue
            # An entry without an id of its own is named after its model and its place.
            id_ = f"{entry.model_name}#{index}" if not info or info.id is None else str(info.id)
            if id_ in self._ids:
                self._values.problems.append(
                    f"{place}: model_info.id: another deployment has it too"
                )
            self._ids.add(id_)
            found = self._deployment(id_, entry, info or _Info(), f"{place}: litellm_params")
            problems = self._values.problems[known_problems:]
            if problems:
                words = "; ".join(problem.removeprefix(f"{place}: ") for problem in problems)
                found = found.model_copy(update={"problem": words})
            yield found

    def warnings(self) -> list[str]:
        """One for each key that nobody knows, with the nearest that somebody knows."""
        return [
            f"{places[0]}.{key}: nobody knows this key"
            + (f"; did you mean {meant}?" if (meant := _meant(key)) else "")
            + (f" (also in {len(places) - 1} more)" if len(places) > 1 else "")
            for key, places in self._unknown.items()
        ]

    def _deployment(self, id_: str, entry: _Entry, info: _Info, place: str) -> Deployment:
        routing = self._values.loaded(_Routing, _only(_Routing, entry.litellm_params), place)
        model = self._values.resolved(entry.litellm_params.get("model"), f"{place}.model")
        if not isinstance(model, str) or not model:
            self._values.problems.append(f"{place}.model: a string is required")
            model = ""
        routing = routing or _Routing()
        provider, upstream_model = provider_of(model, routing.custom_llm_provider)
        if info.token_count_model:
            named, name = provider_of(info.token_count_model.model)
            upstream_model = name if named == provider else info.token_count_model.model
        found = Deployment(
            id=id_,
            model_name=entry.model_name,
            provider=provider,
            upstream_model=upstream_model,
            order=info.order if routing.order is None else routing.order,
            weight=routing.weight,
        )
        return self._with_params(found, entry, info, place)

    def _with_params(self, found: Deployment, entry: _Entry, info: _Info, place: str) -> Deployment:
        countable = any(
            may_count(found.provider, name)
            for name in (found.upstream_model, provider_of(info.base_model or "")[1])
            if name
        )
        # Entries of other providers may refer to variables that only their proxy has.
        if not countable and found.provider != ANY_PROVIDER:
            return found
        given, origins = self._given(entry.litellm_params, place)
        if info.base_model is not None:
            given["base_model"] = info.base_model
        if info.token_count_model and info.token_count_model.region and found.provider in _REGION:
            given[_REGION[found.provider]] = info.token_count_model.region
        if found.provider != ANY_PROVIDER:
            return self._at(found, given, origins, place, self._values) or found
        by_provider = {name: self._at_any(found, name, given, origins) for name in _PARAMS}
        return found.model_copy(update={"by_provider": by_provider})

    def _at(
        self,
        found: Deployment,
        given: Mapping[str, object],
        origins: Mapping[str, str],
        place: str,
        values: ConfigValues,
    ) -> Deployment | None:
        kind = _PARAMS[found.provider]
        variables = kind.from_environment(given, values.environ)
        filled = {field: values.environ[name] for field, name in variables.items()}
        params = values.validated(kind, {**given, **filled}, place)
        if params is None:
            return None
        source = _source_of_credential(params, {**origins, **variables})
        return found.model_copy(update={"params": params, "credential_source": source})

    def _at_any(
        self,
        found: Deployment,
        provider: str,
        given: Mapping[str, object],
        origins: Mapping[str, str],
    ) -> Deployment:
        """What an entry for any provider is at one of them: no problem until it is asked for."""
        values = ConfigValues(self._values.environ)
        there = found.model_copy(update={"provider": provider})
        problem = f"{provider}: this gateway is not configured for it"
        return self._at(there, given, origins, provider, values) or there.model_copy(
            update={"problem": ": ".join(values.problems[:1]) or problem}
        )

    def _given(
        self, litellm_params: Mapping[str, object], place: str
    ) -> tuple[dict[str, object], dict[str, str]]:
        """The entry's own parameters over those of its named credential, and where each is from."""
        own = _not_empty(litellm_params)
        self._note_unknown(own, place)
        origins = {key: _origin(value, f"litellm_params.{key}") for key, value in own.items()}
        resolved = self._values.resolved_items(own, place)
        if "litellm_credential_name" not in resolved:
            return resolved, origins
        name = str(resolved["litellm_credential_name"])
        if name not in self._credentials:
            near = nearest(name, self._credentials)
            self._values.problems.append(
                f"{place}.litellm_credential_name: no entry of credential_list has this name"
                + (f"; did you mean {near}?" if near else "")
            )
            return resolved, origins
        shared = self._credential(name)
        words = f"credential_list ({name})"
        return {**shared, **resolved}, {**dict.fromkeys(shared, words), **origins}

    def _credential(self, name: str) -> dict[str, object]:
        """A credential's values, resolved when an entry that can be counted first needs them."""
        if name not in self._resolved_credentials:
            place, credential = self._credentials[name]
            place = f"{place}.credential_values"
            given = _not_empty(credential.credential_values)
            self._note_unknown(given, place)
            self._resolved_credentials[name] = self._values.resolved_items(given, place)
        return self._resolved_credentials[name]

    def _note_unknown(self, given: Mapping[str, object], place: str) -> None:
        for key in given.keys() - _OURS:
            if not is_ignored(key):
                self._unknown.setdefault(key, []).append(place)


def _only(model: type[BaseModel], data: Mapping[str, object]) -> dict[str, object]:
    return {key: data[key] for key in model.model_fields if key in data}


def _not_empty(data: Mapping[str, object]) -> dict[str, object]:
    """A key that is left empty is a key that is not there."""
    return {key: value for key, value in data.items() if value is not None}


def _origin(value: object, place: str) -> str:
    return value if isinstance(value, str) and value.startswith(REFERENCE) else place


def _source_of_credential(params: Params, origins: Mapping[str, str]) -> str:
    field = params.credential_field
    names = params.names(field) if field else ()
    source = next((origins[name] for name in names if name in origins), params.without_credentials)
    assumes_role = isinstance(params, BedrockParams) and params.aws_role_name
    return f"{source}, assuming aws_role_name" if assumes_role else source


def _meant(key: str) -> str | None:
    return nearest(key, sorted(_OURS | ignored_params()))
