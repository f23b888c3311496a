"""Claude Code's attribution, which Bedrock's runtime refuses as a reserved keyword.

Anthropic has to get it: https://github.com/BerriAI/litellm/issues/30214
"""

from typing import Final

from count_tokens_mw.rawjson.object import JsonObject

__all__ = ["drop_attribution"]

_ATTRIBUTION: Final = "x-anthropic-billing-header:"


def drop_attribution(body: JsonObject) -> tuple[str, bytes | str] | None:
    """Return the place of the attribution, and the rest of `system`; None if there is none.

    It is the first block of a list, or the first line of a string. The rest may be empty.

    Raises:
        ValueError: Python cannot read a block.
    """
    system = body.member("system")
    if system is None:
        return None
    if system.is_list:
        blocks = system.items
        first = blocks[0][0] if blocks else None
        text = first.get("text") if isinstance(first, dict) else None
        if not isinstance(text, str) or not text.startswith(_ATTRIBUTION):
            return None
        rest = b",".join(raw for _, raw in blocks[1:])
        return "system.0", b"[%b]" % rest if rest else b""
    text = system.value
    if not isinstance(text, str) or not text.startswith(_ATTRIBUTION):
        return None
    return "system", text.partition("\n")[2]
