"""Measurements as markdown: ratios first, then what the clock said."""

from collections.abc import Iterable, Sequence

from harness import Measured

UNITS = {"s": 1.0, "ms": 1e3, "µs": 1e6}

# The summary's table, which tools/fill_figures.py copies into README.md.
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers_from: int = 1) -> str:
    """A table whose columns from `numbers_from` on are aligned as numbers."""
    rules = ["---" if i < numbers_from else "---:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rules, *rows))


def error_text(error: float | None) -> str:
    return "-" if error is None else f"{error:.1e}"


def comparison(results: Sequence[Measured], errors: Sequence[float | None], unit: str) -> str:
    """Engines beside the first one, which is ours."""
    scale = UNITS[unit]
    ours = results[0]
    rows = [
        (
            each.name,
            "1" if each is ours else str(each.times(ours)),
            error_text(error),
            f"{each.middle * scale:.4g}",
            f"{each.best * scale:.4g}",
            f"{100 * each.spread:.0f} %",
        )
        for each, error in zip(results, errors, strict=True)
    ]
    head = (
        "engine",
        "times the time of rsspecnorm (range)",
        "largest relative error",
        f"median, {unit}",
        f"best, {unit}",
        "spread",
    )
    return table(head, rows)


def summary(rows: Iterable[tuple[str, str, float, float | None]]) -> str:
    """The README's table: the work, the peer, times faster, our error."""
    head = ("work", "peer", "times faster", "largest relative error")
    cells = [(work, peer, f"{ratio:.3g}", error_text(error)) for work, peer, ratio, error in rows]
    return f"{BEGIN}\n{table(head, cells, numbers_from=2)}\n{END}"
