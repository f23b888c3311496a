"""The parts of a request, and the requests by which a breakdown tells what each takes; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from count_tokens_mw.breakdown.prefixes import Message, message_of, prefix_of, text_of
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
    """What was counted, by the names of `Variants.requests`; and what could not be, and why."""

    tokens: dict[str, int] = field(default_factory=dict)
    errors: dict[str, CountError] = field(default_factory=dict)


class Variants:
    """What a breakdown of a request tells apart.

    Raises:
        InvalidRequest: there is something in the request that Python cannot read.
    """

    def __init__(self, request: CountRequest) -> None:
        self._request = request
        body = request.body
        try:
            self._has_system = body.member("system") is not None
            self._tools = body.items("tools")
            self._tool_choice = body.get("tool_choice")
            self._mcp_servers = body.items("mcp_servers")
            self._messages = [message_of(*item) for item in body.items("messages")]
        except ValueError as error:
            raise unreadable(error) from None

    @property
    def number(self) -> int:
        """How many requests there are to count besides the whole."""
        media = sum(not medium.alone for each in self._messages for medium in each.media)
        return self._has_system + len(self._tools) + len(self._messages) + 1 + media

    @property
    def size(self) -> int:
        """How many bytes each of them has at the most, or nearly so."""
        return len(self._request.body.raw)

    def requests(self) -> Iterator[tuple[str, CountRequest]]:
        """Those to count besides the whole, each with its name, and made when it is its turn."""
        if self._has_system:
            yield "system", self._with({}, "system")
        for at in range(len(self._tools)):
            yield f"tools.{at}", self._without_tool(at)
        for number in range(len(self._messages) + 1):
            yield _prefix_name(number), self._prefix(number)
        for at, message in enumerate(self._messages):
            for medium in message.media:
                if not medium.alone:
                    texts = [each.text for each in self._messages]
                    texts[at] = medium.left_out()
                    yield f"messages.{at}.{medium.path}", self._with({"messages": _list(texts)})

    def breakdown(self, whole: TokenCount, counts: Counts) -> Breakdown:
        """What each part takes, once all of the requests were counted or could not be."""
        told = _Differences(whole.input_tokens, counts)
        return Breakdown(
            whole.input_tokens,
            whole.source,
            told.without("system") if self._has_system else 0,
            [
                ToolTokens(_label(tool), told.without(f"tools.{at}"))
                for at, (tool, _) in enumerate(self._tools)
            ],
            [_told(told, at, message) for at, message in enumerate(self._messages)],
            told.errors,
        )

    def _without_tool(self, at: int) -> CountRequest:
        tool, _ = self._tools[at]
        left = [text for number, (_, text) in enumerate(self._tools) if number != at]
        name, server = text_of(tool, "name"), text_of(tool, "mcp_server_name")
        drop = set() if left else {"tools", "tool_choice"}
        if name is not None and name == text_of(self._tool_choice, "name"):
            drop.add("tool_choice")
        replaced = {"tools": _list(left)} if left else {}
        if server is not None:  # a server whose tools nobody has is refused
            others = [text for each, text in self._mcp_servers if text_of(each, "name") != server]
            replaced |= {"mcp_servers": _list(others)} if others else {}
            drop |= set() if others else {"mcp_servers"}
        return self._with(replaced, *drop)

    def _prefix(self, number: int) -> CountRequest:
        return self._with({"messages": _list(prefix_of(self._messages, number))})

    def _with(self, replaced: Mapping[str, bytes], *drop: str) -> CountRequest:
        body = JsonObject(self._request.body.edit(replaced, drop))
        return replace(self._request, body=body, memo_key=None, known_calls=())


class _Differences:
    """Between counts, of which some may have failed."""

    def __init__(self, whole: int, counts: Counts) -> None:
        self._whole = whole
        self._counts = counts
        self.errors: list[PartError] = []

    def without(self, part: str) -> int | None:
        """What the request has more than the one without this part."""
        if self._failed(part, part):
            return None
        return self._whole - self._counts.tokens[part]

    def between(self, part: str, with_it: str, without_it: str) -> int | None:
        """What one request has more than another."""
        if self._failed(part, with_it, without_it):
            return None
        return self._counts.tokens[with_it] - self._counts.tokens[without_it]

    def _failed(self, part: str, *names: str) -> bool:
        for name in names:
            error = self._counts.errors.get(name)
            if error is not None:
                self.errors.append(PartError(part, error.type, error.message))
                return True
        return False


def _told(told: _Differences, at: int, message: Message) -> MessageTokens:
    tokens = told.between(f"messages.{at}", _prefix_name(at + 1), _prefix_name(at))
    images = [
        ImageTokens(
            medium.path,
            medium.type,
            tokens if medium.alone else told.without(f"messages.{at}.{medium.path}"),
        )
        for medium in message.media
    ]
    return MessageTokens(message.role, tokens, images)


def _prefix_name(number: int) -> str:
    """The name of the request with so many messages."""
    return f"messages up to {number}"


def _label(tool: JsonValue) -> str:
    """A tool of the provider's own may have no name."""
    names = (text_of(tool, name) for name in ("name", "mcp_server_name", "type"))
    return next(filter(None, names), "")


def _list(texts: Sequence[bytes]) -> bytes:
    return b"[%b]" % b",".join(texts)
