"""The house's prose: first words of sentences, and names that the field's terms replaced."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FOLDERS: Final = ("count_tokens_mw", "demo_app", "tests")
SOURCES: Final = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PAGES: Final = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

# A sentence that begins so has no subject with a name.
BAD_BEGINNING: Final = re.compile(
    r"(?:\A|(?<=[.!?:] )|(?<=\n\n))\W*(What|Who|Whose|Those|Such|Of|One (?:that|who))\b"
)
# Terms that were replaced; verbs and adjectives of plain English are not among them.
REPLACED: Final = frozenset(
    {
        "Attempts",
        "ConfigValues",
        "Joined",
        "Medium",
        "Parts",
        "Plan",
        "RecentRequests",
        "Service",
        "Trace",
        "Turns",
        "Way",
        "_Holder",
        "cloud_params",
        "count_from",
        "give_back",
        "going_on",
        "in_thread",
        "known_params",
        "led_to",
        "resolved_deployments",
        "shared_counts",
        "shared_values",
        "under_way",
        "up_to",
        "value_types",
        "while_client_waits",
    }
)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def docstrings_of(tree: ast.AST) -> Iterator[str]:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented):
            yield ast.get_docstring(node) or ""


def messages_of(tree: ast.AST) -> Iterator[str]:
    """Yield the text of every exception that is raised, its placeholders left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            for argument in node.exc.args:
                parts = [
                    each.value for each in ast.walk(argument) if isinstance(each, ast.Constant)
                ]
                yield "".join(part for part in parts if isinstance(part, str))


def comments_of(source: str) -> Iterator[str]:
    """Yield each run of comment lines as one text."""
    lines: list[str] = []
    last = -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1:
                yield " ".join(lines)
                lines = []
            lines.append(token.string.lstrip("#: "))
            last = token.start[0]
    yield " ".join(lines)


def prose_of(path: Path) -> tuple[str, ...]:
    source = read(path)
    tree = ast.parse(source)
    messages = messages_of(tree) if path.is_relative_to(ROOT / "count_tokens_mw") else ()
    return (*docstrings_of(tree), *comments_of(source), *messages)


def paragraphs_of(page: str) -> Iterator[str]:
    """Yield the paragraphs, list items, headings and table cells of a page, without its code."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    for block in re.split(r"\n\s*\n|\n(?=\s*[-|#])", text):
        yield from (" ".join(cell.split()).lstrip("-#*> ") for cell in block.split("|"))


def bad_beginnings(texts: Iterable[str]) -> list[str]:
    return [
        text[match.start() : match.start() + 60]
        for text in texts
        for match in BAD_BEGINNING.finditer(text)
    ]


def test_every_sentence_of_the_code_has_a_subject_and_names_nothing_replaced() -> None:
    for path in SOURCES:
        prose = prose_of(path)
        assert bad_beginnings(prose) == [], path
        if path.name != "test_prose.py":
            assert replaced_names(prose) == set(), path


def test_every_sentence_of_the_documentation_has_a_subject() -> None:
    for path in PAGES:
        assert bad_beginnings(paragraphs_of(read(path))) == [], path


@pytest.mark.parametrize(
    ("text", "is_bad"),
    [
        ("What is asked.", True),
        ("Return it. Those that fail are skipped.", True),
        ("A rule.\n\nOne that hangs is cut off.", True),
        ("A caller: who asks.", False),
        ("Return what was asked.", False),
        ("One deployment is asked.", False),
    ],
)
def test_a_sentence_without_a_subject_is_found(text: str, is_bad: bool) -> None:
    assert bool(bad_beginnings(iter([text]))) == is_bad


def test_no_replaced_name_is_defined() -> None:
    for path in SOURCES:
        if path.is_relative_to(ROOT / "count_tokens_mw"):
            nodes = list(ast.walk(ast.parse(read(path))))
            defined = {node.name for node in nodes if hasattr(node, "name")}
            defined |= {node.id for node in nodes if isinstance(node, ast.Name)}
            defined |= {node.arg for node in nodes if isinstance(node, ast.arg)}
            assert defined & REPLACED == set(), path


def test_no_replaced_name_is_documented() -> None:
    """The changelog names the old names beside the new ones."""
    for path in PAGES:
        if path.name != "CHANGELOG.md":
            assert replaced_names([read(path)]) == set(), path


def replaced_names(texts: Iterable[str]) -> set[str]:
    return {span for text in texts for span in re.findall(r"`([A-Za-z_]+)`", text)} & REPLACED
