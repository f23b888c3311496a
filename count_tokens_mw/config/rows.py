"""The reader of tenants' rows: keys and values of a tenant's own, and nothing of the host's.

A row is an entry of `model_list`. It may name no variable, file, profile, role or credential of
the host. It may name an upstream only if the host allows that URL.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import isawaitable
from typing import Any, Final

from count_tokens_mw.aio.guard import call_and_log
from count_tokens_mw.config.entries import Entry, EntryReader, Info, broken_deployment
from count_tokens_mw.config.entry_params import ParamsReader, used_keys
from count_tokens_mw.config.model_names import ANY_PROVIDER
from count_tokens_mw.config.models import Deployment
from count_tokens_mw.config.params.base import Params
from count_tokens_mw.config.providers import PROVIDERS
from count_tokens_mw.config.references import REFERENCE, ReferenceResolver, Variables

__all__ = ["read_rows"]

_ROW_KEYS: Final = frozenset({"custom_llm_provider", "model", "order", "weight"})
_MOST_KEYS: Final = 64
_LONGEST_KEY: Final = 64
_NOT_ALLOWED: Final = "not allowed in a tenant's row; remove it"
# The hint in "set it or ANTHROPIC_API_KEY", which is true of an operator's entry only.
_OR_VARIABLE: Final = re.compile(r",? or [A-Z][A-Z_]+(?=;|$)")


def read_rows(
    rows: Iterable[Mapping[str, Any]], allow_base: Callable[[str], bool] | None
) -> tuple[tuple[Deployment, ...], tuple[str, ...]]:
    """Return the deployments of rows, and the rows' problems and probable mistakes.

    Nothing but the rows is read: no variable, no file, no address.
    """
    values = ReferenceResolver(Variables({}, {}, {}))
    params = ParamsReader(values, {})
    items = ((f"rows[{index}]", row) for index, row in enumerate(rows))
    reader = _RowReader(values, params, allow_base)
    deployments = tuple(
        deployment.model_copy(update={"problem": _adapt(deployment.problem)})
        if deployment.problem
        else deployment
        for deployment in reader.deployments(items)
    )
    warnings = (*values.problems, *params.warnings(), *params.remarks())
    return deployments, tuple(map(_adapt, warnings))


class _RowReader(EntryReader):
    """Reader of entries that refuses all that a tenant's row must not have."""

    def __init__(
        self,
        values: ReferenceResolver,
        params: ParamsReader,
        allow_base: Callable[[str], bool] | None,
    ) -> None:
        super().__init__(values, params)
        self._allow_base = allow_base
        self._known_keys = used_keys() - _ROW_KEYS
        self._row_keys = frozenset().union(*(spec.params.row_keys for spec in PROVIDERS.values()))

    def _build(self, index: int, entry: Entry, place: str) -> Deployment | None:
        problems = [*_find_excess(entry), *_find_references(dict(entry), "")]
        if not problems:
            return super()._build(index, entry, place)
        self._values.problems += [f"{place}: {problem}" for problem in problems]
        return broken_deployment(index, entry.model_name)

    def _add_params(
        self, deployment: Deployment, entry: Entry, info: Info, place: str
    ) -> Deployment:
        problems = [*self._find_refused(deployment.provider, entry.litellm_params)]
        if not problems:
            deployment = super()._add_params(deployment, entry, info, place)
            if deployment.params is not None:
                problems = [*self._check(deployment.params)]
        self._values.problems += [f"{place}.{problem}" for problem in problems]
        return deployment

    def _find_refused(self, provider: str, row: Mapping[str, object]) -> Iterator[str]:
        """Yield a problem for each key and each path that a row of this provider must not have.

        They are found before any value is read, because a file would be read at once.
        """
        if provider == ANY_PROVIDER:
            yield "model: a tenant's row needs a provider; write it before the slash"
            return
        own = PROVIDERS[provider].params
        own_names = {name for field in own.model_fields for name in own.names(field)}
        for key in sorted(self._known_keys & row.keys()):
            allowed = own.row_keys if key in own_names else self._row_keys
            if row[key] is not None and key not in allowed:
                yield f"{key}: {_NOT_ALLOWED}"
            elif own.is_path(key, row[key]):
                yield f"{key}: a path is not allowed in a tenant's row; write the JSON itself"

    def _check(self, params: Params) -> Iterator[str]:
        """Yield the problems of parameters as they will be used."""
        base = params.base_field()
        if base in params.model_fields_set and not self._is_allowed(getattr(params, base)):
            yield "api_base: this host does not allow the URL in a tenant's row"
        if problem := params.row_problem():
            yield problem

    def _is_allowed(self, url: str) -> bool:
        """Return the host's decision; an exception of its callable is logged and means no."""
        answer = call_and_log(self._allow_base, url) if self._allow_base else False
        return bool(answer) and not isawaitable(answer)  # a coroutine is true, but no decision


def _find_excess(entry: Entry) -> Iterator[str]:
    """Yield a problem if the keys are too many or too long to be compared with known ones."""
    for name, data in (("litellm_params", entry.litellm_params), ("model_info", entry.model_info)):
        if data and (len(data) > _MOST_KEYS or any(len(key) > _LONGEST_KEY for key in data)):
            yield f"{name}: more than {_MOST_KEYS} keys, or a key of over {_LONGEST_KEY} characters"


def _find_references(value: object, place: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _find_references(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _find_references(item, place)
    elif isinstance(value, str) and value.startswith(REFERENCE):
        yield f"{place}: {REFERENCE} is {_NOT_ALLOWED}"


def _adapt(problem: str) -> str:
    """Return a problem without a hint at variables, and safe in a line of a log."""
    text = _OR_VARIABLE.sub("", problem)
    return "".join(char if char.isprintable() else "?" for char in text)
