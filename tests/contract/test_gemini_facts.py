"""The translation to Gemini has decided about every field and type of Anthropic's beta SDK.

The SDK's types are walked in step with the translation's, from the request through everything that
is input.
"""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from msgspec import inspect

from count_tokens_mw.errors import CannotCount, CountError
from count_tokens_mw.providers.google.dialect import Dialect
from count_tokens_mw.providers.google.translation import generate_content_request
from count_tokens_mw.providers.translation.no_input import NO_INPUT_OF_REQUEST
from count_tokens_mw.providers.translation.request import READERS
from count_tokens_mw.providers.translation.tools import BuiltInTool, CustomTool, ToolKind
from count_tokens_mw.rawjson.object import JsonObject
from tests.facts import ANTHROPIC, Facts, read_facts
from tests.support.gemini import TYPES
from tests.support.refused_types import REFUSED_FIELDS, REFUSED_TYPES

SDK: Final[Facts] = read_facts(ANTHROPIC)
REQUEST: Final = "MessageCountTokensParams"
DIALECT: Final = Dialect("gemini_api", 3)
MESSAGES: Final = [{"role": "user", "content": "hi"}]
DECIDE_FIELD: Final = (
    "is it input? If so, translate it in count_tokens_mw/providers/translation/; if not, add it to "
    "its type in anthropic_types.py or tools.py with a reason of no_input.py"
)
DECIDE_TYPE: Final = (
    "has it a counterpart? If so, translate it in count_tokens_mw/providers/translation/; if not, "
    "add it to tests/support/refused_types.py with the reason"
)
DECIDE_EXTRA: Final = "remove it, or add it to OURS_ALONE with the reason"
# Fields that the translation reads although no type of the beta SDK has them.
OURS_ALONE: Final = {
    ("Thinking", "cache_control"): "a block of any other kind has it, and clients mark any block",
    ("request", "output_format"): "the older name of output_config.format, which is still accepted",
}
CHANGED: Final = {"type": "compaction", "content": "s", "tool_changes": [{"type": "tool_removal"}]}
# Values by which each of the refused fields holds something.
VALUES: Final[dict[tuple[str, str], tuple[dict[str, Any], str]]] = {
    ("BetaCompactionBlockParam", "tool_changes"): (
        {"messages": [*MESSAGES, {"role": "user", "content": [CHANGED]}]},
        "messages.1.content.0",
    ),
    ("BetaToolParam", "input_examples"): (
        {"tools": [{"name": "f", "input_schema": {}, "input_examples": [{"a": 1}]}]},
        "tools.0",
    ),
    (REQUEST, "mcp_servers"): ({"mcp_servers": [{"type": "url", "name": "s"}]}, "mcp_servers"),
    ("MessageCreateParams", "container"): ({"container": "container_1"}, "container"),
    ("MessageCreateParams", "thread"): ({"thread": {"id": "thread_1"}}, "thread"),
}


def translate(body: dict[str, Any]) -> None:
    raw = json.dumps({"model": "m", "messages": MESSAGES, **body}).encode()
    generate_content_request(JsonObject.parse(raw), DIALECT)


def refusal_of(body: dict[str, Any]) -> CannotCount | None:
    try:
        translate(body)
    except CannotCount as error:
        return error
    except CountError:  # an instance of a type that is known, without what it requires
        return None
    return None


@dataclass(frozen=True)
class Spot:
    """Place of a value in a request, and how to build a request with a value there."""

    place: str
    build: Callable[[Any], dict[str, Any]]

    def within(self, holder: dict[str, Any], name: str, *, is_list: bool) -> "Spot":
        """Return the spot of a field, or of its first item, in an object that stands here."""

        def build(value: Any) -> dict[str, Any]:
            return self.build({**holder, name: [value] if is_list else value})

        place = f"{self.place}.{name}" if self.place else name
        return Spot(f"{place}.0" if is_list else place, build)


TOP: Final = Spot("", dict)


