"""The check of a configuration: a row for each deployment, and a probe of each."""

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import SecretStr

from count_tokens_mw.aio.deadline import Deadline
from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.cache.sender import CachedSender
from count_tokens_mw.cli.hints import hint_for, opt_in_hint
from count_tokens_mw.config import Config
from count_tokens_mw.config.http_settings import HttpSettings
from count_tokens_mw.config.model_names import ANY_PROVIDER, kind_of_uncounted
from count_tokens_mw.config.models import CacheSettings, Deployment
from count_tokens_mw.config.reader import Reading
from count_tokens_mw.config.secret_files import KeyFile
from count_tokens_mw.counting.failover import Failover
from count_tokens_mw.counting.job import Job
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.counting.router import Router
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from count_tokens_mw.errors import CannotCount, CountError, NotFound
from count_tokens_mw.protocol.request import parse_request
from count_tokens_mw.providers.pool import Providers
from count_tokens_mw.rawjson.object import JsonObject
from count_tokens_mw.types import CountRequest, unreadable

__all__ = ["TINY", "Row", "State", "is_ok", "parse_body", "probe", "rows_of"]

_MAX_PROBES: Final = 8
_SHORTEST_SECRET: Final = 8  # a shorter one is a dummy, and occurs in ordinary text
TINY: Final = b'{"messages":[{"role":"user","content":"Hi"}]}'
"""The count request of a probe."""

State: TypeAlias = Literal[
    "configured", "counted", "cannot_count", "failed", "problem", "pattern", "alias"
]
"""`pattern` is an entry with a wildcard, which has no model of its own to count for."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the check: a deployment under one name, and `message` with details of its state.

    A row holds no secret. The row of an alias or of an unknown name has no deployment.
    `asked_model` is the name under which the provider counts for the upstream model. A probe sets
    `input_tokens`, and `milliseconds` of the whole attempt. `network` has the settings or variables
    that name a proxy and certificates for the host.
    """

    model_name: str
    state: State
    deployment: Deployment | None = field(default=None, repr=False)
    host: str | None = None
    credential: str | None = None
    message: str | None = None
    hint: str | None = None
    input_tokens: int | None = None
    milliseconds: int | None = None
    asked_model: str | None = None
    network: str | None = None


def rows_of(reading: Reading, models: Sequence[str] = ()) -> list[Row]:
    """Return the rows of all entries in their order, or only those of some callers' models."""
    http = reading.settings.http
    return [replace(row, network=_network_of(row, http)) for row in _list_rows(reading, models)]


def _network_of(row: Row, http: HttpSettings) -> str | None:
    """Return the origins of the proxy and the certificates for a row's host, and nothing else."""
    params = row.deployment.params if row.deployment else None
    if params is None or row.host is None:
        return None
    proxy = http.proxies.find(params.endpoint)
    texts = [f"proxy from {proxy.origin}"] if proxy else []
    texts += [f"certificates from {origin}" for origin in http.origins]
    return ", ".join(texts) or None


def _list_rows(reading: Reading, models: Sequence[str]) -> list[Row]:
    if models:
        router = ConfigSnapshot(_config(reading)).router
        return [row for model in models for row in _rows_of_model(router, model)]
    groups: dict[str, list[Row]] = {}
    for deployment in sorted(reading.deployments, key=_rank):
        name = deployment.model_name
        groups.setdefault(name, []).append(_row(name, deployment))
    for alias, target in reading.router_settings.model_group_alias.items():
        groups.setdefault(alias, [Row(alias, "alias", message=f"alias of {target}")])
    names = (deployment.model_name for deployment in reading.deployments)
    return [row for name in dict.fromkeys([*names, *groups]) for row in groups[name]]


def is_ok(reading: Reading, rows: Sequence[Row]) -> bool:
    """Return whether there are rows, no problem, fault or warning, and no failed probe."""
    has_failed = not rows or any(row.state in {"failed", "problem"} for row in rows)
    return not (reading.problems or reading.faults or reading.warnings or has_failed)


def parse_body(body: bytes) -> CountRequest:
    """Return the count request of a probe; it needs no model, because a deployment has its own.

    Raises:
        InvalidRequest: the body is no count request.
    """
    try:
        return parse_request(JsonObject.parse(body).edit({"model": "-"}))
    except ValueError as error:
        raise unreadable(error) from None


