"""Matrices that are stored with fewer rows than columns, large enough to be read row by row."""

import numpy as np
import pytest

from matrices import naive_norm, random, with_spectrum
from rsspecnorm import (
    ConvergenceWarning,
    leading_triplet,
    spectral_bounds,
    spectral_norm,
    spectral_norms,
    thread_limit,
)

# Both sides of every border: as many rows, as many columns to a row, more than one block.
SHAPES = [(512, 513), (511, 800), (512, 4096), (600, 9000), (530, 2047), (900, 1100)]
DTYPES = ["f2", "f4", "f8", "i4"]


def matrix(shape, dtype, seed=0):
    a = random(*shape, seed)
    return (a * 100 if np.dtype(dtype).kind == "i" else a).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_norm_and_vectors_equal_svd_from_either_side(shape, dtype):
    a = matrix(shape, dtype)
    expected = np.linalg.svd(a.astype("f8"), compute_uv=False)[0]
    tight = 1e-9 if a.dtype.kind == "i" or a.dtype.itemsize == 8 else 1e-6
    # The rows of memory are long in the first two, short in the others.
    for each in (a, np.asfortranarray(a.T), a.T.copy(), np.asfortranarray(a)):
        found = leading_triplet(each)
        assert spectral_norm(each) == pytest.approx(expected, rel=tight)
        assert found.sigma == pytest.approx(expected, rel=tight)
        assert found.lower <= expected * (1 + 1e-12)
        assert found.upper >= expected * (1 - 1e-12)
        assert (found.u.shape, found.v.shape) == (each.shape[:1], each.shape[1:])
        wide = each.astype(found.u.dtype)
        assert np.linalg.norm(wide @ found.v - found.sigma * found.u) <= 1e-3 * expected
        assert np.linalg.norm(wide.T @ found.u - found.sigma * found.v) <= 1e-3 * expected


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_warm_start_is_the_callers_right_vector(dtype):
    a = matrix((520, 1500), dtype)
    for each in (a, a.T.copy(), np.asfortranarray(a)):
        best = leading_triplet(each)
        with pytest.warns(ConvergenceWarning):
            cold = leading_triplet(each, maxiter=2)
        with pytest.warns(ConvergenceWarning):
            warm = leading_triplet(each, maxiter=2, v0=best.v)
        assert cold.sigma < 0.9 * best.sigma
        assert warm.sigma > 0.98 * best.sigma


@pytest.mark.parametrize(
    "sigmas",
    [[3.0], [1.0] * 520, [1.0, 1.0, 0.5], np.linspace(1, 2, 520), 0.5 ** np.arange(520)],
    ids=["rank one", "orthogonal rows", "double", "flat", "steep"],
)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_columns_beyond_the_rank_change_nothing(sigmas, dtype):
    a = with_spectrum(np.asarray(sigmas), 520, 1300).astype(dtype)
    found = leading_triplet(a)
    expected = naive_norm(a)
    rtol = 1e-6 if dtype == "f4" else 1e-10
    assert found.sigma == pytest.approx(expected, rel=rtol)
    assert found.upper >= expected * (1 - 1e-12)
    assert found.converged


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_degenerate_entries_are_seen(dtype):
    a = matrix((520, 1000), dtype)
    assert spectral_norm(np.zeros_like(a)) == 0
    a[519, 999] = np.inf
    assert spectral_norm(a) == np.inf
    a[0, 999] = np.nan
    assert np.isnan(spectral_norm(a))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_powers_of_two_scale_the_norm_exactly(dtype):
    a = matrix((520, 1000), dtype)
    factor = a.dtype.type(2.0**-90)
    assert spectral_norm(a * factor) == spectral_norm(a) * 2.0**-90


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_bits_are_those_of_any_thread_count_and_company(dtype):
    a = matrix((600, 1400), dtype)
    expected = leading_triplet(a)
    with thread_limit(1):
        alone = leading_triplet(a)
    assert alone.sigma == expected.sigma
    assert (alone.u == expected.u).all()
    assert (alone.v == expected.v).all()
    padded = np.zeros((600, 1500), dtype)
    padded[:, 50:1450] = a
    others = spectral_norms([a[:5], a, padded[:, 50:1450], a[:, :3]])
    assert others[1] == others[2] == expected.sigma


@pytest.mark.parametrize("seed", range(10))
def test_probable_and_rigorous_bounds_hold(seed):
    a = matrix((515, 1900), "f4", seed)
    expected = naive_norm(a)
    for kind in ("probable", "rigorous"):
        found = spectral_bounds(a, kind=kind)
        assert found.lower <= expected * (1 + 1e-12)
        assert found.upper >= expected * (1 - 1e-12)
        assert found.upper <= 1.02 * expected
