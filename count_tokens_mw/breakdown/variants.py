"""Variants of a request, each without a part, and the breakdown from their counts; no I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from count_tokens_mw.breakdown.prefixes import Message, prefix_of, read_message, string_member
from count_tokens_mw.breakdown.result import (
    Breakdown,
    ImageTokens,
    MessageTokens,
    PartError,
    ToolTokens,
)
from count_tokens_mw.errors import CountError
from count_tokens_mw.rawjson.object import JsonObject, JsonValue
from count_tokens_mw.types import CountRequest, TokenCount, unreadable

__all__ = ["Counts", "Variants"]


@dataclass(slots=True)
class Counts:
    """Counts and errors of the variants, by their names in `Variants.requests`."""

    tokens: dict[str, int] = field(default_factory=dict)
    errors: dict[str, CountError] = field(default_factory=dict)


class Variants:
    """Variants of a request, each without a part of it.

    Raises:
        InvalidRequest: Python cannot read a value in the request.
    """

    def __init__(self, request: CountRequest) -> None:
        self._request = request
        body = request.body
        try:
            self._has_system = body.member("system") is not None
            self._tools = body.items("tools")
            self._tool_choice = body.get("tool_choice")
            self._mcp_servers = body.items("mcp_servers")
            self._messages = [read_message(*item) for item in body.items("messages")]
        except ValueError as error:
            raise unreadable(error) from None

    @property
    def number(self) -> int:
        """The number of variants, without the whole request."""
        media = sum(not medium.is_alone for message in self._messages for medium in message.media)
        return self._has_system + len(self._tools) + len(self._messages) + 1 + media

    @property
    def size(self) -> int:
        """The approximate maximum size of a variant in bytes."""
        return len(self._request.body.raw)

    def requests(self) -> Iterator[tuple[str, CountRequest]]:
        """Yield each variant with its name; a variant is built when it is its turn."""
        if self._has_system:
            yield "system", self._edit({}, "system")
        for at in range(len(self._tools)):
            yield f"tools.{at}", self._without_tool(at)
        for number in range(len(self._messages) + 1):
            yield _prefix_name(number), self._prefix(number)
        for at, message in enumerate(self._messages):
            for medium in message.media:
                if not medium.is_alone:
                    texts = [other.text for other in self._messages]
                    texts[at] = medium.remove()
                    yield f"messages.{at}.{medium.path}", self._edit({"messages": _list(texts)})

    def breakdown(self, whole: TokenCount, counts: Counts) -> Breakdown:
        """Return the tokens of each part from the counts and errors of all variants."""
        differences = _Differences(whole.input_tokens, counts)
        return Breakdown(
            whole.input_tokens,
            whole.source,
            differences.without("system") if self._has_system else 0,
            [
                ToolTokens(_label(tool), differences.without(f"tools.{at}"))
                for at, (tool, _) in enumerate(self._tools)
            ],
            [_tokens_of(differences, at, message) for at, message in enumerate(self._messages)],
            differences.errors,
            whole.omitted,
        )

    def _without_tool(self, at: int) -> CountRequest:
        tool, _ = self._tools[at]
        left = [text for number, (_, text) in enumerate(self._tools) if number != at]
        name, server = string_member(tool, "name"), string_member(tool, "mcp_server_name")
        drop = set() if left else {"tools", "tool_choice"}
        if name is not None and name == string_member(self._tool_choice, "name"):
            drop.add("tool_choice")
        replaced = {"tools": _list(left)} if left else {}
        if server is not None:  # the API refuses a server without a toolset
            others = [
                text for other, text in self._mcp_servers if string_member(other, "name") != server
            ]
            replaced |= {"mcp_servers": _list(others)} if others else {}
            drop |= set() if others else {"mcp_servers"}
        return self._edit(replaced, *drop)

    def _prefix(self, number: int) -> CountRequest:
        return self._edit({"messages": _list(prefix_of(self._messages, number))})

    def _edit(self, replaced: Mapping[str, bytes], *drop: str) -> CountRequest:
        body = JsonObject(self._request.body.edit(replaced, drop))
        return replace(self._request, body=body, memo_key=None, known_calls=())


class _Differences:
    """Differences between counts, some of which may have failed."""

    def __init__(self, whole: int, counts: Counts) -> None:
        self._whole = whole
        self._counts = counts
        self.errors: list[PartError] = []

    def without(self, part: str) -> int | None:
        """Return the tokens that the whole request has more than the variant without a part."""
        if self._add_error(part, part):
            return None
        return self._whole - self._counts.tokens[part]

    def between(self, part: str, with_it: str, without_it: str) -> int | None:
        """Return the tokens that one variant has more than another."""
        if self._add_error(part, with_it, without_it):
            return None
        return self._counts.tokens[with_it] - self._counts.tokens[without_it]

    def _add_error(self, part: str, *names: str) -> bool:
        """Record the first error of these variants, and return whether there is one."""
        for name in names:
            error = self._counts.errors.get(name)
            if error is not None:
                self.errors.append(PartError(part, error.type, error.message))
                return True
        return False


def _tokens_of(differences: _Differences, at: int, message: Message) -> MessageTokens:
    tokens = differences.between(f"messages.{at}", _prefix_name(at + 1), _prefix_name(at))
    images = [
        ImageTokens(
            medium.path,
            medium.type,
            tokens if medium.is_alone else differences.without(f"messages.{at}.{medium.path}"),
        )
        for medium in message.media
    ]
    return MessageTokens(message.role, tokens, images)


def _prefix_name(number: int) -> str:
    """Return the name of the variant with the first `number` messages."""
    return f"messages up to {number}"


def _label(tool: JsonValue) -> str:
    """Return the name of a tool, else its server or type: a built-in tool may have no name."""
    names = (string_member(tool, name) for name in ("name", "mcp_server_name", "type"))
    return next(filter(None, names), "")


def _list(texts: Sequence[bytes]) -> bytes:
    return b"[%b]" % b",".join(texts)
