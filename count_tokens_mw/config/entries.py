"""The reader that turns an entry of `model_list` into a deployment."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from count_tokens_mw.config.entry_params import ParamsReader, RawParams
from count_tokens_mw.config.fields import Duration
from count_tokens_mw.config.model_names import (
    ANY_PROVIDER,
    UNKNOWN_PROVIDER,
    is_encrypted,
    may_count,
    provider_of,
    without_context_suffix,
)
from count_tokens_mw.config.models import PASSTHROUGH_ID, Deployment
from count_tokens_mw.config.params.base import Params
from count_tokens_mw.config.providers import PROVIDERS
from count_tokens_mw.config.references import ENDLESS, ReferenceResolver

__all__ = ["Entry", "EntryReader", "Info", "broken_deployment"]


class _CountModel(BaseModel):
    model: str = Field(min_length=1)
    region: str | None = None


def _parse_count_model(value: object) -> object:
    return {"model": value} if isinstance(value, str) else value


class Info(BaseModel):
    """The fields of `model_info` that concern a count."""

    id: str | int | None = None
    supported_environments: list[str] | None = None
    order: int | None = None
    base_model: str | None = None
    token_count_model: Annotated[_CountModel, BeforeValidator(_parse_count_model)] | None = None


class _Routing(BaseModel):
    order: int | None = None
    weight: Duration | None = None


class Entry(BaseModel):
    """An entry of `model_list` as it stands in the file."""

    model_name: str = Field(min_length=1)
    litellm_params: dict[str, Any] = Field(repr=False)
    model_info: dict[str, Any] | None = None


class EntryReader:
    """Reader of entries, which adds their problems to those of `values`."""

    def __init__(self, values: ReferenceResolver, params: ParamsReader) -> None:
        self._values = values
        self._params = params
        self._ids = {PASSTHROUGH_ID: "the pass-through"}

    def deployments(self, items: Iterable[tuple[str, object]]) -> Iterator[Deployment]:
        """Yield the deployments of entries, which come with their places.

        The problems of an entry are also the `problem` of its deployment, which then has no
        parameters. Entries for another LITELLM_ENVIRONMENT are skipped, and so is an entry without
        a name.
        """
        for index, (place, data) in enumerate(items):
            known_problems = len(self._values.problems)
            entry = self._values.validate(Entry, data, place)
            name = _name_of(data) if entry is None else entry.model_name
            if entry is not None:
                place = f"{place} ({name})"  # noqa: PLW2901
            broken = broken_deployment(index, name)
            try:
                deployment = broken if entry is None else self._build(index, entry, place)
            except RecursionError:
                self._values.problems.append(f"{place}: {ENDLESS}")
                deployment = broken
            problems = self._values.problems[known_problems:]
            if deployment is not None and problems:
                texts = (problem.removeprefix(f"{place}: ") for problem in problems)
                deployment = _without_params(deployment, "; ".join(texts))
            if deployment is not None and deployment.model_name:
                yield deployment

    def _build(self, index: int, entry: Entry, place: str) -> Deployment | None:
        # Separate at first, because entries of other providers may have values that only LiteLLM's
        # proxy understands, or refer to variables that only the proxy has.
        values = ReferenceResolver(self._values.variables)
        fields = _pick_fields(Info, entry.model_info or {})
        info = values.load(Info, fields, f"{place}: model_info") or Info()
        params_place = f"{place}: litellm_params"
        fields = _pick_fields(_Routing, entry.litellm_params)
        routing = values.load(_Routing, fields, params_place) or _Routing()
        model = _resolve_model(entry, f"{params_place}.model", values)
        self._params.find_templates({"model": model}, params_place)
        if is_encrypted(model):
            problem = "encrypted by LiteLLM; decrypt the row as docs/litellm.md shows"
            self._values.problems.append(f"{params_place}.model: {problem}")
        named_place = f"{params_place}.custom_llm_provider"
        named = values.resolve(entry.litellm_params.get("custom_llm_provider"), named_place)
        provider, upstream_model = provider_of(model, named if isinstance(named, str) else None)
        if info.token_count_model:
            count_model = without_context_suffix(info.token_count_model.model)
            count_provider, name = provider_of(count_model)
            is_same = count_provider == provider
            upstream_model = name if is_same else count_model
        environment = self._values.variables.defaults.get("LITELLM_ENVIRONMENT")
        if environment and environment not in (info.supported_environments or (environment,)):
            return None
        deployment = Deployment(
            id=self._assign_id(index, entry, info, place),
            model_name=entry.model_name,
            provider=provider,
            upstream_model=upstream_model,
            litellm_model=model,
            order=info.order if routing.order is None else routing.order,
            weight=routing.weight,
        )
        is_countable = _is_countable(deployment, info)
        if is_countable and not self._may_count(deployment, entry):
            self._params.find_mistakes(entry.litellm_params, params_place)
            is_countable = False
        is_foreign = not is_countable and (model or named) and named_place not in values.unset
        if not is_foreign:
            self._values.merge(values)
        if not is_countable:
            return deployment
        return self._add_params(deployment, entry, info, params_place)

    def _may_count(self, deployment: Deployment, entry: Entry) -> bool:
        """Return whether the provider counts with the entry's parameters, before they are read."""
        spec = PROVIDERS.get(deployment.provider)
        if spec is None or not spec.params.needs_opt_in:
            return True
        raw = self._params.peek(entry.litellm_params)
        merged, _ = _merge(spec.params, raw, self._values.variables.defaults)
        return spec.params.may_count(merged)

    def _assign_id(self, index: int, entry: Entry, info: Info, place: str) -> str:
        """Return the entry's id, which defaults to its name and its index."""
        default = f"{entry.model_name}#{index}"
        id_ = default if info.id is None else str(info.id)
        if id_ in self._ids:
            problem = f"{self._ids[id_]} has the same id; choose another"
            self._values.problems.append(f"{place}: model_info.id: {problem}")
            return default
        self._ids[id_] = place
        return id_

    def _add_params(
        self, deployment: Deployment, entry: Entry, info: Info, place: str
    ) -> Deployment:
        raw = self._params.read(entry.litellm_params, place)
        deployment = self._configure_all(deployment, raw, info, place)
        return _without_params(deployment, raw.problem) if raw.problem else deployment

    def _configure_all(
        self, deployment: Deployment, raw: RawParams, info: Info, place: str
    ) -> Deployment:
        """Return the deployment with parameters for its provider, or for every provider."""
        more: dict[str, object] = {} if info.base_model is None else {"base_model": info.base_model}
        count_model, spec = info.token_count_model, PROVIDERS.get(deployment.provider)
        if count_model and count_model.region and spec and spec.region_field:
            more[spec.region_field] = count_model.region
        raw = replace(raw, own={**raw.own, **more})
        if spec is not None:
            return self._configure(deployment, raw, place, self._values) or deployment
        by_provider = {name: self._configure_for(deployment, name, raw) for name in PROVIDERS}
        return deployment.model_copy(update={"by_provider": by_provider})

    def _configure(
        self, deployment: Deployment, raw: RawParams, place: str, values: ReferenceResolver
    ) -> Deployment | None:
        kind = PROVIDERS[deployment.provider].params
        merged, variables = _merge(kind, raw, values.variables.defaults)
        if not kind.may_count(merged):
            return deployment
        merged |= kind.from_files(merged, values.variables.process)
        params = values.validate(kind, merged, place)
        if params is None:
            return None
        origins = {**kind.canonical(raw.shared_origins), **kind.canonical(raw.own_origins)}
        source = params.credential_source({**origins, **variables})
        return deployment.model_copy(update={"params": params, "credential_source": source})

    def _configure_for(self, deployment: Deployment, provider: str, raw: RawParams) -> Deployment:
        """Return the deployment at one provider; its problem matters only if a caller needs it."""
        values = ReferenceResolver(self._values.variables)
        variant = deployment.model_copy(update={"provider": provider})
        return self._configure(variant, raw, provider, values) or variant.model_copy(
            update={"problem": "; ".join(values.problems)}
        )


