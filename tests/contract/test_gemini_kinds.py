"""Further requests of each kind that public reports showed to be miscounted on their way to Gemini.

They run through a host, and Google's schemas validate each request to the upstream.
"""

from typing import Any, Final

import pytest

from count_tokens_mw.providers.google.credentials import GoogleTokens
from tests.support.gemini_host import (
    CALL_PART,
    DECLARED,
    TOOL,
    USE,
    Case,
    Q,
    after_call,
    answered,
    ask,
    content,
    result,
    text,
    turn,
)
from tests.support.requests import PDF, PNG

HI: Final = {"messages": [Q]}
SCHEMA: Final = {"type": "object", "properties": {"a": {"type": "string"}}}
FORMAT: Final = {"type": "json_schema", "schema": SCHEMA}
OTHER: Final = {"type": "json_schema", "schema": {"type": "object", "title": "older"}}
WRITTEN: Final = {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
DOCUMENT: Final = {
    "type": "document",
    "title": "T",
    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
}
REMOTE: Final = {"type": "document", "source": {"type": "url", "url": "https://x.example/a.pdf"}}
PDF_PART: Final = {"inlineData": {"mimeType": "application/pdf", "data": PDF}}
REMOTE_PART: Final = {
    "fileData": {"mimeType": "application/pdf", "fileUri": "https://x.example/a.pdf"}
}
PNG_SOURCE: Final = {"type": "base64", "media_type": "image/png", "data": PNG}
IMAGE: Final = {"type": "image", "source": PNG_SOURCE}
PNG_PART: Final = {"inlineData": {"mimeType": "image/png", "data": PNG}}
SEARCH: Final = {"type": "web_search_20260318", "name": "web_search"}
FETCH: Final = {"type": "web_fetch_20260318", "name": "web_fetch"}
CODE: Final = {"type": "code_execution_20260521", "name": "code_execution"}
COMBINED: Final = {"includeServerSideToolInvocations": True}
ALL: Final = ("g2", "g3", "v2", "v3")
BOTH_PLACES: Final = "messages.1.content.0,messages.1.content.1"


IDS: Final = ("t1", "t2")
TWICE: Final = turn("assistant", *[{**USE, "id": use} for use in IDS])
R: Final = {"functionResponse": {"name": "f", "response": {"output": "R"}}}
ASKED_TWICE: Final = [content("user", "q"), content("model", CALL_PART, CALL_PART)]
PARALLEL: Final = {
    "messages": [
        Q,
        TWICE,
        turn("user", text("A"), result(text("R")), result(text("R"), use="t2"), text("B")),
        {"role": "system", "content": "C"},
    ]
}


SCHEMAS: Final = [  # K1
    Case(
        "format null beside the older schema",
        ALL,
        {**HI, "output_config": {"format": None}, "output_format": FORMAT},
        {"generationConfig": WRITTEN},
    ),
    Case(
        "output_config null beside the older schema",
        ALL,
        {**HI, "output_config": None, "output_format": FORMAT},
        {"generationConfig": WRITTEN},
    ),
    Case(
        "the older schema null beside a format",
        ALL,
        {**HI, "output_config": {"format": FORMAT}, "output_format": None},
        {"generationConfig": WRITTEN},
    ),
    Case(
        "both schemas",
        ALL,
        {**HI, "output_config": {"format": FORMAT}, "output_format": OTHER},
        {"generationConfig": WRITTEN},
        "output_format",
    ),
    Case(
        "a task budget and no schema",
        ALL,
        {**HI, "output_config": {"effort": "low", "task_budget": {"type": "tokens", "total": 9}}},
        {"generationConfig": None},
    ),
]

RESULTS: Final = [  # K2
    Case(
        "a PDF in a result, within the response",
        ("g3", "v3"),
        after_call(result(DOCUMENT)),
        {"contents": answered("T", PDF_PART)},
    ),
    Case(
        "a PDF in a result, beside the response",
        ("g2", "v2"),
        after_call(result(DOCUMENT)),
        {"contents": answered("T", beside=[PDF_PART])},
    ),
    Case(
        "a file by URL in a result, within the response",
        ("v3",),
        after_call(result(text("R"), REMOTE)),
        {"contents": answered("R", REMOTE_PART)},
    ),
    Case(
        "a file by URL in a result, in a turn of its own",
        ("g3",),
        after_call(result(text("R"), REMOTE)),
        {"contents": [*answered("R"), content("user", REMOTE_PART)]},
    ),
    Case(
        "a file by URL in a result, beside the response",
        ("g2", "v2"),
        after_call(result(text("R"), REMOTE)),
        {"contents": answered("R", beside=[REMOTE_PART])},
    ),
    Case(
        "parallel calls with texts and a system message",
        ALL,
        PARALLEL,
        {"contents": [*ASKED_TWICE, content("user", R, R), content("user", "A", "B", "C")]},
    ),
    Case(
        "a failed result with an image, before a text",
        ("v3",),
        after_call(result(text("R"), IMAGE, is_error=True), text("AFTER")),
        {"contents": [*answered("R", PNG_PART, key="error"), content("user", "AFTER")]},
    ),
    Case(
        "parallel results with images, which follow all responses",
        ("g2", "v2"),
        {"messages": [Q, TWICE, turn("user", *[result(text("R"), IMAGE, use=use) for use in IDS])]},
        {"contents": [*ASKED_TWICE, content("user", R, R), content("user", PNG_PART, PNG_PART)]},
    ),
]

FIELDS: Final = [  # K3
    Case(
        "clear_at never",
        ALL,
        {"messages": [Q, {"role": "system", "content": "S", "clear_at": "never"}, Q]},
        {"contents": [content("user", "q", "S", "q")]},
    ),
    Case(
        "clear_at null",
        ALL,
        {"messages": [Q, {"role": "system", "content": "S", "clear_at": None}, Q]},
        {"contents": [content("user", "q", "S", "q")]},
    ),
    Case(
        "a leading system message that has ended",
        ALL,
        {"messages": [{"role": "system", "content": "S", "clear_at": "next_user_message"}, Q]},
        {"contents": [content("user", "q")], "systemInstruction": None},
    ),
    Case(
        "unknown fields of a message, a block and a source",
        ALL,
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{**IMAGE, "x_b": 1, "source": {**PNG_SOURCE, "x_s": "s"}}],
                    "x_m": {"a": 1},
                }
            ]
        },
        {"contents": [content("user", PNG_PART)]},
        "messages.0.content.0.source.x_s,messages.0.content.0.x_b,messages.0.x_m",
    ),
    Case(
        "unknown fields of a tool, of a built-in tool and of tool_choice",
        ("g3",),
        {
            **HI,
            "tools": [{**TOOL, "x_t": 1}, {**SEARCH, "x_w": 1}],
            "tool_choice": {"type": "auto", "x_c": 1},
        },
        {
            "tools": [DECLARED, {"googleSearch": {}}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}, **COMBINED},
        },
        "tool_choice.x_c,tools.0.x_t,tools.1.x_w",
    ),
    Case(
        "unknown fields that are null",
        ALL,
        {"messages": [{**Q, "x_m": None}], "tools": [{**TOOL, "x_t": None}]},
        {"contents": [content("user", "q")], "tools": [DECLARED]},
    ),
]