@dataclass
class Walk:
    """Walk of the SDK's types beside ours, and what it met."""

    types: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    refused: list[tuple[str, str, Spot]] = field(default_factory=list)
    opaque: set[tuple[str, str]] = field(default_factory=set)
    met: dict[type, set[str]] = field(default_factory=dict)
    """The SDK's fields of each type of ours that was met."""
    seen: set[tuple[str, type]] = field(default_factory=set)

    def enter(self, name: str, structs: Sequence[inspect.StructType], spot: Spot) -> None:
        """Compare a type of the SDK with the one of ours that reads it, for each of its tags.

        The translation itself tells which values of an untagged type it knows.
        """
        discriminator = self.types[name]["discriminator"]
        tag_field = structs[0].tag_field
        for tag in discriminator.get(tag_field or "type") or [None]:
            if tag_field is None:
                struct: inspect.StructType | None = structs[0]
                holder = {**minimal(structs[0]), **({} if tag is None else {"type": tag})}
                is_known = refusal_of(spot.build(holder)) is None
            else:
                struct = next((one for one in structs if one.tag == tag), None)
                holder = {} if struct is None else minimal(struct)
                is_known = struct is not None
            if is_known and struct is not None:
                self.compare(name, struct, spot, holder)
            else:
                self.refuse(name, str(tag), spot)

    def refuse(self, name: str, tag: str, spot: Spot) -> None:
        self.refused.append((name, tag, spot))
        if name not in REFUSED_TYPES:
            self.problems.append(f"new type `{name}` ({tag}) at {spot.place}: {DECIDE_TYPE}")

    def compare(
        self, name: str, struct: inspect.StructType, spot: Spot, holder: dict[str, Any]
    ) -> None:
        """Compare the fields of a type with those of ours, and enter the types that they hold."""
        fields: dict[str, list[str]] = self.types[name]["fields"]
        self.met.setdefault(struct.cls, set()).update(fields)
        is_left_out = struct.tag_field is not None and not struct.forbid_unknown_fields
        if is_left_out or (name, struct.cls) in self.seen:
            return
        self.seen.add((name, struct.cls))
        ours = {known.encode_name: known.type for known in struct.fields}
        for name_of_field, held in fields.items():
            if name_of_field == struct.tag_field:
                continue
            if name_of_field not in ours:
                tag = holder.get(struct.tag_field or "type", "")
                self.problems.append(
                    f"new field `{name_of_field}` of `{name}` ({tag}): {DECIDE_FIELD}"
                )
                continue
            self.descend(name, name_of_field, held, ours[name_of_field], spot, holder)

    def descend(
        self,
        name: str,
        name_of_field: str,
        held: Sequence[str],
        kind: inspect.Type,
        spot: Spot,
        holder: dict[str, Any],
    ) -> None:
        """Enter the types that a field holds, unless it is no input or read as JSON text."""
        if is_no_input(kind):
            return
        parts = list(flatten(kind))
        structs = [part for part in parts if isinstance(part, inspect.StructType)]
        is_list = any(isinstance(part, inspect.ListType) for part in parts)
        if any(isinstance(part, inspect.RawType) for part in parts):
            if is_list or description_of(kind).startswith("refused: "):
                self.opaque.add((name, name_of_field))
        elif held and not structs:
            self.problems.append(
                f"`{name_of_field}` of `{name}` may hold {', '.join(held)} now: {DECIDE_FIELD}"
            )
        elif structs:
            inner = spot.within(holder, name_of_field, is_list=is_list)
            for one in held:
                self.enter(one, structs, inner)


def is_no_input(kind: inspect.Type) -> bool:
    return description_of(kind).startswith("no input: ")


def description_of(kind: inspect.Type) -> str:
    extra = kind.extra_json_schema if isinstance(kind, inspect.Metadata) else None
    return str((extra or {}).get("description", ""))


def flatten(kind: inspect.Type) -> Iterator[inspect.Type]:
    """Yield a type, and the types within its unions, lists and metadata."""
    yield kind
    match kind:
        case inspect.Metadata():
            yield from flatten(kind.type)
        case inspect.UnionType(types=types):
            for one in types:
                yield from flatten(one)
        case inspect.ListType(item_type=item):
            yield from flatten(item)


def minimal(struct: inspect.StructType) -> dict[str, Any]:
    """Return an object with the tag and the required fields of a type of ours."""
    required = {known.encode_name: example(known.type) for known in struct.fields if known.required}
    return {**required, **({struct.tag_field: struct.tag} if struct.tag_field else {})}


