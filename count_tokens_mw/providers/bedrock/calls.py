"""Upstream calls to Amazon Bedrock's counting APIs, pure and unsigned.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CountTokens.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html
"""

import math
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Final

from count_tokens_mw.config.params.bedrock import Rung
from count_tokens_mw.protocol.omissions import bound_places
from count_tokens_mw.providers.anthropic import combine_header_lines
from count_tokens_mw.providers.claude.attribution import drop_attribution
from count_tokens_mw.providers.claude.betas import Selection
from count_tokens_mw.providers.claude.fields import edit_fields
from count_tokens_mw.rawjson.object import JsonValue
from count_tokens_mw.types import CountRequest, UpstreamCall, unreadable

__all__ = ["messages_call", "runtime_call", "target_of"]

_PROVIDER: Final = "bedrock"
_MOST_TOKENS: Final = 10**9
_PIECE_BYTES: Final = 3 * 256 * 1024  # a multiple of three, so that no piece but the last is padded
_USER_PROFILE: Final = "anthropic-user-profile-id"


def target_of(rung: Rung, endpoint: str, model: str) -> str:
    """Return the URL of an API for a model's id."""
    if rung == "runtime":
        return f"{endpoint}/model/{model}/count-tokens"
    return f"{endpoint}/v1/messages/count_tokens"


def runtime_call(
    request: CountRequest, model: str, target: str, selection: Selection
) -> UpstreamCall:
    """Return the call to CountTokens as botocore builds it, but with a literal colon in the id.

    botocore sends `%3A`. A host's client over aiohttp would decode that to a colon, and AWS
    verifies the signature of the path as sent. Anthropic's own SDK sends the colon too.
    """
    body, omitted = _runtime_body(request, selection.sent)
    raw = memoryview(body)
    # In pieces, so that other threads may run between them.
    blobs = [
        b2a_base64(raw[at : at + _PIECE_BYTES], newline=False)
        for at in range(0, len(raw), _PIECE_BYTES)
    ]
    return UpstreamCall(
        _PROVIDER,
        target,
        (("content-type", "application/json"),),
        b"".join((b'{"input": {"invokeModel": {"body": "', *blobs, b'"}}}')),
        kind="runtime",
        model=model,
        betas=selection.sent,
        omitted=bound_places([*selection.places, *omitted]),
    )


def messages_call(
    request: CountRequest,
    model: str,
    target: str,
    selection: Selection,
    *,
    rung: Rung,
    project: str | None,
) -> UpstreamCall:
    """Return the call to a Messages API, mantle's or the runtime's.

    Mantle reads the user profile from the body. `project` replaces the caller's workspace.
    """
    headers = {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        **combine_header_lines(request.headers),
    }
    headers.pop("anthropic-beta", None)
    if selection.sent:
        headers["anthropic-beta"] = ",".join(selection.sent)
    if project:
        headers["anthropic-workspace-id"] = project
    fields: dict[str, JsonValue | bytes] = {"model": model}
    profile = headers.pop(_USER_PROFILE, None)
    if profile is not None and "user_profile_id" not in request.body.members:
        fields["user_profile_id"] = profile
    body, omitted = edit_fields(request.body, fields, "mantle", selection.sent)
    return UpstreamCall(
        _PROVIDER,
        target,
        tuple(headers.items()),
        body,
        kind=rung,
        model=model,
        betas=selection.sent,
        omitted=bound_places([*selection.places, *omitted]),
    )


def _runtime_body(request: CountRequest, betas: Sequence[str]) -> tuple[bytes, list[str]]:
    """Return the body of InvokeModel, and the places left out of it.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html
    """
    fields: dict[str, JsonValue | bytes] = {
        "anthropic_version": "bedrock-2023-05-31",
    }
    if betas:
        fields["anthropic_beta"] = list(betas)
    try:
        fields["max_tokens"] = _least_max_tokens(request.body.get("thinking"))
        edited, omitted = edit_fields(request.body, fields, "runtime", betas, drop=["model"])
        body, place = drop_attribution(edited)
    except ValueError as error:
        raise unreadable(error) from None
    return body, [*place, *omitted]


def _least_max_tokens(thinking: JsonValue) -> int:
    """Return the least `max_tokens` that InvokeModel's schema takes; it does not change the count.

    It is required, and has to be greater than `thinking.budget_tokens`.
    """
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    if isinstance(budget, int | float) and 0 < budget < _MOST_TOKENS:
        return math.ceil(budget) + 1
    return 1
