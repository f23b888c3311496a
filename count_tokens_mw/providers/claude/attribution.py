"""Claude Code's attribution, which Bedrock's runtime refuses as a reserved keyword.

Anthropic has to get it: https://github.com/BerriAI/litellm/issues/30214
"""

from collections.abc import Mapping, Sequence
from typing import Final

from count_tokens_mw.rawjson.object import JsonObject, JsonValue

__all__ = ["drop_attribution"]

_ATTRIBUTION: Final = "x-anthropic-billing-header:"


def drop_attribution(body: bytes) -> tuple[bytes, list[str]]:
    """Return a body without the attribution, and its place; no place if it has none.

    It is the first block of `system`, or the first line of a string. A `system` that has nothing
    else is left out.

    Raises:
        ValueError: Python cannot read a block.
    """
    if _ATTRIBUTION.encode() not in body:
        return body, []
    request = JsonObject.parse(body)
    system = request.member("system")
    if system is None:
        return body, []
    if system.is_list:
        return _drop_block(request, system.items)
    text = system.value
    if not isinstance(text, str) or not text.startswith(_ATTRIBUTION):
        return body, []
    rest = text.partition("\n")[2]
    if not rest:
        return request.edit({}, drop={"system"}), ["system"]
    return request.edit({"system": rest}), ["system"]


def _drop_block(
    request: JsonObject, blocks: Sequence[tuple[JsonValue, bytes]]
) -> tuple[bytes, list[str]]:
    first = blocks[0][0] if blocks else None
    text = first.get("text") if isinstance(first, Mapping) else None
    if not isinstance(text, str) or not text.startswith(_ATTRIBUTION):
        return request.raw, []
    rest = b",".join(raw for _, raw in blocks[1:])
    if not rest:
        return request.edit({}, drop={"system"}), ["system.0"]
    return request.edit({"system": b"[%b]" % rest}), ["system.0"]
