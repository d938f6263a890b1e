"""Fills the table of docs/accuracy-table.md: errors in units of the last place, beside the peers.

    python tools/accuracy_table.py

Needs the extras `test`; torch is listed where it is installed. Every engine gets the same float64
array; the oracle has fifty digits. NumPy, SciPy and torch are called with their own defaults.
"""

import contextlib
import importlib
import importlib.metadata
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import SupportsFloat

import numpy as np
from scipy.sparse.linalg import svds  # type: ignore[import-untyped]

import rsspecnorm

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "accuracy-table.md"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->"
sys.path.insert(0, str(ROOT / "tests" / "python"))
gallery = importlib.import_module("gallery")
precise = importlib.import_module("precise")

Norm = Callable[[np.ndarray], float]


def svds_norm(a: np.ndarray) -> float:
    """Sigma by ARPACK from a start that does not change."""
    rng = np.random.default_rng(0)
    return float(svds(a, k=1, return_singular_vectors=False, rng=rng)[0])


def engines() -> dict[str, Norm]:
    """Name of a column to the call it stands for."""
    found: dict[str, Norm] = {
        "rsspecnorm, 1e-14": lambda a: float(rsspecnorm.spectral_norm(a, rtol=1e-14)),
        "rsspecnorm": lambda a: float(rsspecnorm.spectral_norm(a)),
        "numpy": lambda a: float(np.linalg.norm(a, 2)),
        "svds": svds_norm,
    }
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return found
    return found | {"torch": lambda a: float(torch.linalg.matrix_norm(torch.from_numpy(a), ord=2))}


def error(norm: Norm, a: np.ndarray, exact: SupportsFloat) -> str:
    """Error in units of the last place of sigma, or how the call failed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = norm(np.ascontiguousarray(a))
    except Exception as e:  # noqa: BLE001 - whatever a peer raises is its result
        return type(e).__name__
    if not np.isfinite(value):
        return str(value)
    place = np.spacing(float(exact) or 1.0)
    return f"{float(abs(precise.mpmath.mpf(value) - exact) / place):.2g}"


def table() -> str:
    """The table in markdown."""
    columns = engines()
    lines = ["| matrix | shape | allowed | " + " | ".join(columns) + " |"]
    lines.append("| --- | --- | ---: |" + " ---: |" * len(columns))
    for name, known in gallery.GALLERY.items():
        m, n = known.a.shape
        cells = [error(norm, known.a, known.sigma()) for norm in columns.values()]
        allowed = f"{4 * np.sqrt(max(m, n)):.0f}"
        lines.append(f"| {name} | {m} x {n} | {allowed} | " + " | ".join(cells) + " |")
    lines += ["", "Versions: " + ", ".join(versions()) + "."]
    return "\n".join(lines) + "\n"


def versions() -> Iterator[str]:
    """Whose numbers these are."""
    for name in ("rsspecnorm", "numpy", "scipy", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield f"{name} {importlib.metadata.version(name)}"


def main() -> None:
    """Write the table into its place."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    PAGE.write_text(head + BEGIN + table() + END + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