async def probe(
    reading: Reading, rows: Sequence[Row], request: CountRequest | None = None
) -> list[Row]:
    """Send a count by each row that has a model of its own, and return the new rows.

    Without a `request` it is a tiny one.
    """
    counted = parse_body(TINY) if request is None else request
    snapshot, fairness = ConfigSnapshot(_config(reading)), LoopFairness()
    providers = Providers(None, reading.settings.http, fairness)
    failover = Failover(providers, CachedSender(CacheSettings(ttl=0), fairness), fairness)
    limit = asyncio.Semaphore(_MAX_PROBES)

    async def probe_row(row: Row) -> Row:
        if row.state == "pattern":
            return replace(row, message=f"{row.message}; to probe one, pass --model")
        if row.state != "configured" or row.deployment is None:
            return row
        async with limit:
            return await _probe_row(row, row.deployment, counted, snapshot, failover)

    try:
        return list(await asyncio.gather(*map(probe_row, rows)))
    finally:
        await providers.aclose()


async def _probe_row(
    row: Row,
    deployment: Deployment,
    request: CountRequest,
    snapshot: ConfigSnapshot,
    failover: Failover,
) -> Row:
    record = RequestRecord("count")
    job = Job(request, snapshot, record, Deadline(snapshot.settings.timeout))
    try:
        count = await failover.first_count(job, [deployment])
    except CountError as error:
        message = f"{error.status} {error.type}: {_redact(error.message, deployment)}"
        hint = hint_for(deployment.provider, error)
        return replace(row, state="failed", message=message, hint=hint, milliseconds=_ms_of(record))
    omitted = f"left out: {', '.join(count.omitted)}" if count.omitted else row.message
    return replace(
        row,
        state="counted",
        message=omitted,
        input_tokens=count.input_tokens,
        milliseconds=_ms_of(record),
    )


def _config(reading: Reading) -> Config:
    return Config(reading.deployments, reading.settings, reading.router_settings)


def _rank(deployment: Deployment) -> tuple[float, float]:
    """Return a sort key that puts the deployment that is most likely to be tried first, first."""
    order = math.inf if deployment.order is None else deployment.order
    return order, -(deployment.weight or 0)


def _rows_of_model(router: Router, model: str) -> Iterator[Row]:
    try:
        for deployment in sorted(router.find_all(router.name_of(model)), key=_rank):
            yield _row(model, deployment)
    except NotFound:
        yield Row(model, "problem", message="no entry has this name")


def _row(name: str, deployment: Deployment) -> Row:
    params = deployment.params
    if deployment.problem:
        return Row(name, "problem", deployment, message=deployment.problem)
    if deployment.provider == ANY_PROVIDER:
        configured = [name for name, at in deployment.by_provider.items() if at.params]
        if not configured:
            problem = "no provider has credentials; set an API key in the environment"
            return Row(name, "problem", deployment, message=problem)
        return Row(name, "pattern", deployment, message=f"any model of {', '.join(configured)}")
    if params is None:
        kind = kind_of_uncounted(deployment.provider, deployment.upstream_model)
        api = f"no counting API for {kind}" if kind else "no counting API"
        hint = opt_in_hint(deployment.provider, api)
        return Row(name, "cannot_count", deployment, message=f"{api}; answers 501", hint=hint)
    state: State = "pattern" if "*" in deployment.upstream_model else "configured"
    message = None if state == "configured" else "any model that matches"
    asked_model = None
    try:
        if state == "configured":
            asked_model = params.countable_model(deployment.upstream_model)
    except CannotCount as error:
        return Row(name, "problem", deployment, message=error.message)
    host, credential = (
        urlsplit(params.endpoint_for(deployment.upstream_model)).netloc,
        deployment.credential_source,
    )
    return Row(name, state, deployment, host, credential, message, asked_model=asked_model)


def _ms_of(record: RequestRecord) -> int:
    return round(record.attempts[-1].duration * 1000)


def _redact(text: str, deployment: Deployment) -> str:
    """Remove the deployment's secrets, because an upstream may repeat the key that it refuses."""
    params = deployment.params
    fields = type(params).model_fields.items() if params else ()
    hidden = [getattr(params, name) for name, field in fields if not field.repr]
    hidden += [value for _, value in params or () if isinstance(value, SecretStr)]
    secrets = {part for whole in _texts(hidden) for part in (whole, whole.removeprefix("Bearer "))}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "…")
    return text


def _texts(value: object) -> Iterator[str]:
    """Yield every string in a value, however deeply nested."""
    match value:
        case str():
            yield value
        case SecretStr():
            yield value.get_secret_value()
        case KeyFile():
            yield from _texts(value.content)
        case Mapping():
            yield from _texts(list(value.values()))
        case list():
            for item in value:
                yield from _texts(item)