def example(kind: inspect.Type) -> Any:
    for part in flatten(kind):
        if isinstance(part, inspect.StrType):
            return "x"
        if isinstance(part, inspect.StructType):
            return minimal(part)
    return {}


def walk(facts: Facts) -> Walk:
    """Return the result of a walk from the request through everything that is input."""
    result = Walk(facts["types"])
    held: dict[str, list[str]] = dict(facts["types"][REQUEST]["fields"])
    known = {
        name for api in ("counting", "creating") for names in facts[api].values() for name in names
    }
    for name in sorted(known | held.keys()):
        if name == "tools":
            walk_tools(result, held[name])
        elif name in READERS:
            result.descend(REQUEST, name, held.get(name, []), READERS[name]._info, TOP, {})
        elif name not in NO_INPUT_OF_REQUEST:
            if ("MessageCreateParams", name) in REFUSED_FIELDS:
                result.opaque.add(("MessageCreateParams", name))
            else:
                result.problems.append(f"new field `{name}` of the request: {DECIDE_FIELD}")
    result.problems += outdated(result, known)
    return result


def walk_tools(result: Walk, names: Sequence[str]) -> None:
    """Compare the types of tools; the translation itself tells which it knows."""
    custom, built_in = inspect.multi_type_info([CustomTool, BuiltInTool])
    spot = TOP.within({}, "tools", is_list=True)
    for name in names:
        for tag in result.types[name]["discriminator"].get("type", []):
            ours = custom if tag == "custom" else built_in
            assert isinstance(ours, inspect.StructType)
            holder = {**minimal(ours), "type": tag}
            if refusal_of(spot.build(holder)) is None:
                result.compare(name, ours, spot, holder)
            else:
                result.refuse(name, tag, spot)


def outdated(result: Walk, known: set[str]) -> Iterator[str]:
    """Yield the entries of the lists that no longer apply, and the fields that are ours alone."""
    refused = {name for name, _, _ in result.refused}
    for name in sorted(REFUSED_TYPES.keys() - refused):
        why = "is translated now" if name in result.types else "has left the SDK"
        yield f"`{name}` {why}: remove it from tests/support/refused_types.py"
    for name, of in sorted(REFUSED_FIELDS.keys() - result.opaque):
        yield f"`{of}` of `{name}` is not refused now: remove it from refused_types.py"
    for name, of in sorted(result.opaque - REFUSED_FIELDS.keys()):
        yield f"`{of}` of `{name}` is read and not translated: {DECIDE_FIELD}"
    alone = {("request", name) for name in READERS.keys() - known}
    for ours, theirs in result.met.items():
        info = inspect.type_info(ours)
        assert isinstance(info, inspect.StructType)
        names = {field.encode_name for field in info.fields}
        alone |= {(ours.__name__, name) for name in names - theirs}
    for name, of in sorted(alone - OURS_ALONE.keys()):
        yield f"`{of}` of our {name} is in no type of the SDK: {DECIDE_EXTRA}"
    for name, of in sorted(OURS_ALONE.keys() - alone):
        yield f"`{of}` of our {name} is in the SDK now: remove it from OURS_ALONE"


WALK: Final = walk(SDK)


def test_every_field_and_type_of_the_sdk_has_been_decided_about() -> None:
    assert "\n".join(WALK.problems) == ""


def test_the_walk_meets_every_type_of_ours() -> None:
    """A type that it does not meet has left the SDK, or the walk has a hole."""
    defined = {kind for kind in TYPES if not kind.__name__.startswith("_")}
    assert defined - WALK.met.keys() == {ToolKind}  # of which the tools' types are


@pytest.mark.parametrize(
    ("name", "tag", "spot"),
    WALK.refused,
    ids=[f"{tag} at {spot.place}" for _, tag, spot in WALK.refused],
)
def test_a_type_on_the_list_is_a_501_that_names_it_and_its_place(
    name: str, tag: str, spot: Spot
) -> None:
    assert SDK["types"][name]["discriminator"]["type"]
    error = refusal_of(spot.build({"type": tag, "name": "x"}))
    assert error is not None
    assert error.status == 501
    assert error.message.startswith(f"{spot.place.removesuffix('.source')}: ")
    assert error.message.endswith(f" of type {tag}.")


