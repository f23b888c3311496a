"""Requests with one subject each, which the tables of the page about providers have a row for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tests.support.requests import (
    DOCUMENT,
    HELLO,
    IMAGE,
    IMAGE_URL,
    PLAIN_DOCUMENT,
    SEARCH_RESULT,
    THINKING,
    TOOL_ERROR,
    TOOL_USE,
    WEATHER,
    text,
    user,
)

__all__ = [
    "CASES",
    "OLDER",
    "SCHEMA",
    "WEB_SEARCH",
    "Body",
    "Case",
    "answer",
    "block",
    "choice",
    "conversation",
    "field",
    "in_history",
    "message",
    "source",
    "system",
    "tool",
]

Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A request with the subject of a row, and the same request without it."""

    body: Body
    plain: Body
    signs_calls: bool = False


# ---- the requests

TOOL_TURN: Final = {"role": "assistant", "content": [TOOL_USE]}
IMAGE_SOURCE: Final[Any] = IMAGE["source"]
PLAIN_PDF: Final = {"type": "document", "source": DOCUMENT["source"]}
PDF_URL: Final = {"type": "document", "source": {"type": "url", "url": "https://example.com/a"}}
REDACTED: Final = {"type": "redacted_thinking", "data": "c2VjcmV0"}
QUERY: Final = {"query": "weather"}
SCHEMA: Final = {"type": "json_schema", "schema": {"type": "object", "title": "new"}}
OLDER: Final = {"type": "json_schema", "schema": {"type": "object", "title": "old"}}
WEB_SEARCH: Final = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}


def assistant(*content: Any) -> Body:
    return {"role": "assistant", "content": list(content)}


def conversation(*messages: Any) -> Body:
    return {"messages": list(messages)}


def message(*added: Any, before: Any = HELLO, after: Any = ()) -> Case:
    """Return the case of messages that are added to a conversation."""
    return Case(conversation(*before, *added, *after), conversation(*before, *after))


def block(added: Any) -> Case:
    """Return the case of a block in the user's message."""
    return Case(conversation(user(text("Hi."), added)), conversation(user(text("Hi."))))


def in_history(added: Any) -> Case:
    """Return the case of a block in an assistant's earlier message."""
    rest, after = [text("Hello.")], user(text("And?"))
    return Case(
        conversation(*HELLO, assistant(added, *rest), after),
        conversation(*HELLO, assistant(*rest), after),
    )


def in_loop(added: Any) -> Case:
    """Return the case of a block in the tool loop under way."""
    after = user(result("Rain."))
    return Case(
        conversation(*HELLO, assistant(added, TOOL_USE), after),
        conversation(*HELLO, assistant(TOOL_USE), after),
    )


