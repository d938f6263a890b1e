"""The workloads, as data: what is computed, on which input, and who competes.

Each has a small form, with which tests run everything once.
"""

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import engines
from harness import Engine

ROOT = Path(__file__).resolve().parents[2]

SHAPES = ((2048, 2048), (1024, 1024), (512, 512), (384, 384), (1536, 384))
SEED = 20

# One call of a few microseconds is too short for the clock.
CALLS_OF_A_SHORT_ONE = 400


class Case(NamedTuple):
    """A workload that is ready to run."""

    engines: list[Engine]
    """Ours first: the others are compared with it."""
    expected: NDArray[np.float64]
    """What a float64 SVD says."""


@dataclass(frozen=True)
class Workload:
    """One line of the plan."""

    name: str
    title: str
    prepare: Callable[[bool], Case]
    """Makes the input, the small form if told so."""
    rounds: int
    unit: str = "ms"
    tolerance: float = 1e-5
    """What a result may be off by: no engine promises more than 1e-6, an interval its width."""


class CheckpointMissingError(Exception):
    """The package with the real checkpoint is not installed."""


def checkpoint() -> Path:
    """Where the real checkpoint lies."""
    path = runpy.run_path(str(ROOT / "tools" / "find_checkpoint.py"))["find_checkpoint"]()
    if path is None:
        raise CheckpointMissingError
    return path


def checkpoint_weights() -> dict[str, NDArray[np.floating]]:
    """Every floating-point matrix of the checkpoint."""
    from safetensors.numpy import load_file

    tensors = load_file(checkpoint()).items()
    return {name: a for name, a in tensors if a.ndim == 2 and a.dtype.kind == "f"}


@cache
def checkpoint_sigmas() -> dict[str, float]:
    """What the norms of the checkpoint are."""
    return {name: engines.reference(a) for name, a in checkpoint_weights().items()}


def gaussian(shape: tuple[int, int], small: bool) -> Case:
    """One float32 matrix of independent normal entries, whose top singular values lie close."""
    if small:
        shape = (shape[0] // 32, shape[1] // 32)
    a = np.random.default_rng(SEED).standard_normal(shape, np.float32)
    ready = [Engine(name, partial(norm, a)) for name, norm in engines.ONE.items()]
    return Case(ready, np.array([engines.reference(a)]))


def interval(
    shape: tuple[int, int],
    dtype: type[np.floating],
    functions: dict[str, Callable[[NDArray[np.floating]], float]],
    small: bool,
) -> Case:
    """Bounds of one matrix, beside all its singular values. The error is that of the upper end."""
    if small:
        shape = (shape[0] // 16, shape[1] // 16)
    a = np.random.default_rng(SEED).standard_normal(shape).astype(dtype)
    ready = [Engine(name, partial(norm, a)) for name, norm in functions.items()]
    return Case(ready, np.array([engines.reference(a)]))


def checkpoint_matrices(small: bool) -> Case:
    """All matrices of a real checkpoint, from the embedding of 30522 rows to one of 2."""
    weights = checkpoint_weights()
    if small:
        weights = dict(sorted(weights.items(), key=lambda item: item[1].size)[:2])
        expected = [engines.reference(a) for a in weights.values()]
    else:
        expected = [checkpoint_sigmas()[name] for name in weights]
    arrays = list(weights.values())
    ready = [Engine(name, partial(norms, arrays)) for name, norms in engines.MANY.items()]
    return Case(ready, np.array(expected))


def tiny(small: bool) -> Case:
    """One 3 x 3 matrix: nothing but the price of a call."""
    a = np.random.default_rng(SEED).standard_normal((3, 3))
    calls = 1 if small else CALLS_OF_A_SHORT_ONE
    functions = dict(engines.SMALL)
    if not hasattr(np.linalg, "matrix_norm"):  # NumPy 1.26
        del functions["NumPy matrix_norm"]
    ready = [Engine(name, partial(norm, a), calls) for name, norm in functions.items()]
    return Case(ready, np.array([engines.reference(a)]))


def batch(shape: tuple[int, int, int], dtype: str, small: bool) -> Case:
    """A stack of small matrices of one shape."""
    count, *sides = shape
    rng = np.random.default_rng(SEED)
    a = rng.standard_normal((min(count, 3) if small else count, *sides))
    if np.dtype(dtype).kind == "c":
        a = a + 1j * rng.standard_normal(a.shape)
    a = a.astype(dtype)
    ready = [Engine(name, partial(norms, a)) for name, norms in engines.BATCH.items()]
    doubles = a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)
    return Case(ready, np.linalg.svd(doubles, compute_uv=False)[:, 0])


# Count, rows, columns and dtype of stacks.
BATCHES = (
    ((100_000, 3, 3), "float64"),
    ((10_000, 8, 8), "float64"),
    ((10_000, 16, 16), "float64"),
    ((1000, 8, 8), "complex128"),
    ((256, 64, 64), "float32"),
)

WORKLOADS = (
    *(
        Workload(
            f"gaussian-{m}x{n}",
            f"sigma of a {m} x {n} float32 matrix, Gaussian entries",
            partial(gaussian, (m, n)),
            rounds=9 if m * n > 1 << 20 else 15,
        )
        for m, n in SHAPES
    ),
    Workload(
        "checkpoint",
        "sigma of the 40 matrices of the demo's checkpoint",
        checkpoint_matrices,
        rounds=9,
    ),
    *(
        Workload(
            f"rigorous-{m}x{n}",
            f"a rigorous interval, 1e-6 wide, {m} x {n} float64",
            partial(interval, (m, n), np.float64, engines.INTERVALS),
            rounds=9,
        )
        for m, n in ((1024, 1024), (1536, 384))
    ),
    Workload(
        "probable-2048x2048",
        "a probable interval, 1 % wide, failure_prob 1e-6, 2048 x 2048 float32",
        partial(interval, (2048, 2048), np.float32, engines.LIKELY),
        rounds=5,
        tolerance=engines.PROBABLE,
    ),
    *(
        Workload(
            f"batch-{'x'.join(map(str, shape))}-{dtype}",
            f"sigma of {shape[0]:,} matrices of {shape[1]} x {shape[2]}, {dtype}",
            partial(batch, shape, dtype),
            rounds=9,
        )
        for shape, dtype in BATCHES
    ),
    Workload("call-3x3", "one call on a 3 x 3 float64 matrix", tiny, rounds=15, unit="µs"),
)


def largest_error(value: object, expected: NDArray[np.float64]) -> float:
    """The largest relative error of a result."""
    return float(np.max(np.abs(np.asarray(value) / expected - 1)))
