"""Times the normalisation of many matrices beside torch, NumPy and a plain copy.

Run it by hand: ``python benches/python/normalizing.py [-o RECORD.md]``. Torch and jax are left out
where they are not installed. All engines have two threads, take turns round by round, and, jax
apart, write to memory that is there before; what is shown is the median.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import geometric_mean, median

import numpy as np

import machine
import rsspecnorm
from report import table

try:
    import torch
except ImportError:
    torch = None
try:
    import jax
except ImportError:
    jax = None

THREADS = 2
PAUSE = 0.1  # seconds: threads of a BLAS spin for a while after their work
MAIN = [(1000, 64, 64), (1000, 128, 128), (256, 256, 256), (64, 512, 512)]
OTHERS = [(1000, 65, 67), (256, 250, 270), (100_000, 3, 3), (20_000, 16, 16)]
LOOPED = 2000
"""The most matrices that are looped over in Python."""

Engines = dict[str, Callable[[], object]]


def torch_engines(weights, u, v, k) -> Engines:
    """Batched power steps in torch, in every form, and a loop over its own function."""
    w, left, right = (torch.from_numpy(x.copy()) for x in (weights, u, v))
    out = torch.empty_like(w)
    unit = torch.nn.functional.normalize

    def batched(product):
        def call():
            with torch.no_grad():
                x, y = right, left
                for _ in range(k):
                    y = unit(product(w, x), dim=-1, eps=1e-12)
                    x = unit(product(w.mT, y), dim=-1, eps=1e-12)
                sigma = (y * product(w, x)).sum(-1)
                torch.div(w, sigma[:, None, None], out=out)

        return call

    engines = {
        "torch bmm": batched(lambda a, x: torch.bmm(a, x.unsqueeze(-1)).squeeze(-1)),
        "torch bmm, turned": batched(lambda a, x: torch.bmm(x.unsqueeze(1), a.mT).squeeze(1)),
        "torch product and sum": batched(lambda a, x: (a * x.unsqueeze(1)).sum(-1)),
    }
    if k > 0 and len(weights) <= LOOPED:  # torch's own module always makes a step
        own = torch.nn.utils.parametrizations._SpectralNorm
        modules = [own(a, n_power_iterations=k).train() for a in w]

        def loop():
            with torch.no_grad():
                for module, a in zip(modules, w, strict=True):
                    module(a)

        engines["torch loop"] = loop
    return engines


def numpy_engine(weights, u, v, k):
    out = np.empty_like(weights)

    def call():
        x, y = v[..., None], u[..., None]
        for _ in range(k):
            y = weights @ x
            y /= np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-12)
            x = weights.mT @ y
            x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        return np.divide(weights, y.mT @ (weights @ x), out=out)

    return call


def jax_engine(weights, u, v, k):
    """One compiled program; its memory is its own, for jax does not write to a caller's."""
    numpy = jax.numpy

    @jax.jit
    def normalized(a, y, x):
        def unit(t):
            return t / numpy.maximum(numpy.linalg.norm(t, axis=-1, keepdims=True), 1e-12)

        for _ in range(k):
            y = unit(numpy.einsum("bij,bj->bi", a, x))
            x = unit(numpy.einsum("bij,bi->bj", a, y))
        sigma = numpy.einsum("bi,bij,bj->b", y, a, x)
        return a / sigma[:, None, None], y, x

    held = [jax.device_put(x) for x in (weights, u, v)]
    return lambda: jax.block_until_ready(normalized(*held))


