"""The reader that turns an entry of `model_list` into a deployment."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field

from count_tokens_mw.config.fields import Duration
from count_tokens_mw.config.litellm_keys import ignored_params, is_ignored, nearest, unknown_key
from count_tokens_mw.config.model_names import ANY_PROVIDER, may_count, provider_of
from count_tokens_mw.config.models import PASSTHROUGH_ID, Deployment
from count_tokens_mw.config.providers import PROVIDERS
from count_tokens_mw.config.references import REFERENCE, ReferenceResolver

__all__ = ["Credential", "EntryReader"]

_ROUTING_KEYS: Final = frozenset(
    {"custom_llm_provider", "litellm_credential_name", "model", "order", "weight"}
)


class _CountModel(BaseModel):
    model: str = Field(min_length=1)
    region: str | None = None


def _parse_count_model(value: object) -> object:
    return {"model": value} if isinstance(value, str) else value


class _Info(BaseModel):
    """The fields of `model_info` that concern a count."""

    id: str | int | None = None
    supported_environments: list[str] | None = None
    order: int | None = None
    base_model: str | None = None
    token_count_model: Annotated[_CountModel, BeforeValidator(_parse_count_model)] | None = None


class _Routing(BaseModel):
    order: int | None = None
    weight: Duration | None = None


class _Entry(BaseModel):
    model_name: str = Field(min_length=1)
    litellm_params: dict[str, Any] = Field(repr=False)
    model_info: dict[str, Any] | None = None


class Credential(BaseModel):
    """An entry of `credential_list` as it stands in the file."""

    credential_name: str
    credential_values: dict[str, Any] = Field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class _RawParams:
    """An entry's own parameters, its credential's parameters, and the origin of both."""

    own: Mapping[str, object]
    shared: Mapping[str, object]
    own_origins: Mapping[str, str]
    shared_origins: Mapping[str, str]


class EntryReader:
    """Reader of entries, which adds their problems to those of `values`.

    `credentials` has the entries of `credential_list` by name, each with its place in the file.
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
        kinds = [spec.params for spec in PROVIDERS.values()]
        self._used = _ROUTING_KEYS.union(
            *(kind.names(at) for kind in kinds for at in kind.model_fields)
        )

    def deployments(self, items: Iterable[tuple[str, object]]) -> Iterator[Deployment]:
        """Yield the deployments of entries, which come with their places.

        The problems of an entry are also the `problem` of its deployment. Entries for another
        LITELLM_ENVIRONMENT are skipped.
        """
        for index, (place, data) in enumerate(items):
            entry = self._values.validate(_Entry, data, place)
            if entry is None:
                continue
            place_and_name = f"{place} ({entry.model_name})"
            known_problems = len(self._values.problems)
            try:
                deployment = self._build(index, entry, place_and_name)
            except RecursionError:
                self._values.problems.append(f"{place_and_name}: a YAML alias refers to itself")
                deployment = None
            problems = self._values.problems[known_problems:]
            if deployment is not None and problems:
                texts = (problem.removeprefix(f"{place_and_name}: ") for problem in problems)
                deployment = deployment.model_copy(update={"problem": "; ".join(texts)})
            if deployment is not None:
                yield deployment

    def warnings(self) -> list[str]:
        """Return one warning for each unknown key, with the nearest known one."""
        return [
            f"{places[0]}.{key}: {unknown_key(key, self._used | ignored_params())}"
            + (f" (also in {len(places) - 1} more)" if len(places) > 1 else "")
            for key, places in self._unknown.items()
        ]

    def _build(self, index: int, entry: _Entry, place: str) -> Deployment | None:
        # Separate at first, because entries of other providers may have values that only LiteLLM's
        # proxy understands, or refer to variables that only the proxy has.
        values = ReferenceResolver(self._values.environ)
        fields = _pick_fields(_Info, entry.model_info or {})
        info = values.load(_Info, fields, f"{place}: model_info") or _Info()
        params_place = f"{place}: litellm_params"
        fields = _pick_fields(_Routing, entry.litellm_params)
        routing = values.load(_Routing, fields, params_place) or _Routing()
        model = _resolve_model(entry, f"{params_place}.model", values)
        named_place = f"{params_place}.custom_llm_provider"
        named = values.resolve(entry.litellm_params.get("custom_llm_provider"), named_place)
        provider, upstream_model = provider_of(model, named if isinstance(named, str) else None)
        if info.token_count_model:
            count_provider, name = provider_of(info.token_count_model.model)
            is_same = count_provider == provider
            upstream_model = name if is_same else info.token_count_model.model
        environment = self._values.environ.get("LITELLM_ENVIRONMENT")
        if environment and environment not in (info.supported_environments or (environment,)):
            return None
        deployment = Deployment(
            id=self._assign_id(index, entry, info, place),
            model_name=entry.model_name,
            provider=provider,
            upstream_model=upstream_model,
            order=info.order if routing.order is None else routing.order,
            weight=routing.weight,
        )
        is_countable = _is_countable(deployment, info)
        is_foreign = not is_countable and (model or named) and named_place not in values.unset
        if not is_foreign:
            self._values.merge(values)
        if not is_countable:
            return deployment
        return self._add_params(deployment, entry, info, params_place)

    def _assign_id(self, index: int, entry: _Entry, info: _Info, place: str) -> str:
        """Return the entry's id, which defaults to its name and its index."""
        id_ = f"{entry.model_name}#{index}" if info.id is None else str(info.id)
        if id_ in self._ids:
            problem = f"{self._ids[id_]} has the same id; choose another"
            self._values.problems.append(f"{place}: model_info.id: {problem}")
        self._ids[id_] = place
        return id_

    def _add_params(
        self, deployment: Deployment, entry: _Entry, info: _Info, place: str
    ) -> Deployment:
        raw = self._resolve_params(entry.litellm_params, place)
        deployment = self._configure_all(deployment, raw, info, place)
        credential = raw.own.get("litellm_credential_name")
        if str(credential) not in self._broken_credentials:
            return deployment
        # The problem itself is reported once, at the credential; no request may use the credential.
        problem = f"credential_list ({credential}): the credential has a problem; see its entry"
        return deployment.model_copy(update={"params": None, "by_provider": {}, "problem": problem})

    def _configure_all(
        self, deployment: Deployment, raw: _RawParams, info: _Info, place: str
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
        self, deployment: Deployment, raw: _RawParams, place: str, values: ReferenceResolver
    ) -> Deployment | None:
        kind = PROVIDERS[deployment.provider].params
        # By field name, or a shared `api_base` would take precedence over an own `base_url`.
        merged = {**kind.canonical(raw.shared), **kind.canonical(raw.own)}
        variables = kind.from_environment(merged, values.environ)
        filled = {field: values.environ[name] for field, name in variables.items()}
        params = values.validate(kind, {**merged, **filled}, place)
        if params is None:
            return None
        origins = {**kind.canonical(raw.shared_origins), **kind.canonical(raw.own_origins)}
        source = params.credential_source({**origins, **variables})
        return deployment.model_copy(update={"params": params, "credential_source": source})

    def _configure_for(self, deployment: Deployment, provider: str, raw: _RawParams) -> Deployment:
        """Return the deployment at one provider; its problem matters only if a caller needs it."""
        values = ReferenceResolver(self._values.environ)
        variant = deployment.model_copy(update={"provider": provider})
        return self._configure(variant, raw, provider, values) or variant.model_copy(
            update={"problem": "; ".join(values.problems)}
        )

    def _resolve_params(self, litellm_params: Mapping[str, object], place: str) -> _RawParams:
        own = self._pick_used(litellm_params, place)
        origins = {key: _origin(value, f"litellm_params.{key}") for key, value in own.items()}
        resolved = self._values.resolve_items(own, place)
        if "litellm_credential_name" not in resolved:
            return _RawParams(resolved, {}, origins, {})
        name = str(resolved["litellm_credential_name"])
        if name not in self._credentials:
            near = nearest(name, self._credentials)
            self._values.problems.append(
                f"{place}.litellm_credential_name: no entry of credential_list has this name"
                + (f"; did you mean {near}?" if near else "")
            )
            return _RawParams(resolved, {}, origins, {})
        shared = self._resolve_credential(name)
        # An unset reference of the credential is a problem there, and none of the entry.
        credential_place = f"{self._credentials[name][0]}.credential_values"
        self._values.unset |= {
            f"{place}.{key}" for key in shared if f"{credential_place}.{key}" in self._values.unset
        }
        origin = f"credential_list ({name})"
        return _RawParams(resolved, shared, origins, dict.fromkeys(shared, origin))

    def _resolve_credential(self, name: str) -> dict[str, object]:
        """Return a credential's values, which are resolved when a countable entry needs them."""
        if name not in self._resolved_credentials:
            place, credential = self._credentials[name]
            place = f"{place}.credential_values"
            used = self._pick_used(credential.credential_values, place)
            known_problems = len(self._values.problems)
            self._resolved_credentials[name] = self._values.resolve_items(used, place)
            if len(self._values.problems) > known_problems:
                self._broken_credentials.add(name)
        return self._resolved_credentials[name]

    def _pick_used(self, values: Mapping[str, object], place: str) -> dict[str, object]:
        """Return the items that concern a count; an empty key counts as absent."""
        not_empty = {key: value for key, value in values.items() if value is not None}
        for key in sorted(not_empty.keys() - self._used):
            if not is_ignored(key):
                self._unknown.setdefault(key, []).append(place)
        return {key: not_empty[key] for key in not_empty.keys() & self._used}


def _resolve_model(entry: _Entry, place: str, values: ReferenceResolver) -> str:
    """Return the entry's model; a missing one is a problem, and becomes the empty string."""
    model = values.resolve(entry.litellm_params.get("model"), place)
    if place in values.unset:
        return ""
    if not isinstance(model, str) or not model:
        values.problems.append(f"{place}: a string is required")
        return ""
    return model


def _is_countable(deployment: Deployment, info: _Info) -> bool:
    base_model = provider_of(info.base_model or "")[1]
    names = (deployment.upstream_model, base_model)
    return deployment.provider == ANY_PROVIDER or any(
        may_count(deployment.provider, name) for name in names if name
    )


def _pick_fields(model: type[BaseModel], data: Mapping[str, object]) -> dict[str, object]:
    return {key: data[key] for key in model.model_fields if key in data}


def _origin(value: object, place: str) -> str:
    return value if isinstance(value, str) and value.startswith(REFERENCE) else place
