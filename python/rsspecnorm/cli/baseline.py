"""An earlier JSON report, to be compared with."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsspecnorm.cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rsspecnorm.cli.columns import Row

Baseline = dict[str, float | None]


def read(path: str) -> Baseline:
    """
    Read the sigma of each row of a report.

    Parameters
    ----------
    path : str
        A file written by ``--format json``.

    Returns
    -------
    dict
        Sigma by `key`; ``None`` where it was not finite.

    Raises
    ------
    CommandError
        When the file is no such report.
    """
    if not Path(path).is_file():
        raise CommandError(f"{path}: no such file")
    try:
        report = json.loads(Path(path).read_bytes())
        rows = [_checked(row) for row in report["tensors"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CommandError(f"{path}: is no report of --format json") from error
    return dict(zip(keys(rows), (row["sigma_max"] for row in rows), strict=True))


def keys(rows: Sequence[Row]) -> list[str]:
    """
    Name each row so that two reports can be compared.

    Parameters
    ----------
    rows : sequence of dict
        The rows of one report.

    Returns
    -------
    list of str
        The tensor's name, with its file's where several files use the name; a model that was
        split into other files since then keeps its names.
    """
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["name"]] = counts.get(row["name"], 0) + 1
    return [
        row["name"] if counts[row["name"]] == 1 else f"{Path(row['file']).name}:{row['name']}"
        for row in rows
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
    return {"name": row["name"], "sigma_max": sigma, "file": str(row.get("file", ""))}
