"""The documented rules for contents and tools that no schema expresses.

https://ai.google.dev/api/caching#Content
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.support.google_judges.refused import Refused

__all__ = ["generation_of", "judge_contents", "judge_mixed_tools", "judge_search"]

KINDS_OF_PART: Final = {"text", "inlineData", "fileData", "functionCall", "functionResponse"}
# Google knows the literal string, and takes its base64 for a corrupt signature:
# https://ai.google.dev/gemini-api/docs/thought-signatures
ENCODED_PLACEHOLDER: Final = base64.b64encode(b"skip_thought_signature_validator").decode()
COUNTS_DIFFER: Final = (
    "Please ensure that the number of function response parts is equal to the number of function "
    "call parts of the function call turn."
)


def generation_of(model: str) -> int:
    """Return 1, 2 or 3: the generation of a model by its name, and the newest if unknown."""
    name = model.rpartition("/")[2]
    if name.startswith("gemini-1."):
        return 1
    return 2 if name.startswith("gemini-2.") else 3


def judge_contents(request: Mapping[str, Any], generation: int) -> None:
    """Validate the contents and the system instruction.

    Raises:
        Refused: a rule is broken.
    """
    contents = items_of(request, "contents")
    instruction = request.get("systemInstruction")
    if not contents:
        raise Refused("contents is not specified")
    for turn in contents:
        if turn.get("role") not in {"user", "model"}:
            raise Refused("Please use a valid role: user, model.")
    for content in contents if instruction is None else [*contents, instruction]:
        judge_parts(content, generation)
    if instruction is not None and any(part.keys() != {"text"} for part in instruction["parts"]):
        raise Refused("systemInstruction: text only")
    for index, turn in enumerate(contents):
        judge_responses(turn, contents[index - 1] if index else None, generation)


def judge_parts(content: Mapping[str, Any], generation: int) -> None:
    parts = items_of(content, "parts")
    if not parts:
        raise Refused("must include at least one parts field")
    for part in parts:
        if len(part.keys() & KINDS_OF_PART) != 1:
            raise Refused("a part must have exactly one kind of data")
        if part.get("text") == "":
            raise Refused("a part must not be empty")
        if part.get("thoughtSignature") == ENCODED_PLACEHOLDER:
            raise Refused("Thought signature is not valid")
        if generation < 3 and "parts" in part.get("functionResponse", {}):
            raise Refused("Multimodal function responses are not supported")


def judge_responses(
    turn: Mapping[str, Any], before: Mapping[str, Any] | None, generation: int
) -> None:
    """Validate that function responses stand alone, directly after as many calls of the model.

    Gemini 3.6 refuses other parts beside them, and Gemini 2.x does so for parallel calls only:
    https://github.com/vellum-ai/vellum-assistant/pull/39495
    """
    answers = parts_with("functionResponse", turn)
    if answers == 0:
        return
    if answers != len(turn["parts"]) and (generation > 2 or answers > 1):
        raise Refused("function responses must be the only parts of their content")
    if turn["role"] != "user":
        raise Refused("function responses are the user's")
    if before is None or before["role"] != "model":
        raise Refused("function responses must follow the model's function calls")
    if answers != parts_with("functionCall", before):
        raise Refused(COUNTS_DIFFER)


def judge_search(request: Mapping[str, Any], generation: int) -> None:
    """Validate the name of the search tool, which Gemini 2 changed.

    Raises:
        Refused: a tool is of another generation.
    """
    wrong = "googleSearch" if generation == 1 else "googleSearchRetrieval"
    if any(wrong in tool for tool in items_of(request, "tools")):
        raise Refused(f"{wrong} is not supported")


def judge_mixed_tools(request: Mapping[str, Any], generation: int) -> None:
    """Validate the Gemini API's rules for `toolConfig`.

    Gemini 2 refuses a built-in tool beside functions in any form, so that the pair is left to it.
    https://ai.google.dev/gemini-api/docs/tool-combination

    Raises:
        Refused: a rule is broken.
    """
    tools, config = items_of(request, "tools"), request.get("toolConfig", {})
    declares = any(tool.get("functionDeclarations") for tool in tools)
    is_mixed = declares and any(tool.keys() - {"functionDeclarations"} for tool in tools)
    if "toolConfig" in request and not declares:
        raise Refused("Function calling config is set without function_declarations.")
    flag = "includeServerSideToolInvocations"
    if generation > 2 and is_mixed and config.get(flag) is not True:
        raise Refused(
            "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools "
            "with Function calling."
        )
    if flag in config and not (generation > 2 and is_mixed):
        raise Refused(f"{flag} without a built-in tool beside functions")


def parts_with(name: str, content: Mapping[str, Any]) -> int:
    return sum(name in part for part in content["parts"])


def items_of(value: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    """Return an optional list of objects."""
    items: Sequence[Mapping[str, Any]] = value.get(name, [])
    return items
