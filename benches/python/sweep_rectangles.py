"""Matrices with one longer side, beside every peer and beside a Gram matrix made by hand.

    python benches/python/sweep_rectangles.py [-o benches/record/NAME.md] [--rounds 5]

Who knows that one side is short writes ``sqrt(eigvalsh(a.T @ a)[-1])``: it is what NumPy does best
here, in the matrix's own precision, which costs half of its digits in float32.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import engines
import machine
import report
from harness import Engine, Measured, measure

GRAM = "NumPy, Gram matrix"
SHAPES = (
    (12, 3000), (3000, 12), (5, 100_000), (100_000, 5), (1_000_000, 1), (4096, 16), (16, 14_336),
    (8192, 64), (64, 8192), (14_336, 96), (4096, 128), (131_072, 128),
    (512, 2048), (2048, 512), (1024, 4096), (4096, 1024),
)  # fmt: skip
COMPLEX = ((2, 200), (3, 1_000_000), (100_000, 8), (64, 4096))
SEED = 21

Norm = Callable[[engines.Matrix], float]


def gram_norm(a: engines.Matrix) -> float:
    """Sigma as the root of the largest eigenvalue of the smaller product of `a` with itself."""
    tall = a if a.shape[0] >= a.shape[1] else a.conj().T
    return float(np.sqrt(np.linalg.eigvalsh(tall.conj().T @ tall)[-1]))


NORMS: dict[str, Norm] = {
    engines.OURS: engines.ONE[engines.OURS],
    GRAM: gram_norm,
    engines.NUMPY: engines.numpy_norm,
    engines.SVDS: engines.svds_norm,
}


def matrix(shape: tuple[int, int], dtype: str) -> engines.Matrix:
    rng = np.random.default_rng(SEED)
    a = rng.standard_normal(shape)
    return (a + 1j * rng.standard_normal(shape) if dtype[0] == "c" else a).astype(dtype)


def cases(small: bool = False) -> list[tuple[tuple[int, int], str]]:
    """Shapes with dtypes."""
    real = [(shape, dtype) for shape in SHAPES for dtype in ("float32", "float64")]
    both = [*real, *((shape, "complex64") for shape in COMPLEX)]
    return [case for case in both if case[0][0] * case[0][1] < 40_000] if small else both


def prepared(a: engines.Matrix) -> list[Engine]:
    calls = max(1, 40_000 // a.size)
    return [Engine(name, partial(norm, a), calls) for name, norm in NORMS.items()]


def row(shape: tuple[int, int], dtype: str, results: list[Measured], expected: float) -> list[str]:
    """Times ours, our milliseconds, and the errors of ours and of the Gram matrix."""
    ours = results[0]
    return [
        f"{shape[0]} x {shape[1]}",
        dtype,
        *(str(each.times(ours)) for each in results[1:]),
        f"{ours.middle * 1e3:.4g}",
        *(report.error_text(abs(float(each.value) / expected - 1)) for each in results[:2]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Rectangles, beside the peers.")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    rows = []
    for shape, dtype in cases():
        a = matrix(shape, dtype)
        rows.append(row(shape, dtype, measure(prepared(a), args.rounds), engines.reference(a)))
        print(" | ".join(rows[-1]), flush=True)
    head = ("shape", "dtype", *(f"{name}, times ours" for name in list(NORMS)[1:]), "ours, ms",
            "our error", "error of the Gram matrix")  # fmt: skip
    facts = report.table(("", ""), machine.describe(), numbers_from=2)
    how = (
        "Gaussian entries. The engines take turns; a ratio is the median over"
        f" {args.rounds} rounds with its range. `{GRAM}` is `sqrt(eigvalsh(a.T @ a)[-1])` in the"
        " precision of the matrix, the others are called with their defaults."
    )
    title = f"# {machine.today()}, {machine.cpu()['model name']}: one long side"
    table = report.table(head, rows, numbers_from=2)
    text = f"{title}\n\n{how}\n\n{table}\n\n## Machine and software\n\n{facts}\n"
    if args.output is not None:
        args.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
