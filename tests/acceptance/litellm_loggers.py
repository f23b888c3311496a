"""`make litellm-loggers`: run LiteLLM's own loggers, and judge what they send to a server.

LiteLLM's interpreter runs `run_litellm_loggers.py`, with this package on its path. Two libraries
that the package needs and LiteLLM does not have are installed into a temporary folder. The payloads
that the generic logger sends become facts, with which the tests compare the arguments of a logger.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench.litellm import EXECUTABLE, ask_litellm
from tests.facts import FOLDER, LITELLM_LOGGED, write_facts
from tests.support.litellm_scenes import SCENES

_ROOT: Final = Path(__file__).parents[2]
_SCRIPT: Final = Path(__file__).with_name("run_litellm_loggers.py")
_LIBRARIES: Final = ("cachetools", "msgspec")


def main() -> int:
    """Return the exit status."""
    with TemporaryDirectory(prefix="litellm-loggers-") as folder:
        python = str(EXECUTABLE.with_name("python"))
        options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--target", folder)
        install = ["-m", "pip", "install", *options, "--constraint", "constraints.txt"]
        subprocess.run([python, *install, *_LIBRARIES], cwd=_ROOT, check=True)
        judged = ask_litellm(_SCRIPT, (), (_ROOT, Path(folder)))
    problems = judged.pop("problems")
    requests = judged.pop("requests")
    sys.stdout.write(f"LiteLLM {judged['version']}: {len(SCENES)} counts, {requests} requests\n")
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    if not problems:
        write_facts(LITELLM_LOGGED, judged, FOLDER)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
