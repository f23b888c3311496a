"""`python -m tests.bench.compare_config`: the same configurations to this package and to LiteLLM.

LiteLLM's answers become facts. Each difference is printed, for the table of docs/litellm.md.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.litellm import EXECUTABLE
from tests.facts import FOLDER, Facts, write_facts
from tests.facts.litellm_shapes import (
    LITELLM_ANSWERS,
    compare_answers,
    our_answer,
    read_shapes,
)

_SCRIPT: Final = FOLDER / "ask_litellm.py"


def ask_litellm() -> Facts:
    """Return LiteLLM's answers to all shapes, from a process of LiteLLM's interpreter."""
    shapes = json.dumps([shape._asdict() for shape in read_shapes()])
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder, "answers.json")
        command = [EXECUTABLE.with_name("python"), _SCRIPT, answers]
        subprocess.run(command, input=shapes, stdout=subprocess.DEVNULL, text=True, check=True)
        facts: Facts = json.loads(answers.read_text(encoding="utf-8"))
    return facts


def main() -> None:
    """Ask LiteLLM, keep its answers, and print the differences."""
    facts = ask_litellm()
    write_facts(LITELLM_ANSWERS, facts)
    for shape in read_shapes():
        with tempfile.TemporaryDirectory() as home:
            ours = our_answer(shape, Path(home))
        for difference in compare_answers(shape, facts["answers"][shape.name], ours):
            sys.stdout.write(f"| {' | '.join(difference)} |\n")


if __name__ == "__main__":
    main()
