"""What a configuration comes to: a row for each deployment, and a tiny count by each."""

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import SecretStr

from count_tokens_mw.cli.hints import hint_for
from count_tokens_mw.config import Config
from count_tokens_mw.config.model_names import ANY_PROVIDER
from count_tokens_mw.config.models import Deployment
from count_tokens_mw.config.params.bedrock import BedrockParams
from count_tokens_mw.config.reader import Reading
from count_tokens_mw.counting.failover import Failover
from count_tokens_mw.counting.record import RequestRecord
from count_tokens_mw.counting.router import Router
from count_tokens_mw.counting.snapshot import ConfigSnapshot
from count_tokens_mw.errors import CannotCount, CountError, NotFound, UpstreamError
from count_tokens_mw.protocol.request import request_from_mapping
from count_tokens_mw.providers.bedrock.provider import foundation_model
from count_tokens_mw.providers.pool import Providers

__all__ = ["Row", "State", "is_well", "probe", "rows_of"]

_AT_ONCE: Final = 8
_SHORTEST_SECRET: Final = 8  # a shorter one is a dummy, and part of many words
_MESSAGES: Final = [{"role": "user", "content": "Hi"}]

State: TypeAlias = Literal[
    "configured", "counted", "cannot_count", "failed", "problem", "pattern", "alias"
]
"""`pattern` is an entry with a star, which has no model of its own to count for."""


@dataclass(frozen=True, slots=True)
class Row:
    """One deployment of one name; `words` say what its state does not. Nothing of it is a secret.

    An alias, and a name that no entry has, is without a deployment. `input_tokens`, and
    `milliseconds` of the whole attempt, are there once it is probed.
    """

    model_name: str
    state: State
    deployment: Deployment | None = field(default=None, repr=False)
    host: str | None = None
    credential: str | None = None
    words: str | None = None
    hint: str | None = None
    input_tokens: int | None = None
    milliseconds: int | None = None


def rows_of(reading: Reading, models: Sequence[str] = ()) -> list[Row]:
    """The rows of all entries in their order, or of what some models that callers name lead to."""
    if models:
        router = ConfigSnapshot(_config(reading)).router
        return [row for model in models for row in _rows_of_model(router, model)]
    groups: dict[str, list[Row]] = {}
    for deployment in sorted(reading.deployments, key=_turn):
        name = deployment.model_name
        groups.setdefault(name, []).append(_row(name, deployment))
    for alias, target in reading.router_settings.model_group_alias.items():
        groups.setdefault(alias, [Row(alias, "alias", words=f"leads to {target}")])
    in_the_file = (each.model_name for each in reading.deployments)
    return [row for name in dict.fromkeys([*in_the_file, *groups]) for row in groups[name]]


def is_well(reading: Reading, rows: Sequence[Row]) -> bool:
    """Whether there are rows, nothing is wrong, no key is unknown, and no probe failed."""
    bad = not rows or any(row.state in {"failed", "problem"} for row in rows)
    return not (reading.problems or reading.warnings or bad)


async def probe(reading: Reading, rows: Sequence[Row]) -> list[Row]:
    """The same rows after one tiny count by each that has a model of its own."""
    snapshot, providers = ConfigSnapshot(_config(reading)), Providers()
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def probe_in_turn(row: Row) -> Row:
        if row.state == "pattern":
            return replace(row, words=f"{row.words}; to probe it, name one by --model")
        if row.state != "configured" or row.deployment is None:
            return row
        async with at_once:
            return await _probe_row(row, row.deployment, snapshot, providers)

    try:
        return list(await asyncio.gather(*map(probe_in_turn, rows)))
    finally:
        await providers.aclose()


async def _probe_row(
    row: Row, deployment: Deployment, snapshot: ConfigSnapshot, providers: Providers
) -> Row:
    record = RequestRecord("count")
    body = {"model": deployment.upstream_model, "messages": _MESSAGES}
    request = request_from_mapping(body, ())
    deadline = asyncio.get_running_loop().time() + snapshot.settings.timeout
    attempts = Failover(snapshot, providers, None, request, record, deadline)
    try:
        count = await attempts.first_count([deployment])
    except CountError as error:
        words = error.message
        if isinstance(error, UpstreamError):
            words = _without_secrets(words, deployment)
        said = f"{error.status} {error.type}: {words}"
        hint = hint_for(deployment.provider, error)
        return replace(row, state="failed", words=said, hint=hint, milliseconds=_took(record))
    return replace(
        row, state="counted", input_tokens=count.input_tokens, milliseconds=_took(record)
    )


def _config(reading: Reading) -> Config:
    return Config(reading.deployments, reading.settings, reading.router_settings)


def _turn(deployment: Deployment) -> tuple[float, float]:
    """The order in which a person wants to read those of one name: the likeliest first."""
    order = math.inf if deployment.order is None else deployment.order
    return order, -(deployment.weight or 0)


def _rows_of_model(router: Router, model: str) -> Iterator[Row]:
    try:
        for deployment in sorted(router.find(router.name_of(model)), key=_turn):
            yield _row(model, deployment)
    except NotFound:
        yield Row(model, "problem", words="no entry has this name")


def _row(name: str, deployment: Deployment) -> Row:
    params = deployment.params
    if deployment.problem:
        return Row(name, "problem", deployment, words=deployment.problem)
    if deployment.provider == ANY_PROVIDER:
        configured = [each for each, there in deployment.by_provider.items() if there.params]
        if not configured:
            words = "it is for any model, and no provider has credentials"
            return Row(name, "problem", deployment, words=words)
        words = f"any model of {', '.join(configured)}"
        return Row(name, "pattern", deployment, words=words)
    if params is None:
        return Row(name, "cannot_count", deployment, words="cannot be counted: answers 501")
    state: State = "pattern" if "*" in deployment.upstream_model else "configured"
    fits = None if state == "configured" else "any model that fits"
    try:
        if isinstance(params, BedrockParams) and state == "configured":
            foundation_model(deployment.upstream_model, params)
    except CannotCount as error:
        return Row(name, "problem", deployment, words=error.message)
    host, credential = urlsplit(params.endpoint).netloc, deployment.credential_source
    return Row(name, state, deployment, host, credential, fits)


def _took(record: RequestRecord) -> int:
    return round(record.attempts[-1].duration * 1000)


def _without_secrets(words: str, deployment: Deployment) -> str:
    """An upstream may repeat the key that it refuses."""
    params = deployment.params
    secrets = set(_texts([value for _, value in params or () if isinstance(value, SecretStr)]))
    secrets |= set(_texts(getattr(params, "vertex_credentials", None)))
    for header in _texts(getattr(params, "extra_headers", None)):
        secrets |= {header, header.removeprefix("Bearer ")}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            words = words.replace(secret, "…")
    return words


def _texts(value: object) -> Iterator[str]:
    """All text in a value, wherever it stands."""
    match value:
        case str():
            yield value
        case SecretStr():
            yield value.get_secret_value()
        case Mapping():
            yield from _texts(list(value.values()))
        case list():
            for item in value:
                yield from _texts(item)
