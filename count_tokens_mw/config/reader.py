"""From the documents of a LiteLLM `config.yaml` to what is configured, and all that is wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from count_tokens_mw.config.entries import Credential, EntryReader
from count_tokens_mw.config.files import Document
from count_tokens_mw.config.litellm_keys import nearest
from count_tokens_mw.config.models import Deployment, RouterSettings, Settings
from count_tokens_mw.config.params.anthropic import (
    ANTHROPIC_API,
    AnthropicParams,
    PassthroughParams,
)
from count_tokens_mw.config.params.base import FILE_VARIABLE
from count_tokens_mw.config.references import REFERENCE, ReferenceResolver

__all__ = ["Reading", "read"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What documents say, with all that is wrong.

    A deployment whose entry has problems is there with its `problem`. `warnings` are about what has
    no effect.
    """

    deployments: tuple[Deployment, ...] = ()
    settings: Settings = field(default_factory=Settings)
    router_settings: RouterSettings = field(default_factory=RouterSettings)
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read(documents: Sequence[Document], environ: Mapping[str, str]) -> Reading:
    """Read documents as one configuration: lists add up, of other sections the last one counts.

    Problems name file, entry and key, and quote no value. References `os.environ/NAME` are looked
    up in `environ`, where the section `environment_variables` is put first.
    """
    sections = _Sections(documents)
    values = ReferenceResolver(_with_variables(environ, sections.mapping("environment_variables")))
    settings = values.load(
        Settings,
        sections.last("count_tokens", {}),
        "count_tokens",
        lambda section: _with_passthrough(section, values.environ),
    )
    router_settings = values.load(
        RouterSettings, _of_ours(sections.mapping("router_settings")), "router_settings"
    )
    entries = EntryReader(values, dict(_credentials(sections, values)))
    deployments = tuple(entries.deployments(sections.items("model_list")))
    router_settings = router_settings or RouterSettings()
    return Reading(
        deployments=deployments,
        settings=settings or Settings(),
        router_settings=router_settings,
        problems=(*sections.problems, *values.problems),
        warnings=(
            *sections.misspelt(),
            *_misspelt_settings(sections.mapping("router_settings")),
            *_unused_variables(values.environ, deployments),
            *entries.warnings(),
            *_misled_aliases(router_settings, deployments),
        ),
    )


_SECTIONS: Final = (
    "count_tokens",
    "credential_list",
    "environment_variables",
    "include",
    "model_list",
    "router_settings",
)
_MOST_COMPARED: Final = 500
_READ: Final = {
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
_VERY_LIKE: Final = 0.85  # LiteLLM has many more sections and settings, which change with time


class _Sections:
    """The documents' top-level sections, each checked to be a mapping or a list as it has to be."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.problems: list[str] = []
        self._documents: list[tuple[Document, Mapping[object, object]]] = []
        for document in documents:
            if isinstance(document.data, Mapping):
                self._documents.append((document, document.data))
            else:
                self.problems.append(document.place("a mapping with model_list is required"))

    def last(self, name: str, default: object) -> object:
        found = [data[name] for _, data in self._documents if data.get(name) is not None]
        return found[-1] if found else default

    def misspelt(self) -> Iterator[str]:
        """A word for each section that is called almost like one of ours."""
        for document, data in self._documents:
            for key in data:
                meant = nearest(str(key), _SECTIONS, likeness=_VERY_LIKE)
                if meant and meant != key:
                    yield document.place(f"{key}: nobody knows this section; did you mean {meant}?")

    def mapping(self, name: str) -> Mapping[str, object]:
        section = self.last(name, {})
        if isinstance(section, Mapping):
            return section
        self.problems.append(f"{name}: a mapping is required")
        return {}

    def items(self, name: str) -> Iterator[tuple[str, object]]:
        """The items of all lists of this name, each with its place."""
        for document, data in self._documents:
            items = data.get(name)
            if items is not None and not isinstance(items, list):
                self.problems.append(document.place(f"{name}: a list is required"))
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


def _with_variables(environ: Mapping[str, str], section: Mapping[str, object]) -> Mapping[str, str]:
    """The environment with the file's own variables; those that refer to an unset one are none."""
    added = {name: str(value) for name, value in section.items() if value is not None}
    for name, value in list(added.items()):
        if value.startswith(REFERENCE):
            del added[name]
            referred = environ.get(value.removeprefix(REFERENCE))
            if referred is not None:
                added[name] = referred
    return {**environ, **added, **{f"{FILE_VARIABLE}{name}": added[name] for name in added}}


def _of_ours(section: Mapping[str, object]) -> dict[str, object]:
    """References elsewhere in the section may be to variables that only the proxy has."""
    return {name: section[name] for name in RouterSettings.model_fields if name in section}


def _misspelt_settings(section: Mapping[str, object]) -> Iterator[str]:
    for key in section:
        meant = nearest(str(key), RouterSettings.model_fields, likeness=_VERY_LIKE)
        if meant and meant != key:
            yield f"router_settings.{key}: nobody knows this key; did you mean {meant}?"


def _with_passthrough(
    section: Mapping[str, object], environ: Mapping[str, str]
) -> Mapping[str, object]:
    """On where it is configured, or where Anthropic's key is there anyway; false is off."""
    passthrough = section.get("passthrough", {})
    if passthrough is False:
        passthrough = {"anthropic": False}
    if not isinstance(passthrough, Mapping):
        return section
    anthropic = passthrough.get("anthropic")
    if anthropic is None and environ.get("ANTHROPIC_API_KEY"):
        anthropic = {}
    if isinstance(anthropic, Mapping):
        given = PassthroughParams.canonical(anthropic)
        variables = PassthroughParams.from_environment(given, environ)
        anthropic = {**given, **{field: environ[name] for field, name in variables.items()}}
    passthrough = {**passthrough, "anthropic": None if anthropic is False else anthropic}
    return {**section, "passthrough": passthrough}


def _unused_variables(
    environ: Mapping[str, str], deployments: Sequence[Deployment]
) -> Iterator[str]:
    """Variables that LiteLLM, or a vendor's library under it, would have used."""
    for name in sorted(environ):
        own = name.removeprefix(FILE_VARIABLE)
        if own != name and own.startswith(("AWS_", "GOOGLE_")) and own not in _READ:
            yield f"{name}: has no effect here; set it in the environment of the process"
    is_public = any(
        isinstance(each.params, AnthropicParams) and each.params.api_base == ANTHROPIC_API
        for each in deployments
    )
    if is_public and environ.get("ANTHROPIC_API_BASE"):
        instead = "api_base: os.environ/ANTHROPIC_API_BASE"
        yield f"ANTHROPIC_API_BASE: is set, and has no effect here; write {instead}"


def _misled_aliases(
    router_settings: RouterSettings, deployments: Sequence[Deployment]
) -> Iterator[str]:
    names = {deployment.model_name for deployment in deployments}
    stars = any("*" in name for name in names)
    aliases = router_settings.model_group_alias
    for alias, target in aliases.items():
        place = f"router_settings.model_group_alias.{alias}"
        if alias in names:
            yield f"{place}: an entry has this name, and is what callers get"
        elif target in aliases and target not in names:
            yield f"{place}: {target} is an alias too, and an alias cannot lead to one"
        elif target not in names and not stars:
            # A suggestion is a comparison with every name there is.
            near = nearest(target, names) if len(names) <= _MOST_COMPARED else None
            yield f"{place}: no entry is named {target}" + (
                f"; did you mean {near}?" if near else ""
            )
