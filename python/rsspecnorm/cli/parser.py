"""The command line, and what its values may be."""

from __future__ import annotations

import argparse
import math
import re
import sys
import warnings
from typing import TYPE_CHECKING

from rsspecnorm.cli.columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

_EPILOG = """\
exit codes: 0 all is well, 1 a --fail rule fired, 2 bad usage or file, 130 Ctrl-C

examples:
  rsspecnorm audit model.safetensors
  rsspecnorm audit checkpoint/ --sort sigma_max:desc --limit 10
  rsspecnorm audit model.safetensors --format json -o audit.json
  rsspecnorm audit model.safetensors --baseline audit.json --fail-drift 5%
"""
_PATH_HELP = (
    "safetensors file, folder of shards, *.index.json, .npy, .npz; with torch installed also .pt "
    "and .bin; a pattern in quotes is expanded"
)


# What double precision can tell at best.
_LEAST_RTOL = 1e-14


class _Version(argparse.Action):
    """Print the version, which only the native module knows, when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_args: object) -> None:
        from rsspecnorm import _core
        from rsspecnorm.cli import errors, output

        stdout = output.Output(None)
        try:
            with stdout:
                stdout.write(f"rsspecnorm {_core.version()}\n")
        except (errors.CommandError, OSError) as error:
            errors.say(f"error: {errors.describe(error)}")
            stdout.abandon()
            parser.exit(2)
        parser.exit(0)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """
    Parse and check the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; ``sys.argv[1:]`` by default.

    Returns
    -------
    argparse.Namespace
        The settings of ``audit``.

    Raises
    ------
    SystemExit
        For bad usage (2), ``--help`` and ``--version`` (0).
    """
    parser, audit = _parsers()
    args = parser.parse_args(argv)
    if (args.baseline is None) != (args.fail_drift is None):
        audit.error("--baseline and --fail-drift need each other")
    for option, path in (("-o/--output", args.output), ("--plot", args.plot)):
        if path == "":
            audit.error(f"argument {option}: must name a file, got ''")
    if args.output is not None and args.output == args.plot:
        audit.error("-o and --plot name the same file")
    args.parent = None
    return args


def _parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(
        prog="rsspecnorm", description="The spectral norm of matrices, with an upper bound."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    audit = commands.add_parser(
        "audit",
        help="the spectral norm of every weight matrix in a checkpoint",
        description="The spectral norm of every weight matrix in a checkpoint.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    audit.add_argument("path", nargs="+", metavar="PATH", help=_PATH_HELP)
    _add_output(audit)
    _add_selection(audit)
    _add_arithmetic(audit)
    _add_rules(audit)
    return parser, audit


def _add_output(audit: argparse.ArgumentParser) -> None:
    group = audit.add_argument_group("output")
    formats = ("table", "json", "jsonl", "csv", "markdown")
    group.add_argument("--format", choices=formats, default="table", help="default: table")
    group.add_argument("-o", "--output", metavar="FILE", help="write there, whole or not at all")
    group.add_argument("--plot", metavar="FILE.png", help="draw sigma and stable rank by layer")
    group.add_argument("--no-progress", action="store_true", help="no progress on the terminal")
    group.add_argument("-q", "--quiet", action="store_true", help="no progress and no notes")


def _add_selection(audit: argparse.ArgumentParser) -> None:
    group = audit.add_argument_group("selection")
    group.add_argument(
        "--sort", type=_sort_key, metavar="COLUMN[:asc|:desc]", help="default: file order"
    )
    group.add_argument("--limit", type=_count, metavar="N", help="print the first N rows only")
    for option, verb in (("--include", "read only"), ("--exclude", "leave out")):
        group.add_argument(
            option,
            type=_regex,
            action="append",
            default=[],
            metavar="REGEX",
            help=f"{verb} tensors whose name has a match; may be repeated",
        )


def _add_arithmetic(audit: argparse.ArgumentParser) -> None:
    group = audit.add_argument_group("arithmetic")
    group.add_argument(
        "--rtol", type=_rtol, metavar="R", help="relative error; default 1e-6, for F64 1e-10"
    )
    group.add_argument(
        "--bounds",
        choices=("probable", "rigorous", "none"),
        default="probable",
        help="default: probable",
    )
    group.add_argument("--threads", type=_positive, metavar="N", help="default: all cores")


def _add_rules(audit: argparse.ArgumentParser) -> None:
    group = audit.add_argument_group("rules (exit code 1 when one fires)")
    group.add_argument("--baseline", metavar="OLD.json", help="an earlier --format json report")
    group.add_argument(
        "--fail-drift",
        type=_fraction,
        metavar="5%",
        help="fail when sigma_max differs from the baseline's by more",
    )
    group.add_argument(
        "--fail-above",
        type=_limit,
        action="append",
        default=[],
        metavar="X|REGEX=X",
        help="fail when sigma_max exceeds X, for matching names only; may be repeated",
    )
    group.add_argument(
        "--fail-on-nonfinite", action="store_true", help="fail when an entry is nan or inf"
    )


def _regex(text: str) -> re.Pattern[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what an expression may mean one day
            return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from error


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return number


def _rtol(text: str) -> float:
    rtol = _number(text)
    if not _LEAST_RTOL <= rtol < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between {_LEAST_RTOL:g} and 1")
    return rtol


def _count(text: str) -> int:
    # Within what slicing takes; isdecimal alone would let "٣" and numbers of any length through.
    if not (text.isascii() and text.isdecimal() and int(text[:19]) <= sys.maxsize):
        raise argparse.ArgumentTypeError(f"{text!r} is no count")
    return int(text[:19])


def _positive(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError("must be positive")
    return _count(text)


def _fraction(text: str) -> float:
    number = _number(text[:-1]) / 100 if text.endswith("%") else _number(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is negative")
    return number


def _limit(text: str) -> tuple[re.Pattern[str] | None, float]:
    """``X``, or ``REGEX=X`` split at the last ``=`` because the expression may hold some."""
    pattern, separator, number = text.rpartition("=")
    return (_regex(pattern) if separator else None), _number(number)


def _sort_key(text: str) -> tuple[str, bool]:
    column, _, direction = text.partition(":")
    column = "sigma_max" if column == "sigma" else column
    if column not in COLUMNS:
        names = ", ".join(COLUMNS)
        raise argparse.ArgumentTypeError(f"{column!r} is no column; there are {names}")
    if direction not in {"", "asc", "desc"}:
        raise argparse.ArgumentTypeError(f"{direction!r} is neither asc nor desc")
    return column, direction == "desc"
