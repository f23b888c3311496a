"""The fields that an upstream in Anthropic's format does not get as the caller sent them.

Anthropic's format is open: a field without a row passes, known or not, and the upstream decides.
https://docs.claude.com/en/api/messages and https://docs.claude.com/en/api/messages-count-tokens
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, partial
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from count_tokens_mw.aio.fairness import leave_loop, stop_if_unneeded
from count_tokens_mw.rawjson.object import JsonObject, JsonValue
from count_tokens_mw.rawjson.structure import refuse_many_values

__all__ = ["NOT_INPUT", "RULES", "FieldRule", "Treatment", "Upstream", "edit_fields"]

Upstream: TypeAlias = Literal["anthropic", "runtime", "mantle", "vertex"]
"""Anthropic and every server with its API; Bedrock's runtime and mantle; Vertex AI."""

Treatment: TypeAlias = Literal["pass", "leave out", "leave out null", "with its beta"]
"""`leave out null` passes any other value, which the upstream may refuse. `with its beta` leaves a
field out unless its beta is sent; the field is then named, because its beta was asked for."""


class FieldRule(NamedTuple):
    """Treatment of a field by each upstream, and the reason.

    `field` is a path of names; `*` is each item of a list, and `**` is the request, a block of
    `system` or of content, and a tool.
    """

    field: str
    why: str
    anthropic: Treatment
    runtime: Treatment
    mantle: Treatment
    vertex: Treatment
    beta: str = ""


def _everywhere(why: str, treatment: Treatment, *fields: str) -> Iterator[FieldRule]:
    for field in fields:
        yield FieldRule(field, why, treatment, treatment, treatment, treatment)


def _beta_of_clouds(field: str, beta: str) -> FieldRule:
    # Anthropic knows all of its own betas; a cloud refuses a field whose beta it does not get.
    why = "no input: it changes how an answer is made or kept"
    return FieldRule(field, why, "pass", *("with its beta",) * 3, beta)


RULES: Final = (
    *_everywhere(
        "no input: the SDK's creating parameters have it, and its counting parameters do not",
        "leave out",
        *("diagnostics", "fallback_credit_token", "fallbacks", "inference_geo", "max_tokens"),
        *("metadata", "service_tier", "stop_sequences", "stream"),
    ),
    *_everywhere(
        "no input: clients still send it, though the SDK's types have lost it",
        "leave out",
        *("temperature", "top_k", "top_p", "user"),
    ),
    *_everywhere(
        "no input: a header, or a gateway's own",
        "leave out",
        *("anthropic_beta", "anthropic_version", "litellm_metadata", "safety_identifier"),
        "workspace_id",
    ),
    FieldRule(
        *("user_profile_id", "no input: a header, or in mantle's body"),
        *("leave out", "leave out", "leave out null", "leave out"),
    ),
    *_everywhere(
        "input that no counter takes: it refuses it", "leave out null", "container", "thread"
    ),
    _beta_of_clouds("speed", "fast-mode-2026-02-01"),
    _beta_of_clouds("output_config.effort", "effort-2025-11-24"),
    _beta_of_clouds("messages.*.output_config.effort", "mid-conversation-output-config-2026-07-01"),
    _beta_of_clouds("tools.*.eager_input_streaming", "fine-grained-tool-streaming-2025-05-14"),
    _beta_of_clouds("**.cache_control.scope", "prompt-caching-scope-2026-01-05"),
)
"""All rows. A runtime's `max_tokens` is required by its schema, and set by its provider."""

NOT_INPUT: Final = frozenset(
    rule.field for rule in RULES if rule.anthropic == "leave out" and "." not in rule.field
)
"""The top-level fields that are no input of any upstream; only the pass-through sends them."""

# A tool's result has blocks, one of which may be a document with blocks of its own.
_CONTENT_LEVELS: Final = 3
_MOST_LETTERS: Final = 64
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Column(NamedTuple):
    """Rules of one upstream: names by treatment, and the rules that depend on a beta."""

    left_out: frozenset[str]
    nullable: tuple[str, ...]
    top: tuple[FieldRule, ...]
    nested: tuple[FieldRule, ...]


def _column(upstream: Upstream) -> _Column:
    rules: dict[Treatment, list[FieldRule]] = {}
    for rule in RULES:
        rules.setdefault(getattr(rule, upstream), []).append(rule)
    by_beta = rules.get("with its beta", [])
    top = [rule for rule in by_beta if "." not in rule.field]
    return _Column(
        frozenset(rule.field for rule in rules["leave out"]),
        tuple(rule.field for rule in [*rules["leave out null"], *top]),
        tuple(top),
        tuple(rule for rule in by_beta if "." in rule.field),
    )


_COLUMNS: Final = {upstream: _column(upstream) for upstream in get_args(Upstream)}


def edit_fields(
    body: JsonObject,
    replace: Mapping[str, JsonValue | bytes],
    upstream: Upstream,
    betas: Collection[str] = (),
    *,
    drop: Collection[str] = (),
) -> tuple[bytes, list[str]]:
    """Return the body's text for an upstream, and the places left out that may matter to the count.

    Args:
        body: the caller's body, whose text is kept elsewhere.
        replace: members to set, as in `JsonObject.edit`.
        upstream: the column of the table.
        betas: the betas that are sent.
        drop: further members to leave out.
    """
    column = _COLUMNS[upstream]
    dropped = column.left_out.union(drop).difference(replace)
    dropped |= {name for name in column.nullable if _is_null(body, name)}
    omitted = [
        rule.field
        for rule in column.top
        if rule.field in body.members and rule.beta not in betas and rule.field not in dropped
    ]
    dropped = dropped.union(omitted)
    nested = {rule.field for rule in column.nested if rule.beta not in betas}
    edited = dict(replace)
    if nested:
        edited |= _edit_members(body, nested, {*dropped, *replace}, omitted)
    return body.edit(edited, drop=dropped), omitted


