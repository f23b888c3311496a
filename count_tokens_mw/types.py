"""The frozen values that travel through the house. They know no I/O and no framework."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from count_tokens_mw.errors import InvalidRequest
from count_tokens_mw.rawjson.object import JsonObject, JsonValue

__all__ = [
    "Caller",
    "CountRequest",
    "Headers",
    "RequestBody",
    "Source",
    "TokenCount",
    "UpstreamAnswer",
    "UpstreamCall",
    "unreadable",
]

Headers: TypeAlias = Sequence[tuple[str, str]]
"""Header lines in their order; names in lower case, values printable ASCII."""

Source: TypeAlias = Literal["cache", "provider"]
"""Where a count comes from; one that another request is being asked for is from the cache too."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the host's `authenticate` tells it.

    `id` is logged with every count, so it must not be a secret. `attributes` are the host's own
    and reach its `authorize` and its hooks; they are kept out of `repr`.
    """

    id: str
    scopes: frozenset[str] = frozenset()
    attributes: Mapping[str, object] = field(default_factory=dict, repr=False)


class RequestBody(NamedTuple):
    """The bytes of an HTTP request's body, and their SHA-256."""

    raw: bytes
    digest: bytes


@dataclass(slots=True)
class CountRequest:
    """One request to count, in Anthropic's format.

    `body` is the JSON object as it came, and `user` the end user that it names. `headers` are the
    caller's native `anthropic-*` headers. `query` and `credentials` (the caller's own, and only
    where forwarding them is configured) matter to the pass-through alone.

    `memo_key` identifies the request in the memo, None where it is not memorised. `known_calls` are
    the calls that an identical request led to before: the account, the model and the fingerprint of
    each.
    """

    model: str
    body: JsonObject = field(repr=False)
    headers: Headers = ()
    query: str = field(default="", repr=False)
    credentials: Headers = field(default=(), repr=False)
    user: str | None = None
    memo_key: bytes | None = field(default=None, repr=False)
    known_calls: Sequence[tuple[str, str, bytes]] = ()

    def for_model(self, model: str) -> "CountRequest":
        """The same request, for another model."""
        return CountRequest(
            model,
            self.body,
            self.headers,
            self.query,
            self.credentials,
            self.user,
            self.memo_key,
            self.known_calls,
        )

    def parse(self) -> dict[str, JsonValue]:
        """The whole body, parsed.

        Raises:
            InvalidRequest: Python cannot read all of it.
        """
        try:
            return self.body.value
        except ValueError as error:
            raise unreadable(error) from None


def unreadable(error: ValueError) -> InvalidRequest:
    """What is said of a body that cannot be read."""
    return InvalidRequest(f"The request body cannot be read: {error}.")


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """The exact request that goes upstream: made by `prepare`, sent by `send`, changed by nobody.

    `target` is the URL. Its query is the caller's, `headers` may hold the credential and `body` the
    prompt, so none of them shows in `repr`. `fallback` is the call to make where this one's API
    does not support the model. Nothing may be added to a call that is `signed`.
    """

    provider: str
    target: str
    headers: Headers
    body: bytes
    fallback: "UpstreamCall | None" = None
    signed: bool = False

    def __repr__(self) -> str:
        return f"<UpstreamCall to {self.provider} at {self.target.partition('?')[0]}>"


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """What came back, read to its end. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenCount:
    """A count that a provider gave.

    `body` is the provider's own JSON answer where it is in Anthropic's format, which may say more
    than `input_tokens` does; `headers` are those of its response headers that concern the caller.
    """

    input_tokens: int
    source: Source = "provider"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
