"""The command line: `count-tokens-mw`, or `python -m count_tokens_mw`."""

import argparse
import asyncio
import importlib.metadata
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from count_tokens_mw.cli.check import TINY, is_ok, parse_body, probe, rows_of
from count_tokens_mw.cli.report import as_json, as_text
from count_tokens_mw.config import read_yaml
from count_tokens_mw.errors import InvalidRequest

__all__ = ["main"]

_NAME: Final = "count-tokens-mw"


class _PrintVersion(argparse.Action):
    """Option that looks up the installed version, prints it and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        sys.stdout.write(f"{_NAME} {importlib.metadata.version(_NAME)}\n")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status, which is 0 only without any problem."""
    options = _build_parser().parse_args(arguments)
    reading = read_yaml(options.config)
    rows = rows_of(reading, options.model)
    if options.probe or options.body:
        try:
            body = Path(options.body).read_bytes() if options.body else TINY
            request = parse_body(body)
        except (OSError, InvalidRequest) as error:
            reason = error.strerror if isinstance(error, OSError) else error.message
            sys.stderr.write(f"{options.body}: {reason}\n")
            return 2
        rows = asyncio.run(probe(reading, rows, request))
    ok = is_ok(reading, rows)
    if options.json:
        report = as_json(reading, rows, ok=ok)
    else:
        report = as_text(options.config, reading, rows)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal's encoding may be ASCII
    sys.stdout.write(f"{report}\n")
    return 0 if ok else 1


def _build_parser() -> argparse.ArgumentParser:
    is_script = Path(sys.argv[0]).stem == _NAME
    parser = argparse.ArgumentParser(prog=_NAME if is_script else "python -m count_tokens_mw")
    parser.add_argument(
        "--version", action=_PrintVersion, nargs=0, help="print the version, and exit"
    )
    commands = parser.add_subparsers(required=True, metavar="check")
    check = commands.add_parser(
        "check", help="show the deployments of a configuration, and every problem in it"
    )
    check.add_argument("config", help="a LiteLLM-style config.yaml")
    check.add_argument(
        "--probe", action="store_true", help="send one tiny count to each deployment, which is free"
    )
    check.add_argument(
        "--body",
        metavar="FILE",
        help="probe with this count request in Anthropic's format, such as one that was refused",
    )
    check.add_argument(
        "--model",
        action="append",
        default=[],
        help="show only the deployments of this model; may be repeated",
    )
    check.add_argument("--json", action="store_true", help="print JSON instead of a listing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
