"""Square matrices of every size, beside every peer, to see whether one is faster anywhere.

    python benches/python/sweep_sizes.py measure FILE --dtype float64 --from 2 --to 128
    python benches/python/sweep_sizes.py write FILE --output benches/record/NAME

`measure` appends a line of JSON for each size, so that a sweep can be made in pieces; `write` makes
a table and a plot of them. Sizes are the powers of two up to 4096 and their neighbours, and the
entries Gaussian, whose top singular values lie close: the slow case of an iteration.

Every peer is asked at every size. A full SVD of 4096 takes a minute, so the largest sizes get one
round: what is 100 times as slow needs no median.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import engines
import machine
import report
from harness import Engine, measure

SEED = 20
LARGEST = 4096
# Rounds and calls of a sample, by size.
ROUNDS = ((129, 5), (1025, 3), (2049, 2), (LARGEST, 1))
CALLS = ((16, 100), (64, 20), (LARGEST, 1))

Norm = Callable[[engines.Matrix], float]


def sizes() -> list[int]:
    """Powers of two up to the largest, and their neighbours."""
    powers = [2**k for k in range(1, LARGEST.bit_length())]
    around = {size for power in powers for size in (power - 1, power, power + 1)}
    return sorted(size for size in around if 2 <= size <= LARGEST)


def norms() -> dict[str, Norm]:
    """Every engine, ours first; torch where it is installed."""
    found: dict[str, Norm] = {
        engines.OURS: engines.ONE[engines.OURS],
        engines.NUMPY: engines.numpy_norm,
        engines.SVDS: engines.svds_norm,
    }
    try:
        import torch
    except ImportError:
        return found
    torch.set_num_threads(machine.usable_cpus())

    def torch_norm(a: engines.Matrix) -> float:
        return torch.linalg.matrix_norm(torch.from_numpy(a), 2).item()

    return {**found, "torch": torch_norm}


def by_size(table: Sequence[tuple[int, int]], size: int) -> int:
    """The entry of the first limit that is not below the size."""
    return next(value for limit, value in table if size <= limit)


def one_size(size: int, dtype: str, functions: dict[str, Norm]) -> dict[str, Any]:
    """Times of all engines on one matrix."""
    a = np.random.default_rng(SEED).standard_normal((size, size)).astype(dtype)
    calls = by_size(CALLS, size)
    ready = [Engine(name, partial(norm, a), calls) for name, norm in functions.items()]
    results = measure(ready, by_size(ROUNDS, size))
    ours = results[0]
    return {
        "size": size,
        "dtype": dtype,
        "seconds": {each.name: median(each.seconds) for each in results},
        "ratios": {each.name: each.times(ours).middle for each in results[1:]},
    }


def measure_into(path: Path, dtype: str, low: int, high: int) -> None:
    functions = norms()
    for size in (size for size in sizes() if low <= size <= high):
        line = json.dumps(one_size(size, dtype, functions))
        print(line, flush=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """All lines so far; of a size that was measured twice, the last."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    latest = {(line["dtype"], line["size"]): line for line in lines}
    return [latest[key] for key in sorted(latest)]


def tables(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table for each dtype, with the nearest peer."""
    for dtype in sorted({line["dtype"] for line in lines}):
        of_dtype = [line for line in lines if line["dtype"] == dtype]
        peers = list(dict.fromkeys(name for line in of_dtype for name in line["ratios"]))
        rows = [
            (
                str(line["size"]),
                *(f"{line['ratios'][p]:.3g}" if p in line["ratios"] else "-" for p in peers),
                f"{line['seconds'][engines.OURS] * 1e3:.4g}",
            )
            for line in of_dtype
        ]
        least = min((min(line["ratios"].values()), line["size"]) for line in of_dtype)
        head = ("size", *(f"{peer}, times ours" for peer in peers), "ours, ms")
        yield f"## {dtype}\n\n{report.table(head, rows)}\n"
        yield f"The nearest peer: {least[0]:.3g} times our time, at size {least[1]}.\n"


def plot(lines: Sequence[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    dtypes = sorted({line["dtype"] for line in lines})
    figure, axes = plt.subplots(1, len(dtypes), figsize=(5 * len(dtypes), 4), squeeze=False)
    for ax, dtype in zip(axes[0], dtypes, strict=True):
        of_dtype = [line for line in lines if line["dtype"] == dtype]
        for name in dict.fromkeys(name for line in of_dtype for name in line["seconds"]):
            points = [(x["size"], x["seconds"][name]) for x in of_dtype if name in x["seconds"]]
            ax.loglog(*zip(*points, strict=True), marker=".", label=name)
        ax.set(title=dtype, xlabel="size", ylabel="seconds, median")
        ax.grid(visible=True, alpha=0.3)
        ax.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def write(path: Path, output: Path) -> None:
    lines = read(path)
    plot(lines, output.with_suffix(".png"))
    how = (
        "Square float32 and float64 matrices of Gaussian entries, to the default tolerance of each"
        " engine. Engines take turns; a ratio is the median over the rounds: "
        + ", ".join(f"{rounds} up to size {limit}" for limit, rounds in ROUNDS)
        + "."
    )
    head = f"# {machine.today()}, {machine.cpu()['model name']}: every size\n\n{how}\n"
    image = f"![times of all engines by size]({output.with_suffix('.png').name})\n"
    facts = report.table(("", ""), machine.describe(), numbers_from=2)
    text = "\n".join([head, image, *tables(lines), f"## Machine and software\n\n{facts}\n"])
    output.with_suffix(".md").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Sweep over sizes, beside the peers.")
    parser.add_argument("task", choices=["measure", "write"])
    parser.add_argument("file", type=Path, help="lines of JSON")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float64")
    parser.add_argument("--from", dest="low", type=int, default=2)
    parser.add_argument("--to", dest="high", type=int, default=LARGEST)
    parser.add_argument("--output", type=Path, help="the record, without its suffix")
    args = parser.parse_args()
    if args.task == "measure":
        measure_into(args.file, args.dtype, args.low, args.high)
    elif args.output is None:
        parser.error("write needs --output")
    else:
        write(args.file, args.output)


if __name__ == "__main__":
    main()
