"""`python -m count_tokens_mw check config.yaml`: what a configuration comes to, and is wrong."""

import argparse
import asyncio
import io
import sys
from collections.abc import Sequence
from typing import Final

from count_tokens_mw.cli.check import is_well, probe, rows_of
from count_tokens_mw.cli.report import as_json, draw
from count_tokens_mw.config import read_yaml

__all__ = ["main"]

_NO_RICH: Final = "The table needs rich, which the extra 'cli' installs. Or ask for --json."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 0 only if all is well."""
    options = _parser().parse_args(arguments)
    console = None
    if not options.json:
        try:
            from rich.console import Console
        except ModuleNotFoundError:
            sys.stderr.write(f"{_NO_RICH}\n")
            return 2
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal may know few letters
        console = Console(highlight=False)
    reading = read_yaml(options.config)
    rows = rows_of(reading, options.model)
    if options.probe:
        rows = asyncio.run(probe(reading, rows))
    well = is_well(reading, rows)
    if console is None:
        sys.stdout.write(f"{as_json(reading, rows, well=well)}\n")
    else:
        draw(console, options.config, reading, rows)
    return 0 if well else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m count_tokens_mw")
    commands = parser.add_subparsers(required=True, metavar="check")
    check = commands.add_parser(
        "check", help="say what a configuration comes to, and all that is wrong with it"
    )
    check.add_argument("config", help="a LiteLLM-style config.yaml")
    check.add_argument(
        "--probe", action="store_true", help="send one tiny count to each deployment; it is free"
    )
    check.add_argument(
        "--model",
        action="append",
        default=[],
        help="only what this model of a caller leads to; may be given again",
    )
    check.add_argument("--json", action="store_true", help="for machines")
    return parser


if __name__ == "__main__":
    sys.exit(main())
