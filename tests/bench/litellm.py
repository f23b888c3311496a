"""LiteLLM's proxy as a contender, if `make bench-litellm` has put it into its own environment."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench.gateway import KEY
from tests.bench.processes import Process, free_port, run_server
from tests.facts import Facts

__all__ = [
    "EXECUTABLE",
    "ask_litellm",
    "litellm_config_proxy",
    "litellm_proxy",
    "litellm_version",
]

EXECUTABLE: Final = Path(__file__).parents[2] / ".venv-litellm" / "bin" / "litellm"


def litellm_version() -> str:
    """Return the version that is measured."""
    ask = "import importlib.metadata; print(importlib.metadata.version('litellm'))"
    command = [str(EXECUTABLE.with_name("python")), "-c", ask]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def ask_litellm(script: Path, shapes: Sequence[Any], paths: Sequence[Path] = ()) -> Facts:
    """Return the answers that a script gives to shapes in a process of LiteLLM's interpreter.

    The script gets the shapes as JSON, and the file for its answers as its argument. `paths` are
    folders that it may import from.
    """
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder, "answers.json")
        subprocess.run(
            [EXECUTABLE.with_name("python"), script, answers],
            input=json.dumps([shape._asdict() for shape in shapes]),
            stdout=subprocess.DEVNULL,
            env=environ,
            text=True,
            check=True,
        )
        facts: Facts = json.loads(answers.read_text(encoding="utf-8"))
    return facts


@contextmanager
def litellm_proxy(upstream: str) -> Iterator[Process]:
    """Run one worker with a key and one model of Anthropic's."""
    params = {
        "model": "anthropic/claude-sonnet-4-5",
        "api_key": "sk-ant-api03-bench",
        "api_base": upstream,
    }
    with litellm_config_proxy({"anthropic": params}) as process:
        yield process


@contextmanager
def litellm_config_proxy(models: Mapping[str, Mapping[str, str]]) -> Iterator[Process]:
    """Run one worker with a key and models, which are `litellm_params` by name.

    https://docs.litellm.ai/docs/proxy/configs
    """
    port = free_port()
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": params} for name, params in models.items()
        ],
        "general_settings": {"master_key": KEY},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(config, file)  # JSON is YAML too
        file.flush()
        place = ["--host", "127.0.0.1", "--port", str(port)]
        command = [str(EXECUTABLE), "--config", file.name, *place, "--num_workers=1"]
        environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
        with run_server(command, port, environ, quiet=True) as process:
            yield process