def _is_null(body: JsonObject, name: str) -> bool:
    return name in body.members and _text_of(body, name) == b"null"


def _edit_members(
    body: JsonObject, fields: Collection[str], skipped: Collection[str], omitted: list[str]
) -> dict[str, bytes]:
    """Return the new texts of the members in which a nested field is left out."""
    editor = _Editor(fields, omitted)
    edits: Mapping[str, Callable[[bytes, str], bytes]] = {
        "cache_control": editor.edit_cache_control,
        "messages": partial(editor.edit_items, edit=editor.edit_message),
        "output_config": partial(editor.drop, field="output_config.effort", name="effort"),
        "system": partial(editor.edit_items, edit=editor.edit_block),
        "tools": partial(editor.edit_items, edit=editor.edit_tool),
    }
    edited = {}
    for name, edit in edits.items():
        if name in body.members and name not in skipped:
            text = _text_of(body, name)
            changed = edit(text, name)
            if changed != text:
                edited[name] = changed
    return edited


class _Editor(NamedTuple):
    """Editor of the places where Anthropic's format has the nested `fields`.

    It enters these places alone and a few levels of content, so that a caller's own data (schemas,
    the input of tools) stays, and time is linear in the text. An object that cannot be read, for a
    name that is there twice, passes as it is: the upstream decides.
    """

    fields: Collection[str]
    omitted: list[str]

    def edit_items(self, text: bytes, place: str, *, edit: Callable[[bytes, str], bytes]) -> bytes:
        """Edit each item of a list; any other value stays."""
        if not text.startswith(b"[") or not self._may_have_field(text):
            return text
        leave_loop(len(text))
        try:
            refuse_many_values(text)
            items = list(map(bytes, _decode_list(text)))
        except (ValueError, RecursionError):  # a lone surrogate, for instance
            return text
        edited = []
        for number, item in enumerate(items):
            stop_if_unneeded()
            is_object = item.startswith(b"{")
            edited.append(edit(item, f"{place}.{number}") if is_object else item)
        return text if edited == items else b"[%b]" % b",".join(edited)

    def edit_message(self, text: bytes, place: str) -> bytes:
        text = self._edit_member(
            text,
            "output_config",
            partial(self.drop, field="messages.*.output_config.effort", name="effort"),
            place,
        )
        return self._edit_content(text, place, _CONTENT_LEVELS)

    def edit_block(self, text: bytes, place: str, levels: int = 0) -> bytes:
        """Edit a content block, and `levels` levels of content within it."""
        text = self._edit_member(text, "cache_control", self.edit_cache_control, place)
        if not levels:
            return text
        text = self._edit_content(text, place, levels)
        return self._edit_member(text, "source", partial(self._edit_content, levels=levels), place)

    def edit_tool(self, text: bytes, place: str) -> bytes:
        if not self._may_have_field(text):
            return text
        kind = _type_of(text)
        place = f"{place}.{kind[:_MOST_LETTERS] if isinstance(kind, str) else 'custom'}"
        name = "eager_input_streaming"
        text = self.drop(text, place, field=f"tools.*.{name}", name=name)
        return self._edit_member(text, "cache_control", self.edit_cache_control, place)

    def edit_cache_control(self, text: bytes, place: str) -> bytes:
        return self.drop(text, place, field="**.cache_control.scope", name="scope")

    def drop(self, text: bytes, place: str, *, field: str, name: str) -> bytes:
        """Leave a field out of an object, and name its place."""
        if field not in self.fields or b'"%b"' % name.encode() not in text:
            return text
        value = _read(text)
        if value is None or name not in value.members:
            return text
        self.omitted.append(f"{place}.{name}")
        return value.edit({}, drop={name})

    def _edit_content(self, text: bytes, place: str, levels: int) -> bytes:
        edit = partial(self.edit_block, levels=levels - 1)
        return self._edit_member(text, "content", partial(self.edit_items, edit=edit), place)

    def _edit_member(
        self, text: bytes, name: str, edit: Callable[[bytes, str], bytes], place: str
    ) -> bytes:
        if b'"%b"' % name.encode() not in text or not self._may_have_field(text):
            return text
        value = _read(text)
        if value is None or name not in value.members:
            return text
        member = _text_of(value, name)
        edited = edit(member, f"{place}.{name}")
        return text if edited == member else value.edit({name: edited})

    def _may_have_field(self, text: bytes) -> bool:
        # Most bodies have none of the names, and are not read further.
        return any(all(name in text for name in names) for names in map(_names_of, self.fields))


@cache
def _names_of(field: str) -> tuple[bytes, ...]:
    """Return the quoted names after the last star of a field's path."""
    names = field.rpartition("*")[2].strip(".").split(".")
    return tuple(b'"%b"' % name.encode() for name in names)


def _type_of(text: bytes) -> object:
    """Return the type of a tool, or None if it has none that Python can read."""
    tool = _read(text)
    try:
        return None if tool is None else tool.get("type")
    except ValueError:
        return None


def _read(text: bytes) -> JsonObject | None:
    """Return an object, or None for any other value and for one that cannot be read."""
    try:
        return JsonObject.parse(text) if text.startswith(b"{") else None
    except ValueError:
        return None


def _text_of(value: JsonObject, name: str) -> bytes:
    member = value.members[name]
    return value.raw[member.start : member.end]
