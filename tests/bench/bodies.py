"""The two requests of the benchmark: the smallest one, and one from a long session."""

import json
import random
from typing import Any, Final

__all__ = ["MARK", "large", "small"]

MARK: Final = b"@number@"
"""The place of a number that makes each body of a run distinct."""

_LARGE: Final = 880_000
_WORDS: Final = (
    *("the", "function", "returns", "a", "value", "when", "given", "path", "list", "of", "file"),
    *("error", "import", "self", "def", "class", "async", "request", "response", "await", "token"),
    *("count", "upstream", "model", "message", "content", '"quoted"', "'single'", "\t", "{}", "[]"),
    *("\\n", "1024", "0.5"),
)


def small(model: str = "anthropic") -> bytes:
    """Return a body of some ninety bytes."""
    return _text({"model": model, "messages": [{"role": "user", "content": f"Hello {_mark()}"}]})


def large(model: str = "anthropic", length: int = _LARGE) -> bytes:
    """Return 880 KB as Claude Code sends: a system prompt, two dozen tools, and their results."""
    rng = random.Random(7)
    messages: list[Any] = [{"role": "user", "content": f"{_mark()} {_lines(rng, 2000)}"}]
    body = {
        "model": model,
        "max_tokens": 32000,
        "stream": True,
        "system": [{"type": "text", "text": _lines(rng, 14_000)}],
        "tools": [_tool(rng, number) for number in range(24)],
        "messages": messages,
        "metadata": {"user_id": "user_of_the_benchmark"},
    }
    size = len(_text(body))
    while size < length:
        turn = _turn(rng, len(messages))
        messages += turn
        size += len(_text(turn))
    return _text(body)


def _mark() -> str:
    return MARK.decode()


def _text(value: object) -> bytes:
    return json.dumps(value).encode()


def _lines(rng: random.Random, size: int) -> str:
    lines = (
        " " * rng.choice((0, 4, 8)) + " ".join(rng.choices(_WORDS, k=rng.randint(3, 12)))
        for _ in range(size // 20 + 1)
    )
    return "\n".join(lines)[:size]


def _tool(rng: random.Random, number: int) -> dict[str, Any]:
    fields = {
        f"field_{index}": {"type": "string", "description": _lines(rng, 60)} for index in range(6)
    }
    return {
        "name": f"tool_{number}",
        "description": _lines(rng, 900),
        "input_schema": {"type": "object", "properties": fields, "required": ["field_0"]},
    }


def _turn(rng: random.Random, number: int) -> list[dict[str, Any]]:
    use_id = f"toolu_{number:024d}"
    used = {
        "type": "tool_use",
        "id": use_id,
        "name": f"tool_{number % 24}",
        "input": {"field_0": f"/src/file_{number}.py", "limit": number},
    }
    results = [{"type": "text", "text": _lines(rng, rng.randint(500, 7000))}]
    return [
        {"role": "assistant", "content": [{"type": "text", "text": _lines(rng, 300)}, used]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": use_id, "content": results}],
        },
    ]
