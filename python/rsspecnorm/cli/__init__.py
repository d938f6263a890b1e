"""The ``rsspecnorm`` command.

Nothing on the plain path imports NumPy, torch or matplotlib, and nothing native is imported before
the command has forked; see `rsspecnorm.cli.guard`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "run"]


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command in this process.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the program's name; ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        0 when all is well, 1 when a rule fired, 2 for a bad file, 130 after Ctrl-C.

    Raises
    ------
    SystemExit
        For bad usage (2), ``--help`` and ``--version`` (0).
    """
    from rsspecnorm.cli import guard, parser

    args = parser.parse(argv)
    return guard.protect(args)


def run() -> NoReturn:
    """Run the command in a child process, so that a file that shrinks kills only the child."""
    try:
        from rsspecnorm.cli import guard, parser

        args = parser.parse(None)
        code = guard.supervise(args)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
