"""The ``--fail`` rules: each finding is one line, and any finding makes the exit code 1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rsspecnorm.cli import baseline

if TYPE_CHECKING:
    import argparse
    import re
    from collections.abc import Iterator, Sequence

    from rsspecnorm.cli.columns import Row


def findings(
    args: argparse.Namespace, rows: Sequence[Row], old: Sequence[Row] | None
) -> Iterator[str]:
    """
    Hold every row against every rule.

    Parameters
    ----------
    args : argparse.Namespace
        The command line.
    rows : sequence of dict
        All rows that passed the filters.
    old : sequence of dict, optional
        The rows of the baseline.

    Yields
    ------
    str
        A sentence for each rule that a row breaks.
    """
    for pattern, limit in args.fail_above:
        yield from _above(rows, pattern, limit)
    if args.fail_on_nonfinite:
        yield from _nonfinite(rows)
    if old is not None:
        yield from _drift(rows, old, args.fail_drift)


def notes(
    args: argparse.Namespace, rows: Sequence[Row], old: Sequence[Row] | None
) -> Iterator[str]:
    """
    Say what the rules could not judge.

    Parameters
    ----------
    args : argparse.Namespace
        The command line.
    rows : sequence of dict
        All rows that passed the filters.
    old : sequence of dict, optional
        The rows of the baseline.

    Yields
    ------
    str
        A sentence for each.
    """
    for pattern, limit in args.fail_above:
        if pattern and not any(pattern.search(row["name"]) for row in rows):
            yield f"--fail-above {pattern.pattern}={limit:g} matches no tensor"
    unsure = sum(row["status"] == "not_converged" for row in rows)
    if unsure:
        what = "1 matrix" if unsure == 1 else f"{unsure} matrices"
        yield f"{what} did not converge; sigma_max is a lower bound there"
    if old is not None:
        found = baseline.match(rows, old)
        known = {id(row) for row in found}
        for label, row in zip(baseline.labels(rows), found, strict=True):
            if row is None:
                yield f"{label} is not in the baseline"
        for label, row in zip(baseline.labels(old), old, strict=True):
            if id(row) not in known:
                yield f"{label} is only in the baseline"


def _above(rows: Sequence[Row], pattern: re.Pattern[str] | None, limit: float) -> Iterator[str]:
    for row in rows:
        # Written so that a nan, which is above nothing, fires too.
        if (pattern is None or pattern.search(row["name"])) and not row["sigma_max"] <= limit:
            rule = f"{limit:g}" if pattern is None else f"{pattern.pattern}={limit:g}"
            yield f"--fail-above {rule}: {row['name']} has sigma_max {row['sigma_max']:.6g}"


def _nonfinite(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row["n_nonfinite"]:
            yield f"--fail-on-nonfinite: {row['name']} has {row['n_nonfinite']} nan or inf entries"


def _drift(rows: Sequence[Row], old: Sequence[Row], limit: float) -> Iterator[str]:
    found = baseline.match(rows, old)
    if not any(found):
        yield f"--fail-drift {limit:.6g}: nothing here is in the baseline"
    for label, row, then in zip(baseline.labels(rows), rows, found, strict=True):
        if then is None:
            continue
        change = baseline.drift(row["sigma_max"], then["sigma_max"])
        if then["status"] not in {None, row["status"]} and then["sigma_max"] is None:
            change = math.inf  # an overflow is not a nan
        if change > limit:
            before = "not finite" if then["sigma_max"] is None else f"{then['sigma_max']:.6g}"
            yield (
                f"--fail-drift {limit:.6g}: {label} went from {before} to {row['sigma_max']:.6g}"
                f" ({change:.2%})"
            )
