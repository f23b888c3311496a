"""The one door to the caches: identical bodies are parsed once, identical calls are sent once."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from count_tokens_mw.aio.fairness import LoopFairness
from count_tokens_mw.aio.single_flight import RunCancelled, SingleFlight
from count_tokens_mw.cache.counts import CountCache
from count_tokens_mw.cache.fingerprint import fingerprint
from count_tokens_mw.cache.memo import RequestMemo
from count_tokens_mw.cache.scope import key_of_caller
from count_tokens_mw.config.models import CacheSettings, Deployment
from count_tokens_mw.errors import UpstreamUnreachable
from count_tokens_mw.protocol.omissions import bound_places
from count_tokens_mw.protocol.request import parse_request
from count_tokens_mw.types import (
    Caller,
    CountRequest,
    Headers,
    RequestBody,
    TokenCount,
    UpstreamCall,
)

__all__ = ["CachedSender"]

ToJoiner: TypeAlias = Callable[[BaseException], BaseException | None]


class CachedSender:
    """Sender of upstream calls, with a cache of their counts and single flight.

    The key of a count is the fingerprint of its upstream call, so bodies that differ only in what
    is left out share one, and each is answered with its own omissions. With `scope: caller` the
    keys of the memo and of the counts are each caller's own. With a `ttl` of 0 nothing is cached
    and every call is sent.

    Args:
        settings: the sizes and times of the caches.
        fairness: the event loop's, for hashing large bodies.
        clock: the monotonic time in seconds.
        changed: called when the number of cached counts may have changed.
    """

    def __init__(
        self,
        settings: CacheSettings,
        fairness: LoopFairness,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._fairness = fairness
        self._clock = clock
        self._changed = changed
        self._flights: SingleFlight[TokenCount] = SingleFlight()
        self._former: list[CountCache] = []
        self._open(settings)

    def __len__(self) -> int:
        """Return the number of counts in the cache."""
        return 0 if self._cache is None else len(self._cache)

    def parse(
        self,
        body: RequestBody,
        headers: Headers,
        query: str = "",
        caller: Caller | None = None,
    ) -> CountRequest:
        """Return the parsed request; a byte-identical recent body is not parsed again.

        A request that is recalled from the memo has only calls within the scope of its caller.

        Raises:
            InvalidRequest: the body cannot be parsed, or is no count request.
        """
        memo = self._memo
        if memo is None:
            return parse_request(body.raw, headers, query=query)
        digest = key_of_caller(body.digest, caller) if self._is_by_caller else body.digest
        request = memo.get(digest, body.raw, headers, query)
        if request is None:
            request = parse_request(body.raw, headers, query=query)
            memo.put(digest, request)
        return request

    def recall(self, request: CountRequest, deployment: Deployment) -> TokenCount | None:
        """Return the cached count of a request whose upstream call is known, or None."""
        if self._cache is not None and request.known_calls and deployment.params is not None:
            target = (deployment.params.account, deployment.upstream_model)
            for account, model, key, omitted in request.known_calls:
                if (account, model) == target:
                    count = self._cache.get(key)
                    return count.for_call(omitted) if count is not None and omitted else count
        return None

    async def send(
        self,
        request: CountRequest,
        deployment: Deployment,
        call: UpstreamCall,
        send: Callable[[UpstreamCall], Awaitable[TokenCount]],
        caller: Caller | None,
        to_joiner: ToJoiner,
    ) -> TokenCount:
        """Return the count of a call: from the cache, from one in flight, or by `send`.

        It has the omissions of this call. An exception is raised to every waiter, and is not
        cached. A request that joined a call in flight raises what `to_joiner` returns for it, or
        the exception itself for None.

        Raises:
            UpstreamUnreachable: the host cancelled the task of the call.
            CountError: as `send` does.
            PrepareAgain: as `send` does.
        """
        cache, memo, is_by_caller = self._cache, self._memo, self._is_by_caller
        omitted = bound_places(call.omitted) if call.omitted else ()
        if cache is None or memo is None or deployment.params is None:
            count = await send(call)
        else:
            account = deployment.params.account
            key = await fingerprint(call, account, self._fairness)
            if is_by_caller:
                key = key_of_caller(key, caller)
            memo.put_call(request, (account, deployment.upstream_model, key, omitted))
            count = cache.get(key) or await self._share(cache, key, call, send, to_joiner)
        return count.for_call(omitted)

    async def _share(
        self,
        cache: CountCache,
        key: bytes,
        call: UpstreamCall,
        send: Callable[[UpstreamCall], Awaitable[TokenCount]],
        to_joiner: ToJoiner,
    ) -> TokenCount:
        """Return the count of a key from Redis or by `send`, once for all that wait for it."""

        async def fetch() -> TokenCount:
            count = await cache.fetch(key)
            if count is None:
                count = await send(call)
                cache.put(key, count)
            self._changed()
            return count

        try:
            count, is_shared = await self._flights.run((cache, key), fetch, to_joiner)
        except RunCancelled:
            raise UpstreamUnreachable("The call to the provider was interrupted.") from None
        return (count.from_cache() if is_shared else count).for_call(call.omitted)

    def reload(self, settings: CacheSettings) -> None:
        """Begin new, empty caches; calls in flight still fill the former one."""
        if self._cache is not None:
            self._cache.retire()
            if self._cache.is_open:  # kept only until its connections are closed
                self._former.append(self._cache)
        self._open(settings)
        self._changed()

    async def close_former(self) -> None:
        """Close what former caches have open on this event loop."""
        for cache in list(self._former):
            await cache.aclose()
        self._former = [cache for cache in self._former if cache.is_open]

    async def aclose(self) -> None:
        """Close the connections to Redis; a later use opens them again."""
        if self._cache is not None:
            await self._cache.aclose()
        await self.close_former()

    def _open(self, settings: CacheSettings) -> None:
        self._is_by_caller = settings.scope == "caller"
        self._cache = CountCache(settings, self._clock) if settings.ttl else None
        self._memo = RequestMemo(settings.max_entries) if settings.ttl else None
