"""`python -m tests.bench.compare_requests`: the names in the same requests, by both packages.

LiteLLM's answers become facts. Each difference is printed.
"""

import asyncio
import sys
from typing import Final

from tests.bench.litellm import ask_litellm
from tests.facts import FOLDER, write_facts
from tests.facts.litellm_requests import LITELLM_REQUESTS, our_names, read_requests

_SCRIPT: Final = FOLDER / "ask_litellm_requests.py"


def main() -> None:
    """Ask LiteLLM, keep its answers, and print the differences."""
    facts = ask_litellm(_SCRIPT, read_requests())
    write_facts(LITELLM_REQUESTS, facts)
    for shape in read_requests():
        theirs, ours = facts["answers"][shape.name], asyncio.run(our_names(shape))
        for name in ours:
            if ours[name] != theirs[name]:
                sys.stdout.write(f"{shape.name}, {name}: {theirs[name]} / {ours[name]}\n")


if __name__ == "__main__":
    main()