@pytest.mark.parametrize("field_of", REFUSED_FIELDS, ids=".".join)
def test_a_field_on_the_list_is_a_501_that_names_its_place(field_of: tuple[str, str]) -> None:
    body, place = VALUES[field_of]
    error = refusal_of(body)
    assert error is not None
    assert error.status == 501
    assert error.message.startswith(f"{place}: Gemini has no counterpart of ")


class TestTheWalkCanFail:
    @pytest.mark.parametrize(
        ("name", "tag"),
        [
            ("BetaUserMessageParam", "user"),
            ("BetaTextBlockParam", "text"),
            ("BetaURLPDFSourceParam", "url"),
            ("BetaSystemMessageOutputConfigParam", ""),
            ("BetaJSONOutputFormatParam", "json_schema"),
            ("BetaToolChoiceToolParam", "tool"),
            ("BetaToolParam", "custom"),
            ("BetaWebFetchTool20260318Param", "web_fetch_20260318"),
        ],
    )
    def test_a_new_field(self, name: str, tag: str) -> None:
        facts = copy.deepcopy(SDK)
        facts["types"][name]["fields"]["x_new"] = []
        assert walk(facts).problems == [f"new field `x_new` of `{name}` ({tag}): {DECIDE_FIELD}"]

    @pytest.mark.parametrize(
        ("holder", "of", "place"),
        [
            ("BetaAssistantMessageParam", "content", "messages.0.content.0"),
            ("BetaToolResultBlockParam", "content", "messages.0.content.0.content.0"),
            ("BetaImageBlockParam", "source", "messages.0.content.0.source"),
            (REQUEST, "tools", "tools.0"),
            (REQUEST, "tool_choice", "tool_choice"),
            (REQUEST, "messages", "messages.0"),
        ],
    )
    def test_a_new_type(self, holder: str, of: str, place: str) -> None:
        facts = copy.deepcopy(SDK)
        discriminator = {name: ["hologram"] for name in ("role", "type")}
        facts["types"]["BetaHologramParam"] = {"discriminator": discriminator, "fields": {}}
        facts["types"][holder]["fields"][of].append("BetaHologramParam")
        assert walk(facts).problems == [
            f"new type `BetaHologramParam` (hologram) at {place}: {DECIDE_TYPE}"
        ]

    @pytest.mark.parametrize("api", ["counting", "creating"])
    def test_a_new_field_of_the_request(self, api: str) -> None:
        facts = copy.deepcopy(SDK)
        facts[api]["plain"].append("x_new")
        assert walk(facts).problems == [f"new field `x_new` of the request: {DECIDE_FIELD}"]

    def test_a_text_that_may_be_blocks_now(self) -> None:
        facts = copy.deepcopy(SDK)
        name = "BetaSearchResultBlockParam"
        facts["types"][name]["fields"]["title"] = ["BetaTextBlockParam"]
        assert walk(facts).problems == [
            f"`title` of `{name}` may hold BetaTextBlockParam now: {DECIDE_FIELD}"
        ]

    def test_a_refused_type_that_has_left_the_sdk(self) -> None:
        facts = copy.deepcopy(SDK)
        name = "BetaMemoryTool20250818Param"
        del facts["types"][name]
        facts["types"][REQUEST]["fields"]["tools"].remove(name)
        assert walk(facts).problems == [
            f"`{name}` has left the SDK: remove it from tests/support/refused_types.py"
        ]

    def test_a_refused_type_that_is_translated(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(REFUSED_TYPES, "BetaTextBlockParam", "a reason")
        assert walk(SDK).problems == [
            "`BetaTextBlockParam` is translated now: remove it from tests/support/refused_types.py"
        ]

    def test_a_field_that_has_left_the_sdk(self) -> None:
        facts = copy.deepcopy(SDK)
        del facts["types"]["BetaThinkingBlockParam"]["fields"]["signature"]
        assert walk(facts).problems == [
            f"`signature` of our Thinking is in no type of the SDK: {DECIDE_EXTRA}"
        ]
