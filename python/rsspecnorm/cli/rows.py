"""Rows in order: which tensors are read, how rows are sorted, what they add up to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Sequence

    from rsspecnorm.cli.columns import Row


def wanted(name: str, include: list[re.Pattern[str]], exclude: list[re.Pattern[str]]) -> bool:
    """Whether a tensor passes the filters."""
    if include and not any(pattern.search(name) for pattern in include):
        return False
    return not any(pattern.search(name) for pattern in exclude)


def arrange(rows: list[Row], sort: tuple[str, bool] | None, limit: int | None) -> list[Row]:
    """
    Sort, then cut.

    Parameters
    ----------
    rows : list of dict
        Rows in file order.
    sort : tuple of (str, bool), optional
        Column and whether the largest comes first.
    limit : int, optional
        How many rows to keep.

    Returns
    -------
    list of dict
        The rows to be shown; those without a value for the column come last.
    """
    if sort is not None:
        column, descending = sort
        known = [row for row in rows if _known(row[column])]
        known.sort(key=lambda row: row[column], reverse=descending)
        rows = known + [row for row in rows if not _known(row[column])]
    return rows[:limit]


def summary(
    rows: Sequence[Row], skipped: Iterable[dict[str, Any]], n_filtered: int, seconds: float
) -> dict[str, Any]:
    """
    Add up a report.

    Parameters
    ----------
    rows : sequence of dict
        All rows, not only those shown.
    skipped : iterable of dict
        Tensors without a row.
    n_filtered : int
        Tensors that the filters left out.
    seconds : float
        Wall time of the run.

    Returns
    -------
    dict
        Totals and the largest sigma.
    """
    reasons: dict[str, int] = {}
    for tensor in skipped:
        reasons[tensor["reason"]] = reasons.get(tensor["reason"], 0) + 1
    largest = max(
        (row for row in rows if _known(row["sigma_max"])),
        key=lambda row: row["sigma_max"],
        default=None,
    )
    return {
        "n_matrices": len(rows),
        "n_parameters": sum(math.prod(row["shape"]) for row in rows),
        "n_skipped": sum(reasons.values()),
        "skipped_by_reason": dict(sorted(reasons.items(), key=lambda item: -item[1])),
        "n_filtered": n_filtered,
        "n_nonfinite": sum(row["n_nonfinite"] for row in rows),
        "n_not_converged": sum(row["status"] == "not_converged" for row in rows),
        "sigma_max": None if largest is None else largest["sigma_max"],
        "sigma_max_name": None if largest is None else largest["name"],
        "seconds": seconds,
    }


def _known(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))
