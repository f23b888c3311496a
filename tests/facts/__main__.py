"""`python -m tests.facts`: write the files of facts from the packages of this environment."""

import argparse
from importlib.util import find_spec
from pathlib import Path

from tests.facts import (
    ANTHROPIC,
    FOLDER,
    LITELLM_BETAS,
    LITELLM_MODELS,
    LITELLM_PARAMS,
    LITELLM_PAYLOAD,
    LITELLM_PROVIDERS,
    anthropic_sdk,
    litellm_wheel,
    write_facts,
)


def main() -> None:
    """Write Anthropic's file; LiteLLM's three if it is installed, or a path leads to it."""
    parser = argparse.ArgumentParser(prog="python -m tests.facts", description=__doc__)
    parser.add_argument("--into", type=Path, default=FOLDER, help="folder of the files")
    parser.add_argument("--litellm", type=Path, help="its wheel, or the folder it is installed in")
    options = parser.parse_args()
    write_facts(ANTHROPIC, anthropic_sdk.generate(), options.into)
    litellm = options.litellm or _installed_folder("litellm")
    if litellm:
        write_facts(LITELLM_BETAS, litellm_wheel.generate_betas(litellm), options.into)
        write_facts(LITELLM_MODELS, litellm_wheel.generate_models(litellm), options.into)
        write_facts(LITELLM_PARAMS, litellm_wheel.generate_params(litellm), options.into)
        write_facts(LITELLM_PAYLOAD, litellm_wheel.generate_payload(litellm), options.into)
        write_facts(LITELLM_PROVIDERS, litellm_wheel.generate_providers(litellm), options.into)


def _installed_folder(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.origin).parents[1] if spec and spec.origin else None


if __name__ == "__main__":
    main()
