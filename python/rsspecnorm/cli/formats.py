"""A finished report as text: table, markdown, JSON, JSON lines, CSV."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from rsspecnorm.cli.columns import COLUMNS, NUMERIC, shown, text
from rsspecnorm.cli.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rsspecnorm.cli.columns import Row

_NOTE = "sigma_max is the largest singular value: sigma, not sigma squared"


class Report(NamedTuple):
    """All that a format may show."""

    version: str
    source: list[str]
    settings: dict[str, Any]
    rows: list[Row]
    skipped: list[dict[str, Any]]
    summary: dict[str, Any]


def render(report: Report, name: str) -> Iterator[str]:
    """
    Write a report.

    Parameters
    ----------
    report : Report
        The finished report.
    name : str
        One of ``table``, ``json``, ``jsonl``, ``csv``, ``markdown``.

    Returns
    -------
    iterator of str
        Pieces of text to be written one after the other.
    """
    writers: dict[str, Callable[[Report], Iterator[str]]] = {
        "table": _table,
        "markdown": _markdown,
        "json": _json,
        "jsonl": lambda report: map(line, report.rows),
        "csv": _csv,
    }
    return writers[name](report)


def line(row: Row) -> str:
    """Write one row as a line of JSON."""
    return json.dumps(_plain(row)) + "\n"


def _table(report: Report) -> Iterator[str]:
    columns = shown(report.rows)
    cells = [columns, *_cells(report.rows, columns)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (
            cell.rjust(width) if column in NUMERIC else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        )
        yield "  ".join(padded).rstrip() + "\n"
    yield "\n"
    yield from _footer(report)


def _markdown(report: Report) -> Iterator[str]:
    columns = shown(report.rows)
    yield f"| {' | '.join(columns)} |\n"
    yield f"| {' | '.join('---:' if column in NUMERIC else '---' for column in columns)} |\n"
    for row in _cells(report.rows, columns):
        yield f"| {' | '.join(map(_inert, row))} |\n"
    yield "\n"
    for sentence in _footer(report):
        yield f"- {_inert(sentence)}"


def _footer(report: Report) -> Iterator[str]:
    total = report.summary
    parts = [f"{total['n_matrices']} matrices", f"{total['n_parameters']:,} parameters"]
    reasons = ", ".join(f"{n} {reason}" for reason, n in total["skipped_by_reason"].items())
    parts.append(f"{total['n_skipped']} skipped" + (f" ({reasons})" if reasons else ""))
    if total["n_filtered"]:
        parts.append(f"{total['n_filtered']} left out by filters")
    hidden = total["n_matrices"] - len(report.rows)
    if hidden:
        parts.append(f"{hidden} not shown")
    yield f"{', '.join(parts)}, {total['seconds']:.2f} s\n"
    if total["sigma_max"] is not None:
        name = printable(total["sigma_max_name"])
        yield f"largest sigma_max: {total['sigma_max']:.6g} in {name}\n"
    yield f"{_NOTE}\n"


def _cells(rows: Sequence[Row], columns: Sequence[str]) -> list[list[str]]:
    return [[printable(text(row, column)) for column in columns] for row in rows]


def _inert(cell: str) -> str:
    """Text that markdown shows as it is."""
    return "".join("\\" + c if c in "\\`*_{}[]<>|~#$&" else c for c in cell)


def _json(report: Report) -> Iterator[str]:
    yield "{\n"
    yield f' "version": {json.dumps(report.version)},\n'
    yield f' "source": {json.dumps(report.source)},\n'
    yield f' "settings": {json.dumps(_plain(report.settings))},\n'
    yield from _json_list("tensors", report.rows)
    yield from _json_list("skipped", report.skipped)
    yield f' "summary": {json.dumps(_plain(report.summary))}\n'
    yield "}\n"


def _json_list(key: str, items: Sequence[dict[str, Any]]) -> Iterator[str]:
    """One item a line, so that two reports can be compared line by line."""
    yield f' "{key}": ['
    for i, item in enumerate(items):
        yield ("," if i else "") + "\n  " + json.dumps(_plain(item))
    yield "\n ],\n" if items else "],\n"


def _csv(report: Report) -> Iterator[str]:
    """RFC 4180: lines end in CRLF, cells with a comma, a quote or a line break are quoted."""
    yield ",".join(COLUMNS) + "\r\n"
    for row in report.rows:
        plain = _plain(row)
        yield ",".join(_csv_cell(column, plain[column]) for column in COLUMNS) + "\r\n"


def _csv_cell(column: str, value: Any) -> str:  # noqa: ANN401 - a cell may hold anything
    if value is None:
        return ""
    cell = "x".join(map(str, value)) if column == "shape" else str(value)
    return '"' + cell.replace('"', '""') + '"' if any(c in cell for c in ',"\r\n') else cell


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """What JSON can say: nan and inf as null; ``status`` tells them apart."""
    return {
        key: None if isinstance(item, float) and not math.isfinite(item) else item
        for key, item in value.items()
        if key != "index"
    }
