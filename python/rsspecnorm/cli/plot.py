"""A picture of sigma and stable rank by layer."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from rsspecnorm.cli.errors import CommandError, printable
from rsspecnorm.cli.output import Replacement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rsspecnorm.cli.columns import Row

# More names than this cannot be told apart along an axis.
_MAX_NAMES = 80
_NAME_LENGTH = 48

# What a picture may be besides PNG, by the ending of its file's name.
_OTHER_FORMATS = ("jpg", "jpeg", "pdf", "svg")


def require(path: str) -> None:
    """
    Find out before the work whether the picture can be drawn.

    Parameters
    ----------
    path : str
        The file.

    Raises
    ------
    CommandError
        When matplotlib is not installed, or there can be no such file.
    """
    Replacement(path).check()
    try:
        import matplotlib  # noqa: ICN001 - only the back end is chosen here
    except ImportError as error:
        message = "--plot needs matplotlib; install it with: pip install 'rsspecnorm[plot]'"
        raise CommandError(message) from error
    matplotlib.use("Agg")


def draw(rows: Sequence[Row], path: str) -> None:
    """
    Draw the rows in the order given.

    Parameters
    ----------
    rows : sequence of dict
        One point each; those without a finite value are left out.
    path : str
        The file, which appears whole or not at all: a JPEG, PDF or SVG where its name ends so, else
        a PNG.
    """
    with warnings.catch_warnings():
        # A name may have letters that the font lacks; values may lie at both ends of the range.
        warnings.simplefilter("ignore")
        figure = _figure(rows)
        with Replacement(path) as name:
            try:
                figure.savefig(name, format=_format(path), dpi=120)
            except OSError as error:
                raise OSError(error.errno, error.strerror, path) from error


def _figure(rows: Sequence[Row]) -> Any:  # noqa: ANN401 - matplotlib is not imported for types
    from matplotlib.figure import Figure

    width = min(6 + 0.15 * len(rows), 24)
    figure = Figure(figsize=(width, 7), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    _points(upper, rows, "sigma_max", "sigma (not squared)")
    _points(lower, rows, "stable_rank", "stable rank")
    names = [_label(row["name"]) for row in rows]
    if len(rows) <= _MAX_NAMES:
        lower.set_xticks(range(len(rows)), names, rotation=90, fontsize=7, parse_math=False)
    else:
        lower.set_xlabel("matrix, in the order of the report")
    return figure


def _format(path: str) -> str:
    ending = path.rpartition(".")[2].lower()
    return ending if ending in _OTHER_FORMATS else "png"


def _points(axes: Any, rows: Sequence[Row], column: str, label: str) -> None:  # noqa: ANN401
    points = [(i, row[column]) for i, row in enumerate(rows)]
    drawn = [(i, y) for i, y in points if math.isfinite(y) and y > 0]
    axes.plot([i for i, _ in drawn], [y for _, y in drawn], "o-", markersize=3, linewidth=0.8)
    if drawn:
        axes.set_yscale("log")
    axes.set_ylabel(label)
    axes.grid(visible=True, alpha=0.3)


def _label(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _NAME_LENGTH else "..." + name[-_NAME_LENGTH:]
