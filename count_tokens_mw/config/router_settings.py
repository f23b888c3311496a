"""LiteLLM's `router_settings`: what concerns a count, and what is wrong with it.

https://docs.litellm.ai/docs/proxy/config_settings
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from count_tokens_mw.config.litellm_keys import nearest
from count_tokens_mw.config.model_names import UNKNOWN_PROVIDER
from count_tokens_mw.config.models import Deployment, RouterSettings
from count_tokens_mw.config.references import ReferenceResolver

__all__ = [
    "CHAT_SETTINGS",
    "MIN_LIKENESS",
    "read_router_settings",
    "remark_on_settings",
    "remark_on_tags",
    "warn_of_router_settings",
]

MIN_LIKENESS: Final = 0.85
"""The likeness to a known section or setting; it is high, as LiteLLM has many others."""

_DEFAULT: Final = "a default of LiteLLM's chats, and of no count; write it into the entries"
CHAT_SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "general_settings": {
        "completion_model": "LiteLLM's proxy sends every chat to this model; a count is for the "
        "model that the caller names",
    },
    "litellm_settings": dict.fromkeys(("api_base", "vertex_location", "vertex_project"), _DEFAULT),
    "router_settings": {"default_litellm_params": _DEFAULT},
}
"""The settings by which LiteLLM's chats go elsewhere than their counts, and what they do."""

_PLACE: Final = "router_settings"
_ALIASES: Final = "model_group_alias"
_MAX_COMPARED: Final = 500


def read_router_settings(
    section: Mapping[str, object], values: ReferenceResolver
) -> tuple[RouterSettings, list[Deployment]]:
    """Return the settings without those that have a fault, and a broken deployment for each alias.

    Other settings are not read, because they may refer to variables that only LiteLLM's proxy has.
    """
    sound: dict[str, object] = {}
    for name in RouterSettings.model_fields.keys() & section.keys() - {_ALIASES}:
        loaded = values.load(RouterSettings, {name: section[name]}, _PLACE)
        if loaded is not None:
            sound[name] = getattr(loaded, name)
    aliases, broken = _read_aliases(section.get(_ALIASES), values)
    return RouterSettings.model_validate({**sound, _ALIASES: aliases}), broken


def _read_aliases(
    section: object, values: ReferenceResolver
) -> tuple[dict[str, str], list[Deployment]]:
    if not isinstance(section, Mapping):
        values.load(RouterSettings, {_ALIASES: section}, _PLACE)
        return {}, []
    aliases: dict[str, str] = {}
    broken = []
    for alias, target in section.items():
        known_problems = len(values.problems)
        loaded = values.load(RouterSettings, {_ALIASES: {alias: target}}, _PLACE)
        if loaded is not None and len(values.problems) == known_problems:
            aliases |= loaded.model_group_alias
            continue
        broken.append(
            Deployment(
                id=f"{alias}#alias",
                model_name=str(alias),
                provider=UNKNOWN_PROVIDER,
                upstream_model=str(alias),
                problem="; ".join(values.problems[known_problems:]),
            )
        )
    return aliases, broken


def warn_of_router_settings(
    section: Mapping[str, object], aliases: Mapping[str, str], names: Collection[str]
) -> Iterator[str]:
    """Yield a warning for each misspelt setting, and for each alias that leads nowhere."""
    for key in section:
        meant = nearest(str(key), RouterSettings.model_fields, likeness=MIN_LIKENESS)
        if meant and meant != key:
            yield f"{_PLACE}.{key}: unknown key; did you mean {meant}?"
    has_wildcard = any("*" in name for name in names)
    for alias, target in aliases.items():
        place = f"{_PLACE}.{_ALIASES}.{alias}"
        if alias in names:
            yield f"{place}: an entry of this name takes precedence; rename the alias"
        elif target in aliases and target not in names:
            yield f"{place}: {target} is an alias too; name a model_name of model_list"
        elif target not in names and not has_wildcard:
            # A suggestion compares the target with every name.
            near = nearest(target, names) if len(names) <= _MAX_COMPARED else None
            yield f"{place}: no entry is named {target}" + (
                f"; did you mean {near}?" if near else ""
            )


def remark_on_settings(sections: Mapping[str, object]) -> Iterator[str]:
    """Yield a remark for each of `CHAT_SETTINGS` in the sections, which come by their names."""
    for name, settings in CHAT_SETTINGS.items():
        section = sections.get(name)
        if not isinstance(section, Mapping):
            continue
        for key, effect in settings.items():
            if section.get(key):
                yield f"{name}.{key}: {effect}"


def remark_on_tags(
    items: Sequence[tuple[str, object]], deployments: Sequence[Deployment]
) -> Iterator[str]:
    """Yield a remark for each name whose models LiteLLM's proxy tells apart by tags.

    `items` are the entries of `model_list` with their places.
    """
    models: dict[str, set[str]] = {}
    for deployment in deployments:
        models.setdefault(deployment.model_name, set()).add(deployment.litellm_model)
    tagged: dict[str, str] = {}
    for place, name in _iterate_tags(items):
        tagged.setdefault(name, place)
    for name, place in tagged.items():
        if len(models.get(name, ())) > 1:
            yield (
                f"{place}: LiteLLM selects among the different models of {name} by tag; a count "
                "does not"
            )


def _iterate_tags(items: Sequence[tuple[str, object]]) -> Iterator[tuple[str, str]]:
    """Yield the place and the name of each entry with tags."""
    for place, data in items:
        params = data.get("litellm_params") if isinstance(data, Mapping) else None
        if isinstance(data, Mapping) and isinstance(params, Mapping) and params.get("tags"):
            yield f"{place}.litellm_params.tags", str(data.get("model_name"))
