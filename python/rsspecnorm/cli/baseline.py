"""An earlier JSON report, to be compared with."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsspecnorm.cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rsspecnorm.cli.columns import Row


def read(path: str) -> list[Row]:
    """
    Read the rows of a report.

    Parameters
    ----------
    path : str
        A file written by ``--format json``.

    Returns
    -------
    list of dict
        Name, file, status and sigma of each row; sigma is ``None`` where it was not finite.

    Raises
    ------
    CommandError
        When the file is no such report.
    """
    try:
        report = json.loads(Path(path).read_bytes())
        return [_checked(row) for row in report["tensors"]]
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise CommandError(f"{path}: is no report of --format json") from error


def match(rows: Sequence[Row], old: Sequence[Row]) -> list[Row | None]:
    """
    Find the row of an earlier report for each row.

    A tensor is known by its name; where several files use the name, by its file's path, or by the
    file's own name. So a model that was moved, renamed or split since then keeps its rows, and no
    row is held against that of another file.

    Parameters
    ----------
    rows, old : sequence of dict
        The rows of two reports.

    Returns
    -------
    list of dict or None
        The earlier row, for each of `rows`.
    """
    found: list[Row | None] = [None] * len(rows)
    taken: set[int] = set()
    for key in (_by_path, _by_file, _by_name):
        groups = _grouped(rows, [i for i, row in enumerate(found) if row is None], key)
        olds = _grouped(old, [k for k in range(len(old)) if k not in taken], key)
        for place, group in groups.items():
            others = olds.get(place, [])
            # The order tells apart what even the path does not.
            is_sure = key is not _by_name or _are_of_one_file((rows, group), (old, others))
            if len(group) == len(others) and is_sure:
                taken.update(others)
                for i, k in zip(group, others, strict=True):
                    found[i] = old[k]
    return found


def _by_path(row: Row) -> tuple[str, ...]:
    return row["name"], row["file"]


def _by_file(row: Row) -> tuple[str, ...]:
    return row["name"], Path(row["file"]).name


def _by_name(row: Row) -> tuple[str, ...]:
    return (row["name"],)


def _grouped(
    rows: Sequence[Row], some: Sequence[int], key: Callable[[Row], tuple[str, ...]]
) -> dict[tuple[str, ...], list[int]]:
    groups: dict[tuple[str, ...], list[int]] = {}
    for i in some:
        groups.setdefault(key(rows[i]), []).append(i)
    return groups


def _are_of_one_file(*sides: tuple[Sequence[Row], Sequence[int]]) -> bool:
    """Whether the rows chosen on each side are of one file there."""
    return all(len({rows[i]["file"] for i in some}) == 1 for rows, some in sides)


def labels(rows: Sequence[Row]) -> list[str]:
    """Name each row, with its file where several rows have the name."""
    counts = Counter(row["name"] for row in rows)
    return [
        row["name"] if counts[row["name"]] == 1 else f"{row['file']}:{row['name']}" for row in rows
    ]


def drift(new: float, old: float | None) -> float:
    """
    Measure a relative change.

    Parameters
    ----------
    new : float
        Sigma now.
    old : float or None
        Sigma then, ``None`` when it was not finite.

    Returns
    -------
    float
        ``|new - old| / old``; infinite when only one of them is finite, or only the old one zero.
    """
    if old is None or not math.isfinite(new):
        return 0.0 if old is None and not math.isfinite(new) else math.inf
    if new == old:
        return 0.0
    return abs(new - old) / abs(old) if old else math.inf


def _checked(row: Any) -> Row:  # noqa: ANN401 - any JSON
    sigma = row["sigma_max"]
    number = isinstance(sigma, float | int) and not isinstance(sigma, bool) and math.isfinite(sigma)
    if not (sigma is None or number) or not isinstance(row["name"], str):
        raise TypeError
    kept = {"name": row["name"], "sigma_max": sigma, "status": row.get("status")}
    return kept | {"file": str(row.get("file", ""))}
