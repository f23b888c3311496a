"""The configuration: a LiteLLM `config.yaml`, read once, checked whole, frozen.

https://docs.litellm.ai/docs/proxy/configs describes `model_list`; the section `count_tokens` is
ours, and strict; all others are ignored. This is the only module that reads the environment.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, ValidationError

from count_tokens_mw.errors import ConfigError
from count_tokens_mw.params import (
    AnthropicParams,
    AzureParams,
    BedrockParams,
    GeminiParams,
    Params,
    PassthroughParams,
    VertexParams,
)
from count_tokens_mw.value_types import Amount, HeaderName, Seconds

__all__ = ["PASSTHROUGH_ID", "Config", "Deployment", "PassthroughSettings", "Settings"]

PASSTHROUGH_ID: Final = "passthrough/anthropic"
"""The deployment id of the pass-through, which no entry may have."""

_REFERENCE: Final = "os.environ/"

_PARAMS: Final[Mapping[str, type[Params]]] = {
    "anthropic": AnthropicParams,
    "azure_ai": AzureParams,
    "bedrock": BedrockParams,
    "gemini": GeminiParams,
    "vertex_ai": VertexParams,
}

M = TypeVar("M", bound=BaseModel)


class Deployment(BaseModel):
    """One entry of `model_list`: a model at a provider, under the name that callers use.

    `model_name` and `upstream_model` may have stars. `params` is None where the provider has no
    counting API that this package speaks.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    model_name: str
    provider: str
    upstream_model: str
    params: SerializeAsAny[Params] | None


class PassthroughSettings(BaseModel):
    """The upstreams that are served as they are, under their own path; false turns one off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anthropic: PassthroughParams | None = None


class Settings(BaseModel):
    """The section `count_tokens`.

    `timeout` is in seconds, for one count with all its attempts. `end_user_headers` are looked at
    in their order to learn for whom a request is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    timeout: Seconds = 20
    # Anthropic's own limit: https://docs.claude.com/en/api/errors#request-size-limits
    max_body_bytes: Amount = 32 * 1024 * 1024
    max_concurrency: Amount = 256
    end_user_headers: tuple[HeaderName, ...] = (
        "x-end-user-id",
        "x-litellm-end-user-id",
        "x-litellm-customer-id",
    )
    passthrough: PassthroughSettings = PassthroughSettings()


@dataclass(frozen=True, slots=True)
class Config:
    """All that the package is told at start."""

    deployments: tuple[Deployment, ...] = ()
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def from_yaml(cls, path: str | Path, environ: Mapping[str, str] | None = None) -> Self:
        """Read a file. `environ` stands in for the process's environment.

        Raises:
            ConfigError: it cannot be read or used; all its problems are named at once.
        """
        # Not at the top: it takes a tenth of the import, and a mapping needs none.
        import yaml

        try:
            data = yaml.safe_load(Path(path).read_bytes())
        except OSError as error:
            raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from None
        except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
            # PyYAML lets a bad date or number through as whatever Python says of it. The text of
            # none of these is shown: it quotes the file, which may hold keys.
            mark = getattr(error, "problem_mark", None)
            where = f" at line {mark.line + 1}" if mark else ""
            raise ConfigError(str(path), [f"cannot be read as YAML{where}"]) from None
        return cls.from_mapping(data, environ, source=str(path))

    @classmethod
    def from_mapping(
        cls,
        data: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
        *,
        source: str = "configuration",
    ) -> Self:
        """The same for a mapping of the file's shape; `source` is its name in errors."""
        reader = _Reader(os.environ if environ is None else environ)
        try:
            config = cls(*reader.read(data))
        except RecursionError:
            raise ConfigError(source, ["an alias refers to itself"]) from None
        if reader.problems:
            raise ConfigError(source, reader.problems)
        return config


class _Entry(BaseModel):
    model_name: str = Field(min_length=1)
    litellm_params: dict[str, Any]
    model_info: dict[str, Any] | None = None


class _Reader:
    """Reads one file's data and gathers what is wrong with it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []
        self._unset: set[str] = set()

    def read(self, data: object) -> tuple[tuple[Deployment, ...], Settings]:
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


def _may_count(provider: str, upstream_model: str) -> bool:
    # Azure AI has models of many makers, and only Claude's can be counted there.
    is_other = provider == "azure_ai" and not upstream_model.startswith(("claude", "*"))
    return provider in _PARAMS and not is_other


def _provider_of(model: str, named: object) -> tuple[str, str]:
    """LiteLLM's `provider/model`; a Claude model without a provider is Anthropic's."""
    if isinstance(named, str):
        return named, model.removeprefix(f"{named}/")
    provider, slash, upstream_model = model.partition("/")
    if slash:
        return provider, upstream_model
    return ("anthropic" if model.startswith("claude-") else "unknown"), model
