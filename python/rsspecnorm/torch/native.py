"""The calls into the core that the adapter makes, with as little around them as can be."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from rsspecnorm import _core
from rsspecnorm.options import common, threads_in_force

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rsspecnorm.torch.scaling import Rule

# The core divides by max(norm, eps). Only directions count here, so the floor is out of reach.
EPS = 1e-300
# Bytes below which the calling thread does the work. Between two operators of torch its threads
# spin on their cores: others would have to share these, and slow the next operator down.
ALONE = 1 << 24
# What every call takes that the calling thread does by itself.
_BY_ONE = common(1, check_finite=False, rng=None)


def normalize(
    matrices: Sequence[NDArray[Any]],
    vectors: tuple[Sequence[NDArray[Any]], Sequence[NDArray[Any]]],
    outs: Sequence[NDArray[Any]] | None,
    steps: tuple[int, str],
    rule: Rule,
) -> list[float]:
    """Take power steps, write `W / d(sigma)` to any `outs` and u, v in place; return sigmas.

    Arrays are as `rsspecnorm.stepping.normalize_arrays` wants them.
    """
    n_iter, order = steps
    sigmas = _core.normalize(
        matrices,
        *vectors,
        outs,
        _coefficient(rule.coefficient),
        (n_iter, EPS, order, rule.soft, None),
        common(threads(matrices), check_finite=False, rng=None),
    )
    found: list[float] = sigmas.tolist()
    return found


def normalize_one(
    arrays: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    out: NDArray[Any] | None,
    steps: tuple[int, str],
    rule: Rule,
) -> float:
    """Do the same for one matrix, its u and its v; return sigma."""
    n_iter, order = steps
    settings = n_iter, EPS, order, rule.soft, None
    shared = _BY_ONE if arrays[0].nbytes < ALONE else common(None, check_finite=False, rng=None)
    sigmas = _core.normalize(*arrays, out, _coefficient(rule.coefficient), settings, shared)
    sigma: float = sigmas.item()
    return sigma


@lru_cache(maxsize=64)
def _coefficient(value: float) -> NDArray[np.float64]:
    return np.array([value])


def gradient(rows: list[tuple[Any, ...]]) -> None:
    """Write ``s G - a <G, Y> u v'`` for every row ``(G, Y, u, v, out, s, a)``, all C-contiguous."""
    _core.gradient(rows, threads_in_force(threads([row[0] for row in rows])))


def layer_gradient(
    grad: NDArray[Any],
    x: NDArray[Any],
    vectors: tuple[NDArray[Any], NDArray[Any]],
    out: NDArray[Any],
    factors: tuple[float, float],
) -> None:
    """Write ``s D' X + p u v'`` for few rows of C-contiguous D and X, and `factors` s and p."""
    count = threads_in_force(threads([out]))
    _core.layer_gradient(grad, x, *vectors, out, *factors, count)


def threads(arrays: Sequence[NDArray[Any]]) -> int | None:
    """Return 1 for little work, None for as many threads as the settings say."""
    return 1 if sum(array.nbytes for array in arrays) < ALONE else None
