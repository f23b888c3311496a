"""From the data of a LiteLLM `config.yaml` to deployments, settings, and all of its problems."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, Field, ValidationError

from count_tokens_mw.config_models import PASSTHROUGH_ID, Deployment, Settings
from count_tokens_mw.params import (
    AnthropicParams,
    AzureParams,
    BedrockParams,
    GeminiParams,
    Params,
    PassthroughParams,
    VertexParams,
)

__all__ = ["ConfigReader"]

_REFERENCE: Final = "os.environ/"

_PARAMS: Final[Mapping[str, type[Params]]] = {
    "anthropic": AnthropicParams,
    "azure_ai": AzureParams,
    "bedrock": BedrockParams,
    "gemini": GeminiParams,
    "vertex_ai": VertexParams,
}

M = TypeVar("M", bound=BaseModel)


class _Entry(BaseModel):
    model_name: str = Field(min_length=1)
    litellm_params: dict[str, Any]
    model_info: dict[str, Any] | None = None


class ConfigReader:
    """Reads one file's data into deployments and settings, and gathers its `problems`.

    Each problem names the entry and the key, and quotes no value. References `os.environ/NAME` are
    looked up in `environ`.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []
        self._unset: set[str] = set()

    def read(self, data: object) -> tuple[tuple[Deployment, ...], Settings]:
        """Read all of it; what has problems is left out."""
        if not isinstance(data, Mapping):
            self.problems.append("a mapping with model_list is required")
            return (), Settings()
        entries = data.get("model_list", None)
        entries = [] if entries is None else entries
        if not isinstance(entries, list):
            self.problems.append("model_list: a list is required")
            entries = []
        section = data.get("count_tokens")
        settings = self._settings({} if section is None else section)
        return tuple(self._deployments(entries)), settings

    def _deployments(self, entries: list[object]) -> Iterator[Deployment]:
        ids = {PASSTHROUGH_ID}
        for index, data in enumerate(entries):
            place = f"model_list[{index}]"
            entry = self._validated(_Entry, data, place)
            if entry is None:
                continue
            place = f"{place} ({entry.model_name})"
            # An entry without an id of its own is named after its model and its place.
            own_id = (entry.model_info or {}).get("id")
            id_ = f"{entry.model_name}#{index}" if own_id is None else str(own_id)
            if id_ in ids:
                self.problems.append(f"{place}: model_info.id: another deployment has it too")
            ids.add(id_)
            deployment = self._deployment(id_, entry, place)
            if deployment is not None:
                yield deployment

    def _deployment(self, id_: str, entry: _Entry, place: str) -> Deployment | None:
        place = f"{place}: litellm_params"
        model = self._resolved(entry.litellm_params.get("model"), f"{place}.model")
        if f"{place}.model" in self._unset:
            return None
        if not isinstance(model, str) or not model:
            self.problems.append(f"{place}.model: a string is required")
            return None
        named = entry.litellm_params.get("custom_llm_provider")
        provider, upstream_model = _provider_of(model, named)
        params = None
        if _may_count(provider, upstream_model):
            if "litellm_credential_name" in entry.litellm_params:
                # Ignored, it would be another account's key that is used.
                self.problems.append(f"{place}.litellm_credential_name: is not supported")
            # Entries of other providers may refer to variables that only their proxy has.
            model_type = _PARAMS[provider]
            given = {
                **entry.litellm_params,
                "base_model": (entry.model_info or {}).get("base_model"),
            }
            params = self._loaded(
                model_type,
                given,
                place,
                lambda params: model_type.completed(params, self.environ),
            )
        return Deployment(
            id=id_,
            model_name=entry.model_name,
            provider=provider,
            upstream_model=upstream_model,
            params=params,
        )

    def _settings(self, section: object) -> Settings:
        place = "count_tokens"
        return self._loaded(Settings, section, place, self._with_passthrough) or Settings()

    def _with_passthrough(self, section: Mapping[str, object]) -> Mapping[str, object]:
        """On where it is configured, or where Anthropic's key is there anyway; false is off."""
        passthrough = section.get("passthrough", {})
        if passthrough is False:
            passthrough = {"anthropic": False}
        if not isinstance(passthrough, Mapping):
            return section
        anthropic = passthrough.get("anthropic")
        if anthropic is None and self.environ.get("ANTHROPIC_API_KEY"):
            anthropic = {}
        if isinstance(anthropic, Mapping):
            anthropic = PassthroughParams.completed(anthropic, self.environ)
        passthrough = {**passthrough, "anthropic": None if anthropic is False else anthropic}
        return {**section, "passthrough": passthrough}

    def _loaded(
        self,
        model: type[M],
        data: object,
        place: str,
        complete: Callable[[Mapping[str, object]], Mapping[str, object]],
    ) -> M | None:
        """Data with its references resolved, completed by defaults, and validated."""
        resolved = self._resolved(data, place)
        if isinstance(resolved, Mapping):
            given = {key: value for key, value in resolved.items() if value is not None}
            resolved = complete(given)  # a key that is left empty is a key that is not there
        return self._validated(model, resolved, place)

    def _resolved(self, value: object, place: str) -> object:
        """The value with each `os.environ/NAME` in it replaced by that variable."""
        if isinstance(value, Mapping):
            return {key: self._resolved(item, f"{place}.{key}") for key, item in value.items()}
        if isinstance(value, list):
            return [self._resolved(item, f"{place}.{n}") for n, item in enumerate(value)]
        if not isinstance(value, str) or not value.startswith(_REFERENCE):
            return value
        name = value.removeprefix(_REFERENCE)
        if name not in self.environ:
            self.problems.append(f"{place}: the environment variable {name} is not set")
            self._unset.add(place)
        return self.environ.get(name, value)

    def _validated(self, model: type[M], data: object, place: str) -> M | None:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            # Without the input: it may be a key.
            for problem in error.errors(include_input=False, include_url=False):
                key = "".join(f".{part}" for part in problem["loc"])
                words = problem["msg"].removeprefix("Value error, ")
                if place + key not in self._unset:
                    self.problems.append(f"{place}{key}: {words}")
            return None


_COUNTABLE: Final[Mapping[str, re.Pattern[str]]] = {
    "anthropic": re.compile(""),
    "azure_ai": re.compile(r"claude|\*"),
    "bedrock": re.compile(r"(?:.*[./])?anthropic\.|.*arn:|.*\*"),
    "gemini": re.compile(""),
    "vertex_ai": re.compile(r"claude|gemini|\*"),
}


def _may_count(provider: str, upstream_model: str) -> bool:
    """Clouds have models of many makers; an entry of another is not read further, and is a 501."""
    return provider in _COUNTABLE and bool(_COUNTABLE[provider].match(upstream_model))


def _provider_of(model: str, named: object) -> tuple[str, str]:
    """LiteLLM's `provider/model`; a Claude model without a provider is Anthropic's."""
    if isinstance(named, str):
        return named, model.removeprefix(f"{named}/")
    provider, slash, upstream_model = model.partition("/")
    if slash:
        return provider, upstream_model
    return ("anthropic" if model.startswith("claude-") else "unknown"), model