def engines_of(shape, k) -> tuple[Engines, int]:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(shape, dtype=np.float32)
    u, v = (rng.standard_normal((shape[0], n), dtype=np.float32) for n in shape[1:])
    u /= np.linalg.norm(u, axis=-1, keepdims=True)
    v /= np.linalg.norm(v, axis=-1, keepdims=True)
    out = np.empty_like(weights)
    halves = [slice(0, shape[0] // 2), slice(shape[0] // 2, None)]
    pool = ThreadPoolExecutor(THREADS)

    def ours(threads):
        return lambda: rsspecnorm.spectral_normalize(
            weights, u, v, n_power_iterations=k, out=out, num_threads=threads
        )

    def copy():
        list(pool.map(lambda half: np.copyto(out[half], weights[half]), halves))

    engines = {"rsspecnorm": ours(THREADS), "one thread": ours(1), "copy": copy}
    if k <= 1 or shape in MAIN:
        engines["NumPy"] = numpy_engine(weights, u, v, k)
    if torch is not None:
        engines |= torch_engines(weights, u, v, k)
    if jax is not None:
        engines["jax"] = jax_engine(weights, u, v, k)
    return engines, weights.nbytes


def timed(engines: Engines, rounds: int) -> dict[str, float]:
    """Seconds of each engine: the median over rounds, after one round that is not counted.

    Nor is the first call after a pause: it waits for the clock and for threads to wake up.
    """
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(rounds + 1):
        for name, call in engines.items():
            time.sleep(PAUSE)
            call()
            start = time.perf_counter()
            call()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def rows(shapes, steps, rounds, left_out) -> Iterator[dict[str, object]]:
    for shape in shapes:
        for k in steps:
            engines, nbytes = engines_of(shape, k)
            engines = {name: call for name, call in engines.items() if name not in left_out}
            found = timed(engines, rounds)
            ours = found["rsspecnorm"]
            peers = {name: t for name, t in found.items() if name.startswith("torch")}
            best = min(peers, key=peers.__getitem__) if peers else "-"
            yield {
                "shape": "x".join(map(str, shape)),
                "k": k,
                "times best torch": peers[best] / ours if peers else float("nan"),
                "at the memory limit": peers[best] / found["copy"] if peers else float("nan"),
                "best torch": best,
                "times NumPy": found.get("NumPy", float("nan")) / ours,
                "times jax": found.get("jax", float("nan")) / ours,
                "of the copy": ours / found["copy"],
                "two threads": found["one thread"] / ours,
                "GB/s": 2 * nbytes / ours / 1e9,
                "ms": {name: 1e3 * t for name, t in found.items()},
            }
            print(f"{shape} k={k} done", file=sys.stderr)


def report(found: list[dict[str, object]]) -> str:
    names = list(found[0])[:-1]
    shown = [[_text(row[name]) for name in names] for row in found]
    parts = [table(names, shown)]
    main = {"x".join(map(str, shape)) for shape in MAIN}
    for k in sorted({row["k"] for row in found}):
        rows_of_k = [row for row in found if row["k"] == k and row["shape"] in main]
        if len(rows_of_k) == len(MAIN):
            mean = geometric_mean([row["times best torch"] for row in rows_of_k])
            parts.append(f"Geometric mean of the first four shapes, k = {k}: {mean:.1f} x torch.")
    for row in found:
        times = ", ".join(f"{name} {ms:.2f}" for name, ms in row["ms"].items())
        parts.append(f"{row['shape']}, k = {row['k']}, ms: {times}")
    return "\n\n".join(parts)


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="where the record goes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[1, 10], help="iterations; 0 evaluates only"
    )
    parser.add_argument("--shape", action="append", default=[], help="as 1000x64x64: only these")
    parser.add_argument(
        "--main-only", action="store_true", help="the four shapes of the target alone"
    )
    parser.add_argument("--without", action="append", default=[], help="an engine to leave out")
    options = parser.parse_args()
    if torch is not None:
        torch.set_num_threads(THREADS)
    named = [tuple(map(int, shape.split("x"))) for shape in options.shape]
    shapes = named or (MAIN if options.main_only else MAIN + OTHERS)
    text = report(list(rows(shapes, options.steps, options.rounds, options.without)))
    versions = f"NumPy {np.__version__}" + (f", torch {torch.__version__}" if torch else "")
    head = (
        f"# {machine.today()}, {machine.cpu()['model name']}: normalising many matrices\n\n"
        f"float32, {THREADS} threads for every engine, {machine.caches()}, "
        f"tier {rsspecnorm.build_info()['level']}, {versions}, "
        f"medians of {options.rounds} rounds.\n"
        "`copy` is `numpy.copyto` of the same bytes by two Python threads, half each; torch over\n"
        "copy is `at the memory limit`, more than which no program can reach that reads and\n"
        "writes every matrix once.\n"
    )
    if options.output:
        options.output.write_text(f"{head}\n{text}\n", encoding="utf-8")
    print(f"{head}\n{text}")


if __name__ == "__main__":
    main()