SAMPLING: Final = dict.fromkeys(("temperature", "top_k", "top_p", "max_tokens"), 1)
SUMMARY: Final = {"type": "compaction", "content": "S", "encrypted_content": "e", "signature": "s"}
NO_INPUT: Final = [  # K4
    Case(
        "a compaction after other messages",
        ALL,
        {"messages": [{"role": "system", "content": "no"}, Q, turn("assistant", SUMMARY), Q]},
        {"contents": [content("user", "S", "q")], "systemInstruction": None},
    ),
    Case(
        "a compaction between the blocks of a message, and the system field",
        ALL,
        {"messages": [Q, turn("assistant", text("no"), SUMMARY, text("A")), Q], "system": "Y"},
        {
            "contents": [content("user", "S"), content("model", "A"), content("user", "q")],
            "systemInstruction": {"parts": [{"text": "Y"}]},
        },
    ),
    Case(
        "two compactions, of which the last is seen",
        ALL,
        {"messages": [turn("user", {**SUMMARY, "content": "no"}), turn("user", SUMMARY), Q]},
        {"contents": [content("user", "S", "q")]},
    ),
    Case(
        "a compaction that failed",
        ALL,
        {"messages": [Q, turn("assistant", {**SUMMARY, "content": None}, text("A")), Q]},
        {"contents": [content("user", "q"), content("model", "A"), content("user", "q")]},
    ),
    Case(
        "a fallback block alone in its message",
        ALL,
        {"messages": [Q, turn("assistant", {"type": "fallback", "to": {"model": "m"}}), Q]},
        {"contents": [content("user", "q", "q")]},
    ),
    Case(
        "fields of clients and of creating a message",
        ALL,
        {
            **HI,
            **SAMPLING,
            "user": "u",
            "anthropic_beta": ["b"],
            "inference_geo": "us",
            "fallbacks": "default",
            "stop_sequences": ["no"],
            "metadata": {"user_id": "no"},
        },
        {"contents": [content("user", "q")]},
    ),
    Case(
        "null of any field",
        ALL,
        {**HI, **dict.fromkeys(("thread", "mcp_servers", "system", "tools", "x_future"))},
        {"contents": [content("user", "q")], "tools": None, "systemInstruction": None},
    ),
]