def _merge(
    kind: type[Params], raw: RawParams, defaults: Mapping[str, str]
) -> tuple[dict[str, object], Mapping[str, str]]:
    """Return parameters with defaults of the environment, and the variable of each default."""
    # By field name, or a shared `api_base` would take precedence over an own `base_url`.
    merged = {**kind.canonical(raw.shared), **kind.canonical(raw.own)}
    variables = kind.from_environment(merged, defaults)
    return merged | {field: defaults[name] for field, name in variables.items()}, variables


def _resolve_model(entry: Entry, place: str, values: ReferenceResolver) -> str:
    """Return the entry's model; a missing one is a problem, and becomes the empty string."""
    model = values.resolve(entry.litellm_params.get("model"), place)
    if place in values.unset:
        return ""
    if not isinstance(model, str) or not model:
        values.problems.append(f"{place}: a string is required")
        return ""
    return without_context_suffix(model)


def _is_countable(deployment: Deployment, info: Info) -> bool:
    base_model = provider_of(info.base_model or "")[1]
    names = (deployment.upstream_model, base_model)
    return deployment.provider == ANY_PROVIDER or any(
        may_count(deployment.provider, name) for name in names if name
    )


def _pick_fields(model: type[BaseModel], data: Mapping[str, object]) -> dict[str, object]:
    return {key: data[key] for key in model.model_fields if key in data}


def _name_of(data: object) -> str:
    """Return the name of an entry that is malformed, as far as it has one."""
    name = data.get("model_name") if isinstance(data, Mapping) else None
    return str(name) if isinstance(name, str | int | float) and not isinstance(name, bool) else ""


def broken_deployment(index: int, name: str) -> Deployment:
    """Return the deployment of an entry that cannot be read; its caller sets the problem."""
    id_ = f"{name}#{index}"
    return Deployment(id=id_, model_name=name, provider=UNKNOWN_PROVIDER, upstream_model=name)


def _without_params(deployment: Deployment, problem: str) -> Deployment:
    return deployment.model_copy(update={"params": None, "by_provider": {}, "problem": problem})
