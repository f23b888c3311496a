"""`python -m tests.bench.compare_config`: the same configurations to this package and to LiteLLM.

LiteLLM's answers become facts. Each difference is printed, for the table of docs/litellm.md.
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.litellm import ask_litellm
from tests.facts import FOLDER, write_facts
from tests.facts.litellm_shapes import (
    LITELLM_ANSWERS,
    compare_answers,
    our_answer,
    read_shapes,
)

_SCRIPT: Final = FOLDER / "ask_litellm.py"


def main() -> None:
    """Ask LiteLLM, keep its answers, and print the differences."""
    facts = ask_litellm(_SCRIPT, read_shapes())
    write_facts(LITELLM_ANSWERS, facts)
    for shape in read_shapes():
        with tempfile.TemporaryDirectory() as home:
            ours = our_answer(shape, Path(home))
        for difference in compare_answers(shape, facts["answers"][shape.name], ours):
            sys.stdout.write(f"| {' | '.join(difference)} |\n")


if __name__ == "__main__":
    main()