TOGETHER: Final = [  # K7
    Case(
        f"{tool['name']} beside a function",
        (model,),
        {**HI, "tools": [tool, TOOL]},
        {"tools": [DECLARED, {name: {}}], "toolConfig": COMBINED if model == "g3" else None},
    )
    for tool, name in ((SEARCH, "googleSearch"), (FETCH, "urlContext"), (CODE, "codeExecution"))
    for model in ALL
] + [
    Case(
        "a chosen function beside two built-in tools",
        ("g3",),
        {**HI, "tools": [SEARCH, TOOL, CODE], "tool_choice": {"type": "tool", "name": "f"}},
        {
            "toolConfig": {
                "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]},
                **COMBINED,
            }
        },
    ),
    Case(
        "two built-in tools without a function",
        ALL,
        {**HI, "tools": [SEARCH, FETCH]},
        {"tools": [{"googleSearch": {}}, {"urlContext": {}}], "toolConfig": None},
    ),
]


def history(name: str, tool_result: dict[str, Any]) -> dict[str, Any]:
    query = {"type": "server_tool_use", "id": "s", "name": name, "input": {"no": "no"}}
    blocks = (query, {"tool_use_id": "s", **tool_result}, text("A"))
    return {"messages": [Q, turn("assistant", *blocks), Q]}


PAGE: Final = {"type": "web_fetch_result", "url": "no", "content": DOCUMENT}
ERROR: Final = {"type": "web_search_tool_result_error", "error_code": "unavailable"}
REFERENCES: Final = [{"type": "tool_reference", "tool_name": name} for name in ("f", "g")]
ANSWERED: Final = [content("user", "q"), content("model", "A"), content("user", "q")]
SAYABLE: Final = [  # K8
    Case(
        "the history of a web fetch",
        ALL,
        history("web_fetch", {"type": "web_fetch_tool_result", "content": PAGE}),
        {"contents": ANSWERED},
        BOTH_PLACES,
    ),
    Case(
        "the history of a web search that failed",
        ALL,
        history("web_search", {"type": "web_search_tool_result", "content": ERROR}),
        {"contents": ANSWERED},
        BOTH_PLACES,
    ),
    Case(
        "several tool_references and a text",
        ALL,
        after_call(result(*REFERENCES, text("R"))),
        {"contents": answered("R")},
    ),
    Case(
        "a web fetch with its limits",
        ALL,
        {**HI, "tools": [{**FETCH, "max_uses": 3, "citations": {"enabled": True}}]},
        {"tools": [{"urlContext": {}}]},
    ),
]


CASES: Final = [
    pytest.param(case, model, id=f"{case.title} ({model})")
    for case in (*SCHEMAS, *RESULTS, *FIELDS, *NO_INPUT, *TOGETHER, *SAYABLE)
    for model in case.models
]


@pytest.mark.parametrize(("case", "model"), CASES)
async def test_a_request_is_counted_as_a_whole_and_what_is_left_out_is_named(
    case: Case, model: str
) -> None:
    answer = await ask(model, case.body)
    assert (answer.status, answer.message) == (200, "")
    assert {name: answer.sent.get(name) for name in case.sent} == case.sent
    named = sorted((answer.omitted or "").split(","))
    assert named == sorted((case.omitted or "").split(","))


@pytest.mark.parametrize(
    ("model", "url", "name"),
    [
        ("prefixed", "/v1beta/models/gemini-3.6-flash:countTokens", "models/gemini-3.6-flash"),
        ("tuned", "/v1beta/tunedModels/my-model:countTokens", "tunedModels/my-model"),
        ("number", "/v1/projects/p/locations/us-east5/endpoints/1234:countTokens", None),
        ("gemini number", "/v1/projects/p/locations/us-east5/endpoints/1234:countTokens", None),
        ("endpoint", "/v1/projects/p/locations/us-east5/endpoints/1234:countTokens", None),
    ],
)
async def test_a_model_has_any_of_its_names(
    model: str, url: str, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def token(tokens: GoogleTokens) -> str:
        return "ya29.token"

    monkeypatch.setattr(GoogleTokens, "token", token)
    answer = await ask(model, {**HI, "system": "s"})
    assert (answer.status, answer.message) == (200, "")
    assert answer.url.endswith(f".googleapis.com{url}")
    assert answer.model == name
    assert answer.sent["contents"] == [content("user", "q")]


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"container": "c"}, "container"),
        ({"thread": {"id": "t"}}, "thread"),
        ({"x_future": 0}, "x_future"),
        ({"tools": [{"type": "x_20270101"}]}, "tools.0"),
        ({"tool_choice": {"type": "x"}}, "tool_choice"),
        ({"messages": [turn("user", {"type": "image", "source": {"type": "x"}})]}, "messages.0"),
        ({"messages": [{"role": "system", "content": "s", "clear_at": "x"}]}, "messages.0"),
    ],
)
async def test_unknown_content_stays_a_501_that_names_its_place(
    model: str, more: dict[str, Any], place: str
) -> None:
    answer = await ask(model, {**HI, **more})
    assert answer.status == 501
    assert answer.message.startswith(place)
    assert "Gemini has no counterpart" in answer.message
