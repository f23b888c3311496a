"""The fields that an upstream in Anthropic's format does not get as the caller sent them.

Anthropic's format is open: a field without a row passes, known or not, and the upstream decides.
https://docs.claude.com/en/api/messages and https://docs.claude.com/en/api/messages-count-tokens
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from count_tokens_mw.rawjson.object import JsonObject, JsonValue
from count_tokens_mw.types import unreadable

__all__ = ["NOT_INPUT", "RULES", "FieldRule", "Treatment", "Upstream", "edit_fields"]

Upstream: TypeAlias = Literal["anthropic", "runtime", "mantle", "vertex"]
"""Anthropic and every server with its API; Bedrock's runtime and mantle; Vertex AI."""

Treatment: TypeAlias = Literal["pass", "leave out", "leave out null", "with its beta"]
"""`leave out null` passes any other value, which the upstream refuses. `with its beta` leaves a
field out unless its beta is sent; the field is then named, because its beta was asked for."""


class FieldRule(NamedTuple):
    """Treatment of a field by each upstream, and the reason.

    `field` is a path of names; `*` is each item of a list, and `**` any depth.
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
        *("user_profile_id", "workspace_id"),
    ),
    *_everywhere(
        "input that no counter takes: the upstream says so", "leave out null", "container"
    ),
    *_everywhere("input that no counter takes: the upstream says so", "leave out null", "thread"),
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

    Raises:
        InvalidRequest: a value that has to be edited cannot be read.
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
    nested = [rule for rule in column.nested if rule.beta not in betas]
    edited = dict(replace)
    if nested:
        try:
            edited |= _edit_members(body, nested, {*dropped, *replace}, omitted)
        except ValueError as error:
            raise unreadable(error) from None
    return body.edit(edited, drop=dropped), omitted


def _is_null(body: JsonObject, name: str) -> bool:
    return name in body.members and _text_of(body, name) == b"null"


def _edit_members(
    body: JsonObject, rules: Collection[FieldRule], skipped: Collection[str], omitted: list[str]
) -> dict[str, bytes]:
    """Return the new texts of the members in which a rule leaves something out."""
    names = {b'"%s"' % rule.field.rpartition(".")[2].encode() for rule in rules}
    texts = {name: _text_of(body, name) for name in body.members if name not in skipped}
    # Most bodies have none of the names, and are not read further.
    edited = {
        name: _Editor(rules, names, omitted).edit(text, (name,), name)
        for name, text in texts.items()
        if any(other in text for other in names)
    }
    return {name: text for name, text in edited.items() if text != texts[name]}


# Their values are the caller's own data, whose names mean nothing to the API.
_OWN_DATA: Final = frozenset({"input", "input_examples", "input_schema", "schema"})


class _Editor(NamedTuple):
    """Editor of nested values; `names` are the quoted names of the fields to leave out."""

    rules: Collection[FieldRule]
    names: Collection[bytes]
    omitted: list[str]

    def edit(self, text: bytes, path: tuple[str, ...], place: str) -> bytes:
        """Return the text of a value at a path without the fields of the rules."""
        if not any(name in text for name in self.names):
            return text
        if text.startswith(b"{"):
            return self._edit_object(JsonObject.parse(text), path, place)
        if text.startswith(b"["):
            items = JsonObject.parse(b'{"":%b}' % text).items("")
            edited = (
                self.edit(item, (*path, "*"), _place_of_item(path, place, number, value))
                for number, (value, item) in enumerate(items)
            )
            return b"[%b]" % b",".join(edited)
        return text

    def _edit_object(self, value: JsonObject, path: tuple[str, ...], place: str) -> bytes:
        drop = {name for name in value.members if self._is_left_out((*path, name))}
        self.omitted.extend(f"{place}.{name}" for name in value.members if name in drop)
        kept = value.members.keys() - drop - _OWN_DATA
        texts = {name: _text_of(value, name) for name in value.members if name in kept}
        edited = {
            name: self.edit(text, (*path, name), f"{place}.{name}") for name, text in texts.items()
        }
        changed = {name: text for name, text in edited.items() if text != texts[name]}
        return value.edit(changed, drop=drop) if drop or changed else value.raw

    def _is_left_out(self, path: tuple[str, ...]) -> bool:
        return any(_matches(rule.field.split("."), path) for rule in self.rules)


def _matches(pattern: list[str], path: tuple[str, ...]) -> bool:
    if pattern[0] == "**":
        return list(path[1 - len(pattern) :]) == pattern[1:]
    return pattern == list(path)


def _place_of_item(path: tuple[str, ...], place: str, number: int, value: JsonValue) -> str:
    """Return the place of a list's item as Anthropic's errors write it: `tools.0.custom`."""
    if path != ("tools",) or not isinstance(value, Mapping):
        return f"{place}.{number}"
    kind = value.get("type")
    return f"{place}.{number}.{kind if isinstance(kind, str) else 'custom'}"


def _text_of(value: JsonObject, name: str) -> bytes:
    member = value.members[name]
    return value.raw[member.start : member.end]
