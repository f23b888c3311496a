"""The counts that a breakdown takes: several at once, each within the limits of any other."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from count_tokens_mw.breakdown import Breakdown, Progress
from count_tokens_mw.errors import CountError
from count_tokens_mw.parts import Counts, Parts
from count_tokens_mw.types import CountRequest, TokenCount

__all__ = ["broken_down"]

# Errors of the moment: the next attempt may do better, and the counts that went well are cached.
_OF_THE_MOMENT: Final = frozenset({401, 403, 408, 429})
_CANNOT_COUNT: Final = 501


async def broken_down(
    parts: Parts,
    whole: TokenCount,
    count: Callable[[CountRequest], Awaitable[TokenCount]],
    *,
    at_once: int,
    progress: Progress,
) -> Breakdown:
    """Count what tells the parts of a request apart, and tell them.

    Raises:
        CountError: one of the counts failed for a reason that is not in the part left out.
    """
    counts = Counts()
    left = parts.requests()

    async def work() -> None:
        for name, request in left:
            try:
                counts.tokens[name] = (await count(request)).input_tokens
            except CountError as error:
                if not _is_of_the_part(error):
                    raise
                counts.errors[name] = error
            progress(1 + len(counts.tokens) + len(counts.errors), 1 + parts.number)

    progress(1, 1 + parts.number)
    await _all_at_once([work() for _ in range(min(at_once, parts.number))])
    return parts.breakdown(whole, counts)


async def _all_at_once(works: list[Awaitable[None]]) -> None:
    """Until the first one fails, which ends the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _is_of_the_part(error: CountError) -> bool:
    if error.status >= 500:
        return error.status == _CANNOT_COUNT
    return error.status not in _OF_THE_MOMENT
