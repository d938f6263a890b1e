"""Stacks so long that what goes wrong for one matrix in ten thousand shows."""

import numpy as np
import pytest

from matrices import naive_norms
from rsspecnorm import leading_triplet, spectral_bounds
from tolerances import ROUNDING, rtol_of

RNG_SEED = 5


def normal(*shape):
    return np.random.default_rng(RNG_SEED).standard_normal(shape)


def small_integers(*shape):
    return np.random.default_rng(RNG_SEED).integers(-1, 2, shape).astype(np.float64)


def graded_entries(*shape):
    exponents = np.random.default_rng(RNG_SEED).integers(-150, 150, shape)
    return normal(*shape) * 10.0**exponents


def graded_rows(*shape):
    exponents = np.random.default_rng(RNG_SEED).integers(-290, 290, (*shape[:-1], 1))
    return normal(*shape) * 10.0**exponents


def rank_one(count, nrows, ncols):
    return normal(count, nrows, 1) * normal(count, 1, ncols)


def tight_cluster(count, n, gap):
    """Matrices with the singular values 1, 1 - gap, 1 - 2 gap and so on."""
    u, v = np.linalg.qr(normal(2, count, n, n))[0]
    return (u * (1 - gap * np.arange(n))) @ v.swapaxes(-1, -2)


STACKS = {
    "2x2": lambda: normal(50_000, 2, 2),
    "3x3": lambda: normal(50_000, 3, 3),
    "8x8": lambda: normal(100_000, 8, 8),
    "16x16": lambda: normal(20_000, 16, 16),
    "64x32": lambda: normal(5_000, 64, 32),
    "float32": lambda: normal(20_000, 16, 16).astype(np.float32),
    "float16": lambda: normal(20_000, 16, 16).astype(np.float16),
    "integers 2x2": lambda: small_integers(50_000, 2, 2),
    "integers 6x6": lambda: small_integers(50_000, 6, 6),
    "integers 3x7": lambda: small_integers(20_000, 3, 7),
    "rank one": lambda: rank_one(10_000, 5, 7),
    "graded entries": lambda: graded_entries(10_000, 8, 8),
    "graded rows": lambda: graded_rows(10_000, 8, 8),
    "orthogonal": lambda: tight_cluster(5_000, 8, 0.0),
    "gap 1e-3": lambda: tight_cluster(5_000, 20, 1e-3),
    "gap 1e-6": lambda: tight_cluster(5_000, 20, 1e-6),
    "gap 1e-9": lambda: tight_cluster(5_000, 20, 1e-9),
}


@pytest.mark.parametrize("name", STACKS)
def test_triplet_of_every_matrix_of_long_stack_is_right(name):
    stack = STACKS[name]()
    top, exact = leading_triplet(stack), naive_norms_at_once(stack)
    np.testing.assert_allclose(top.sigma, exact, rtol=rtol_of(stack.dtype))
    assert np.all(top.converged)
    # The square of the residual is what sigma errs by, or less.
    assert np.all(top.residual <= np.sqrt(2 * rtol_of(stack.dtype)))
    assert np.all((top.lower <= top.sigma) & (top.sigma <= top.upper))


# Narrow intervals go on long after sigma is known, where the Lanczos scalars are rounding noise.
@pytest.mark.parametrize("width", [1e-1, 1e-3, 1e-8, 1e-12])
@pytest.mark.parametrize("shape", [(2_000, 16, 16), (2_000, 40, 30), (300, 100, 80)])
def test_bounds_of_every_matrix_of_long_stack_hold(shape, width):
    stack = normal(*shape)
    bounds, exact = spectral_bounds(stack, width=width), naive_norms_at_once(stack)
    assert np.all(bounds.converged)
    assert np.all(bounds.lower <= exact * (1 + ROUNDING))
    assert np.all(bounds.upper >= exact * (1 - ROUNDING))
    assert np.all(bounds.upper <= bounds.lower * (1 + width))


def naive_norms_at_once(stack):
    return np.linalg.svd(stack.astype(np.float64), compute_uv=False)[..., 0]


def test_oracles_agree():
    stack = normal(10, 6, 4)
    assert np.array_equal(naive_norms_at_once(stack), naive_norms(stack))
