"""The host's own answer to which deployments a model has, in place of the file's."""

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import TypeAlias

from starlette.exceptions import HTTPException

from count_tokens_mw.config.models import Deployment
from count_tokens_mw.host.auth import to_refused
from count_tokens_mw.types import Caller

__all__ = ["Resolver", "call_resolve"]

Resolver: TypeAlias = Callable[
    [str, Caller | None],
    Sequence[Deployment] | Awaitable[Sequence[Deployment] | None] | None,
]
"""Says which deployments a model has for a caller, sync or async; None for those of the file.

The model is the name that `authorize` was asked about; the caller is None where the host itself
counts without one. What it returns is tried by `order`, `weight` and in its order, like a
file's; an empty sequence is an unknown model. `Config.from_mapping({"model_list": [...]})` makes
deployments of entries in LiteLLM's format. Any Starlette or FastAPI `HTTPException` refuses.
"""


async def call_resolve(
    resolve: Resolver, model: str, caller: Caller | None
) -> Sequence[Deployment] | None:
    """Call the host's `resolve`.

    Raises:
        CountError: it refused.
        TypeError: it returned something else than deployments.
    """
    try:
        found = resolve(model, caller)
        if isawaitable(found):
            found = await found
    except HTTPException as refusal:
        raise to_refused(refusal) from None
    if found is None:
        return None
    deployments = list(found)
    if not all(_is_deployment(each) for each in deployments):
        raise TypeError("resolve has to return deployments, or None")
    return deployments


def _is_deployment(value: object) -> bool:
    from count_tokens_mw.config.models import Deployment

    return isinstance(value, Deployment)