def result(content: Any, number: int = 1) -> Body:
    return {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": content}


def answer(*blocks: Any, plain: Any = "") -> Case:
    """Return the case of blocks in a tool's result; the plain request has the `plain` result."""
    before = [*HELLO, TOOL_TURN]
    return Case(
        conversation(*before, user(result(list(blocks)))),
        conversation(*before, user(result(plain))),
    )


def field(name: str, value: Any, **other: Any) -> Case:
    """Return the case of a field at the top of a request that has these other ones."""
    plain = {"messages": HELLO, **other}
    return Case({**plain, name: value}, plain)


def tool(**fields: Any) -> Case:
    """Return the case of a tool."""
    return field("tools", [fields])


def choice(kind: str, *tools: Any, **more: Any) -> Case:
    """Return the case of a tool choice."""
    return field("tool_choice", {"type": kind, **more}, tools=list(tools))


def source(kind: str, source_type: str, **more: Any) -> Case:
    """Return the case of a block with a source."""
    return block({"type": kind, "source": {"type": source_type, **more}})


def system(content: Any, **more: Any) -> Body:
    return {"role": "system", "content": content, **more}


PARALLEL: Final = assistant(TOOL_USE, {**TOOL_USE, "id": "toolu_2"})
RESULTS: Final = user(result("Rain."), result("Sun.", 2))
COMPACTION: Final = {"type": "compaction", "content": "All so far."}
SERVED: Final = {"type": "server_tool_use", "id": "srvtoolu_1", "input": QUERY}
CASES: Final[Mapping[str, tuple[Case, ...]]] = {
    "`system`": (field("system", "Be brief."), field("system", [text("Be brief."), text("Or")])),
    "system message before all others": (
        message(system("Be brief."), before=(), after=HELLO),
        message(system([text("Be brief.")]), before=(), after=HELLO),
    ),
    "later system message": (message(system("Be brief.")),),
    "system message that has ended (`clear_at`)": (
        message(system("Be brief.", clear_at="next_user_message"), after=[user(text("And?"))]),
    ),
    "system message with `output_config` alone": (
        message({"role": "system", "output_config": {"effort": "low"}}),
    ),
    "user message": (message(*HELLO, before=[assistant(text("Hi."))]),),
    "assistant message": (message(assistant(text("Hi."))),),
    "messages of one role in a row": (
        message(user(text("And?"))),
        message(assistant(text("b")), before=[*HELLO, assistant(text("a"))]),
    ),
    "`text`": (block(text("Marked.")),),
    "empty `text`": (block(text("")), in_history(text(""))),
    "`image`, source `base64`": (block(IMAGE), in_history(IMAGE)),
    "`image`, source `url` with an extension": (block(IMAGE_URL),),
    "`image`, source `url` without an extension": (source("image", "url", url="https://a.b/c"),),
    "`image`, source `file`": (source("image", "file", file_id="file_1"),),
    "`document`, source `base64`": (block(PLAIN_PDF),),
    "`document`, source `url`": (block(PDF_URL),),
    "`document`, source `text`": (block(PLAIN_DOCUMENT),),
    "`document`, source `content`": (source("document", "content", content=[text("A"), IMAGE]),),
    "`document`, source `file`": (source("document", "file", file_id="file_1"),),
    "`title` and `context`, before their document": (
        Case(conversation(user({**PLAIN_PDF, "title": "Contract"})), conversation(user(PLAIN_PDF))),
        Case(conversation(user({**PLAIN_PDF, "context": "Signed"})), conversation(user(PLAIN_PDF))),
    ),
    "`search_result`: title, source and texts": (block(SEARCH_RESULT),),
    "`thinking` of the current tool loop": (in_loop(THINKING),),
    "`thinking` of an earlier turn": (in_history(THINKING),),
    "`redacted_thinking` of the current tool loop": (in_loop(REDACTED),),
    "`redacted_thinking` of an earlier turn": (in_history(REDACTED),),
    "`tool_use`": (in_history(TOOL_USE),),
    "the same with `thought_signatures: placeholder`": (
        Case(conversation(*HELLO, TOOL_TURN), conversation(*HELLO, TOOL_TURN), signs_calls=True),
    ),
    "`tool_result`, text": (message(user(result("Rain.")), before=[*HELLO, TOOL_TURN]),),
    "`tool_result` with `is_error`": (
        Case(
            conversation(*HELLO, TOOL_TURN, user(TOOL_ERROR)),
            conversation(*HELLO, TOOL_TURN, user({**TOOL_ERROR, "is_error": False})),
        ),
    ),
    "`tool_result`, file by `base64`": (answer(IMAGE), answer(PLAIN_PDF)),
    "`tool_result`, file by `url`": (answer(IMAGE_URL), answer(PDF_URL)),
    "`tool_result`, `document` with text": (
        message(user(result([PLAIN_DOCUMENT])), before=[*HELLO, TOOL_TURN]),
    ),
    "`tool_result`, `search_result`": (
        message(user(result([SEARCH_RESULT])), before=[*HELLO, TOOL_TURN]),
    ),
    "`tool_result`, `tool_reference`": (
        answer({"type": "tool_reference", "tool_name": "get_weather"}),
    ),
    "`tool_result` without its `tool_use`": (message(user(result("Rain."))),),
    "text beside one `tool_result`": (
        Case(
            conversation(*HELLO, TOOL_TURN, user(result("Rain."), text("And?"))),
            conversation(*HELLO, TOOL_TURN, user(result("Rain."))),
        ),
    ),
    "text beside parallel `tool_result`s": (
        message(user(text("And?")), before=[*HELLO, PARALLEL, RESULTS]),
    ),
    "`compaction` with `content`": (message(assistant(COMPACTION), before=(), after=HELLO),),
    "messages before a `compaction` with `content`": (
        Case(
            conversation(user(text("Earlier.")), assistant(text("So."), COMPACTION, text("Hi."))),
            conversation(assistant(COMPACTION, text("Hi."))),
        ),
    ),
    "`compaction` without `content`": (in_history({"type": "compaction", "content": None}),),
    "`compaction` with `tool_changes`": (
        in_history({**COMPACTION, "tool_changes": [{"type": "tool_added"}]}),
    ),
    "`fallback`": (in_history({"type": "fallback", "from": {"model": "a"}}),),
    "`server_tool_use` of web search or web fetch": (
        in_history({**SERVED, "name": "web_search"}),
        in_history({**SERVED, "name": "web_fetch"}),
    ),
    "`web_search_tool_result`": (
        in_history({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}),
    ),
    "`web_fetch_tool_result`": (
        in_history({"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_1", "content": {}}),
    ),
    "`server_tool_use` of another tool": (
        in_history({**SERVED, "name": "code_execution"}),
        in_history({**SERVED, "name": "tool_search_tool_regex"}),
    ),
    "`code_execution_tool_result`, `mcp_tool_use`, `container_upload`, any other block": tuple(
        in_history({"type": kind, "id": "1"})
        for kind in ("code_execution_tool_result", "mcp_tool_use", "container_upload", "hologram")
    ),
    "unknown field of a known block or source": (
        Case(conversation(user(text("Hi.", x_future_field=1))), conversation(user(text("Hi.")))),
        Case(
            conversation(user({**IMAGE, "source": {**IMAGE_SOURCE, "x_future_field": [1]}})),
            conversation(user(IMAGE)),
        ),
    ),
    "custom tool": (tool(**WEATHER), tool(type="custom", **WEATHER)),
    "custom tool with `input_examples`": (tool(**WEATHER, input_examples=[{"place": "Bern"}]),),
    "unknown field of a tool": (
        Case(
            {"messages": HELLO, "tools": [{**WEATHER, "x_future_field": True}]},
            {"messages": HELLO, "tools": [WEATHER]},
        ),
        Case(
            {"messages": HELLO, "tools": [{**WEB_SEARCH, "x_future_field": True}]},
            {"messages": HELLO, "tools": [WEB_SEARCH]},
        ),
    ),
    "`web_search_*`": (tool(**WEB_SEARCH), tool(type="web_search_20260209", name="web_search")),
    "`web_fetch_*`": (tool(type="web_fetch_20250910", name="web_fetch"),),
    "`code_execution_*`": (tool(type="code_execution_20250825", name="code_execution"),),
    "a built-in tool beside functions": (field("tools", [WEATHER, WEB_SEARCH]),),
    "`bash_*`, `text_editor_*`, `computer_*`, `memory_*`, `tool_search_tool_*`, any other type": (
        tool(type="bash_20250124", name="bash"),
        tool(type="text_editor_20250728", name="str_replace_based_edit_tool"),
        tool(type="computer_20251124", name="computer"),
        tool(type="memory_20250818", name="memory"),
        tool(type="tool_search_tool_bm25_20251119", name="tool_search_tool_bm25"),
        tool(type="hologram_20270101", name="hologram"),
    ),
    "`mcp_toolset`": (tool(type="mcp_toolset", mcp_server_name="docs"),),
    "`tool_choice` `auto`": (choice("auto", WEATHER),),
    "`tool_choice` `any`": (choice("any", WEATHER),),
    "`tool_choice` `none`": (choice("none", WEATHER),),
    "`tool_choice` `tool`, a function": (choice("tool", WEATHER, name="get_weather"),),
    "`tool_choice` `tool`, another tool": (choice("tool", WEATHER, WEB_SEARCH, name="web_search"),),
    "`tool_choice` of built-in tools alone": (
        choice("any", WEB_SEARCH),
        choice("none", WEB_SEARCH),
    ),
    "`output_config.format`": (field("output_config", {"format": SCHEMA, "effort": "low"}),),
    "`output_format`": (
        field("output_format", SCHEMA),
        field("output_format", SCHEMA, output_config={"effort": "low"}),
    ),
    "`output_format` beside `output_config.format`": (
        field("output_format", OLDER, output_config={"format": SCHEMA}),
    ),
    "`thinking`": (field("thinking", {"type": "adaptive"}),),
    "`context_management`": (field("context_management", {"edits": []}),),
    "`mcp_servers`": (field("mcp_servers", [{"type": "url", "url": "https://a", "name": "a"}]),),
    "`container`, `thread`, any other field": (
        field("container", "container_1"),
        field("thread", {"id": "thread_1"}),
        field("x_future_field", 1),
    ),
}
