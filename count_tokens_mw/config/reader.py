"""The reader of a LiteLLM `config.yaml`: its documents become deployments, settings, problems."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from count_tokens_mw.config.entries import EntryReader
from count_tokens_mw.config.entry_params import Credential, ParamsReader
from count_tokens_mw.config.files import Document
from count_tokens_mw.config.general_settings import read_end_user_headers
from count_tokens_mw.config.litellm_keys import nearest
from count_tokens_mw.config.models import Deployment, RouterSettings, Settings
from count_tokens_mw.config.params.anthropic import (
    ANTHROPIC_API,
    AnthropicParams,
    PassthroughParams,
)
from count_tokens_mw.config.params.base import FILE_VARIABLE
from count_tokens_mw.config.references import REFERENCE, ReferenceResolver, Variables
from count_tokens_mw.config.router_settings import (
    CHAT_SETTINGS,
    MIN_LIKENESS,
    read_router_settings,
    remark_on_settings,
    remark_on_tags,
    warn_of_router_settings,
)

__all__ = ["Reading", "read"]


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of reading documents: a configuration, and what is wrong with it.

    `problems` make the documents unusable. `faults` concern single entries, credentials and
    settings of LiteLLM; an entry with a fault is a deployment with a `problem`. `warnings` name the
    parts that are probably a mistake, and `remarks` those by which LiteLLM's chat differs from the
    count.
    """

    deployments: tuple[Deployment, ...] = ()
    settings: Settings = field(default_factory=Settings)
    router_settings: RouterSettings = field(default_factory=RouterSettings)
    problems: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def read(documents: Sequence[Document], environ: Mapping[str, str]) -> Reading:
    """Read documents as one configuration.

    Lists are concatenated, and the last one of any other section wins. Problems name file, entry
    and key, and quote no value. References `os.environ/NAME` are looked up in `environ`, then in
    the section `environment_variables`.
    """
    sections = _Sections(documents)
    variables = _variables(environ, sections.mapping("environment_variables"))
    own, values = ReferenceResolver(variables), ReferenceResolver(variables)
    settings = own.load(
        Settings,
        sections.last("count_tokens", {}),
        "count_tokens",
        lambda section: _add_passthrough(section, values),
    )
    settings = _add_environment(settings or Settings(), own)
    named = read_end_user_headers(sections.last("general_settings", {}), values)
    headers = tuple(dict.fromkeys((*settings.end_user_headers, *named)))
    router_settings, aliases = read_router_settings(sections.mapping("router_settings"), values)
    params = ParamsReader(values, dict(_credentials(sections, values)))
    items = list(sections.items("model_list"))
    deployments = tuple(EntryReader(values, params).deployments(items))
    names = {deployment.model_name for deployment in deployments}
    deployments += tuple(alias for alias in aliases if alias.model_name not in names)
    return Reading(
        deployments=deployments,
        settings=settings.model_copy(update={"end_user_headers": headers}),
        router_settings=router_settings,
        problems=(*sections.problems, *own.problems),
        faults=(*sections.faults, *values.problems),
        warnings=(
            *sections.warnings(),
            *_warn_of_variables(variables.defaults),
            *params.warnings(),
            *warn_of_router_settings(
                sections.mapping("router_settings"), router_settings.model_group_alias, names
            ),
        ),
        remarks=(
            *_remark_on_variables(variables.defaults, deployments),
            *params.remarks(),
            *remark_on_settings({name: sections.last(name, {}) for name in CHAT_SETTINGS}),
            *remark_on_tags(items, deployments),
        ),
    )


_SECTIONS: Final = (
    "count_tokens",
    "credential_list",
    "environment_variables",
    "general_settings",
    "include",
    "model_list",
    "router_settings",
)
_USED_VARIABLES: Final = {
    "AWS_ACCESS_KEY_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_BEDROCK_RUNTIME_ENDPOINT",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_REGION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_API_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
}


