"""The columns of a report: the same names in every format."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = dict[str, Any]

COLUMNS = (
    "name",
    "shape",
    "dtype",
    "sigma_max",
    "stable_rank",
    "fro",
    "sigma_ratio",
    "sigma_mup",
    "upper",
    "max_abs",
    "n_nonfinite",
    "n_passes",
    "ms",
    "status",
    "kind",
    "same_as",
    "file",
)

NUMERIC = frozenset(COLUMNS[3:13])

# Columns that are shown only when a row says something that goes without saying.
_USUAL = {"status": "ok", "kind": "matrix", "same_as": None}

# Six digits where they are promised; the rest is read at a glance.
# Columns that not every row has a value for.
_MAYBE = {"upper", "sigma_ratio"}

_DIGITS = {"sigma_max": 6, "upper": 6, "ms": 3}


def shown(rows: Sequence[Row]) -> list[str]:
    """
    Choose the columns that a reader of these rows needs.

    Parameters
    ----------
    rows : sequence of dict
        The rows to be shown.

    Returns
    -------
    list of str
        Column names in order.
    """
    several_files = len({row["file"] for row in rows}) > 1
    chosen = [
        column
        for column in COLUMNS
        if column not in _USUAL or any(row[column] != _USUAL[column] for row in rows)
    ]
    return [column for column in chosen if column != "file" or several_files]


def text(row: Row, column: str) -> str:
    """
    Write one cell for a reader.

    Parameters
    ----------
    row : dict
        The row.
    column : str
        The column.

    Returns
    -------
    str
        The cell, not yet padded or escaped.
    """
    value = row[column]
    if value is None:
        return ""
    if column == "shape":
        return "x".join(map(str, value))
    if isinstance(value, float):
        unknown = math.isnan(value) and column in _MAYBE
        return "" if unknown else f"{value:.{_DIGITS.get(column, 5)}g}"
    return str(value)
