"""Value types that all layers share, without I/O and without a framework."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple, TypeAlias

from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.rawjson.object import JsonObject, JsonValue

__all__ = [
    "NOBODY",
    "Attribution",
    "Caller",
    "CountRequest",
    "Headers",
    "KnownCall",
    "RequestBody",
    "Source",
    "TokenCount",
    "UpstreamAnswer",
    "UpstreamCall",
    "hash_names",
    "unreadable",
]

Headers: TypeAlias = Sequence[tuple[str, str]]
"""Header lines in their order, with lower-case names and printable ASCII values."""

Source: TypeAlias = Literal["cache", "provider"]
"""Source of a count; a count shared with a concurrent identical request is from the cache too."""

KnownCall: TypeAlias = tuple[str, str, bytes, tuple[str, ...]]
"""Account, model and fingerprint of an upstream call, and the bounded omissions of the request."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Caller of the gateway, as the host's `authenticate` returns it.

    `id` is logged with every count, so it must not be a secret. `attributes` belong to the host and
    reach its `authorize` and its hooks. They are omitted from `repr`.
    """

    id: str
    scopes: frozenset[str] = frozenset()
    attributes: Mapping[str, object] = field(default_factory=dict, repr=False)


class Attribution(NamedTuple):
    """Names in a request's body by which a host attributes it, each cut to 256 characters.

    `user` is the end user by the fields that are always read, and `safety_identifier` is by
    another one, which counts only if it is configured. `session_id` is Claude Code's.
    """

    user: str | None = None
    safety_identifier: str | None = None
    session_id: str | None = None
    tags: tuple[str, ...] = ()


NOBODY: Final = Attribution()
"""The attribution of a body without a name."""


class RequestBody(NamedTuple):
    """Bytes of an HTTP request's body, and their SHA-256."""

    raw: bytes
    digest: bytes


@dataclass(slots=True)
class CountRequest:
    """Request to count, in Anthropic's format.

    `body` is the JSON object as received, and `attribution` has the names in it. `headers` are the
    caller's `anthropic-*` headers. Only the pass-through uses `query` and `credentials`; the latter
    are the caller's own, and empty unless forwarding is configured.

    `unread` are the fields that may name the end user and are too long to be read.

    `memo_key` is the key of the request in the memo, or None if it is not stored. `known_calls` are
    the upstream calls of an identical earlier request, the latest first.
    """

    model: str
    body: JsonObject = field(repr=False)
    headers: Headers = ()
    query: str = field(default="", repr=False)
    credentials: Headers = field(default=(), repr=False)
    attribution: Attribution = NOBODY
    memo_key: bytes | None = field(default=None, repr=False)
    known_calls: Sequence[KnownCall] = ()
    unread: tuple[str, ...] = ()

    def for_model(self, model: str) -> "CountRequest":
        """Return a copy of the request for another model."""
        return replace(self, model=model)

    def parse(self) -> dict[str, JsonValue]:
        """Parse the whole body.

        Raises:
            InvalidRequest: Python cannot read a value in it.
        """
        try:
            return self.body.value
        except ValueError as error:
            raise unreadable(error) from None


def hash_names(first: str, second: str = "") -> bytes:
    """Return a hash of names that a table only compares, so that long ones take no memory there.

    Names may have lone surrogates.
    """
    # Length-prefixed, so that different splits of one text cannot collide.
    text = f"{len(first)}:{first}{second}".encode(errors="surrogatepass")
    return hashlib.blake2b(text, digest_size=16).digest()


def unreadable(error: ValueError) -> InvalidRequest:
    """Return the error for a body that cannot be read."""
    return InvalidRequest(f"The request body cannot be read: {error}.")


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """Exact request to the upstream: `prepare` creates it, and `send` sends it unchanged.

    `target` is the URL. `repr` shows neither its query, which is the caller's, nor `headers`, which
    may hold the credential, nor `body`, which holds the prompt. A `signed` call must not get
    further headers. `kind` is the provider's own name for the API that is called. `model` is the
    upstream's, and `betas` are those that headers or body send. `refusals` are the answers of the
    provider's other APIs, which do not count the model, for the message of an error.

    `omitted` are the places of the caller's request that the call leaves out and that may matter to
    its count, as plain text: `tools.0.custom.strict`, `anthropic-beta:NAME`. They are no part of
    the request to the upstream, and neither are `refusals`, so calls that differ only in these are
    equal and share a count.
    """

    provider: str
    target: str
    headers: Headers
    body: bytes
    signed: bool = False
    kind: str = ""
    model: str = ""
    betas: tuple[str, ...] = ()
    omitted: tuple[str, ...] = field(default=(), compare=False)
    refusals: tuple[str, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:
        return f"<UpstreamCall to {self.provider} at {self.target.partition('?')[0]}>"


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """Complete answer of the upstream, with lower-case header names."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Count from a provider.

    `body` is the provider's own JSON answer if it is in Anthropic's format; it may have more
    members than `input_tokens`. `headers` are its response headers that concern the caller.
    `omitted` are the places of the request that were left out of the count and may matter to it, as
    `bound_places` returns them. They belong to the request, so a count in a cache has none.
    """

    input_tokens: int
    source: Source = "provider"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    omitted: tuple[str, ...] = ()

    def from_cache(self) -> "TokenCount":
        """Return the count for another caller, whom its headers and omissions do not concern."""
        return TokenCount(self.input_tokens, "cache", self.body)

    def for_call(self, omitted: tuple[str, ...]) -> "TokenCount":
        """Return the count for a call with these omissions; without any, the count itself."""
        return replace(self, omitted=omitted) if omitted else self