class _Sections:
    """Top-level sections of the documents, with a problem or a fault for each of the wrong type."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.problems: list[str] = []
        self.faults: list[str] = []
        self._documents: list[tuple[Document, Mapping[object, object]]] = []
        for document in documents:
            if isinstance(document.data, Mapping):
                self._documents.append((document, document.data))
            else:
                self.problems.append(document.place("a mapping with model_list is required"))

    def last(self, name: str, default: object) -> object:
        sections = [data[name] for _, data in self._documents if data.get(name) is not None]
        return sections[-1] if sections else default

    def warnings(self) -> Iterator[str]:
        """Yield a warning for each section whose name is almost that of a known one."""
        for document, data in self._documents:
            for key in data:
                meant = nearest(str(key), _SECTIONS, likeness=MIN_LIKENESS)
                if meant and meant != key:
                    yield document.place(f"{key}: unknown section; did you mean {meant}?")

    def mapping(self, name: str) -> Mapping[str, object]:
        section = self.last(name, {})
        if isinstance(section, Mapping):
            return section
        fault = f"{name}: a mapping is required"
        if fault not in self.faults:
            self.faults.append(fault)
        return {}

    def items(self, name: str) -> Iterator[tuple[str, object]]:
        """Yield the items of all lists of this name, each with its place."""
        for document, data in self._documents:
            items = data.get(name)
            if items is not None and not isinstance(items, list):
                wrong = self.problems if name == "model_list" else self.faults
                wrong.append(document.place(f"{name}: a list is required"))
                continue
            for index, item in enumerate(items or ()):
                yield document.place(f"{name}[{index}]"), item


def _credentials(
    sections: _Sections, values: ReferenceResolver
) -> Iterator[tuple[str, tuple[str, Credential]]]:
    for place, data in sections.items("credential_list"):
        credential = values.validate(Credential, data, place)
        if credential is not None:
            name = credential.credential_name
            yield name, (f"{place} ({name})", credential)


def _variables(environ: Mapping[str, str], section: Mapping[str, object]) -> Variables:
    """Return the variables of the process and of the file, whose own may refer to the process's."""
    added = {str(name): str(value) for name, value in section.items() if value is not None}
    for name, value in list(added.items()):
        if value.startswith(REFERENCE):
            del added[name]
            target = environ.get(value.removeprefix(REFERENCE))
            if target is not None:
                added[name] = target
    own = {f"{FILE_VARIABLE}{name}": added[name] for name in added}
    return Variables({**added, **environ}, {**environ, **added, **own}, environ)


def _add_passthrough(
    section: Mapping[str, object], values: ReferenceResolver
) -> Mapping[str, object]:
    """Turn the pass-through on if it is configured or ANTHROPIC_API_KEY is set; false is off.

    An ANTHROPIC_API_KEY that cannot be sent turns nothing on, and is a problem of `values`.
    """
    environ = values.variables.defaults
    passthrough = section.get("passthrough", {})
    if passthrough is False:
        passthrough = {"anthropic": False}
    if not isinstance(passthrough, Mapping):
        return section
    anthropic = passthrough.get("anthropic")
    if anthropic is None and (key := environ.get("ANTHROPIC_API_KEY")):
        is_usable = values.validate(PassthroughParams, {"api_key": key}, "ANTHROPIC_API_KEY")
        anthropic = {} if is_usable else False
    if isinstance(anthropic, Mapping):
        raw = PassthroughParams.canonical(anthropic)
        variables = PassthroughParams.from_environment(raw, environ)
        anthropic = {**raw, **{field: environ[name] for field, name in variables.items()}}
    passthrough = {**passthrough, "anthropic": None if anthropic is False else anthropic}
    return {**section, "passthrough": passthrough}


def _add_environment(settings: Settings, values: ReferenceResolver) -> Settings:
    """Return the settings with the proxies of the process's environment, if they trust it."""
    try:
        http = settings.http.with_environment(values.variables.process)
    except ValueError as error:
        values.problems.append(f"count_tokens.http.trust_env: {error}")
        return settings
    return settings.model_copy(update={"http": http})


def _warn_of_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each variable of the file that only a vendor's library would use."""
    for name in sorted(environ):
        own = name.removeprefix(FILE_VARIABLE)
        if own != name and own.startswith(("AWS_", "GOOGLE_")) and own not in _USED_VARIABLES:
            yield f"{name}: has no effect here; set it in the environment of the process"


def _remark_on_variables(
    environ: Mapping[str, str], deployments: Sequence[Deployment]
) -> Iterator[str]:
    """Yield a remark for each variable that sends LiteLLM's chats elsewhere than their counts."""
    is_public = any(
        isinstance(deployment.params, AnthropicParams)
        and deployment.params.api_base == ANTHROPIC_API
        for deployment in deployments
    )
    for name in ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"):
        if is_public and environ.get(name):
            yield f"{name}: has no effect here; write api_base: os.environ/{name}"
