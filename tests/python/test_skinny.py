"""Matrices of which one side is much longer than the other: one read, no copy, no iteration."""

import numpy as np
import pytest

from matrices import naive_norm, random
from rsspecnorm import (
    leading_triplet,
    leading_triplets,
    spectral_bounds,
    spectral_norm,
    spectral_norms,
)

# Both sides of every border: eight at a time, a copy, more than one block, more columns.
SHAPES = [
    (513, 1), (1, 70_000), (2, 300), (300, 2), (3, 200_001), (100_000, 5), (63, 16), (64, 16),
    (12, 3000), (80, 20), (4097, 16), (17, 4099), (3000, 97), (4096, 128), (129, 4200), (9000, 96),
]  # fmt: skip
DTYPES = ["f2", "f4", "f8", "c8", "c16", "i4"]


def matrix(shape, dtype, seed=0):
    a = random(*shape, seed)
    if np.dtype(dtype).kind == "c":
        a = a + 1j * random(*shape, seed + 1)
    return (a * 100 if np.dtype(dtype).kind == "i" else a).astype(dtype)


def exact_norm(a):
    wide = a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)
    return np.linalg.svd(wide, compute_uv=False)[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_norm_and_triplet_equal_svd_in_any_layout(shape, dtype):
    a = matrix(shape, dtype)
    expected = exact_norm(a)
    padded = np.zeros((shape[0], shape[1] + 3), dtype)
    padded[:, 1:-2] = a
    tight = 1e-13 if a.dtype.itemsize // (1 + (a.dtype.kind == "c")) == 8 else 1e-7
    for each in (a, np.asfortranarray(a), padded[:, 1:-2], a[::-1, ::-1]):
        assert spectral_norm(each) == pytest.approx(expected, rel=tight)
        found = leading_triplet(each)
        wide = each.astype(found.u.dtype)
        assert found.sigma == pytest.approx(expected, rel=tight)
        assert found.lower <= expected * (1 + 1e-12)
        assert found.upper >= expected * (1 - 1e-12)
        error = 1e-9 if found.method == "direct" else 1e-3
        assert np.linalg.norm(wide @ found.v - found.sigma * found.u) <= error * expected
        assert np.linalg.norm(wide.conj().T @ found.u - found.sigma * found.v) <= error * expected


@pytest.mark.parametrize("shape", [(200, 4), (3, 400), (3000, 12), (60, 9000)], ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_no_iteration_is_made(shape, dtype):
    found = leading_triplet(matrix(shape, dtype))
    assert (found.method, found.n_passes, bool(found.converged)) == ("direct", 2, True)
    singular = np.linalg.svd(matrix(shape, dtype).astype("c16"), compute_uv=False)
    assert found.second == pytest.approx(singular[1], rel=1e-6)
    bounds = spectral_bounds(matrix(shape, dtype), width=1e-9)
    assert bounds.lower <= singular[0] * (1 + 1e-13)
    assert bounds.upper >= singular[0] * (1 - 1e-13)
    assert bounds.upper <= (1 + 1e-9) * bounds.lower


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("shape", [(100_003, 5), (5, 100_003), (2000, 90), (40, 4001)], ids=str)
def test_bits_are_same_for_any_threads_stacked_and_listed(shape, dtype):
    a = matrix(shape, dtype)
    one = spectral_norm(a, num_threads=1)
    assert all(spectral_norm(a, num_threads=n) == one for n in (2, 3, 7))
    assert leading_triplet(a).sigma == one
    assert np.array_equal(spectral_norm(np.stack([a, a * 2])), [one, 2 * one])
    listed = spectral_norms([np.eye(3), a, random(200, 200), np.asfortranarray(a)])
    assert listed[1] == one
    if shape[0] != shape[1]:
        assert listed[3] == one  # the layout shows in no bit


@pytest.mark.parametrize("shape", [(9000, 3), (3, 9000), (120, 30)], ids=str)
@pytest.mark.parametrize("power", [-1060, -700, -340, 340, 700, 1010])
@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_entries_at_the_ends_of_the_range(shape, power, dtype):
    a = np.clip(matrix(shape, dtype).real, -3, 3).astype(dtype)
    if dtype == "c16":
        a = a + 1j * np.clip(matrix(shape, dtype).imag, -3, 3)
    scaled = np.ldexp(a.view("f8"), power).view(dtype)
    units = np.ldexp(scaled.view("f8"), -power).view(dtype)  # what rounding left
    expected = np.ldexp(exact_norm(units), power)
    found = leading_triplet(scaled)
    assert found.sigma == pytest.approx(expected, rel=1e-12)
    assert spectral_norm(scaled) == found.sigma
    if power > -1000:
        assert found.residual <= 1e-9


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("shape", [(700, 3), (3, 700), (100_000, 4), (4, 100_000)], ids=str)
def test_zero_nan_and_inf(shape, dtype):
    a = matrix(shape, dtype)
    zero = leading_triplet(np.zeros_like(a))
    assert (zero.sigma, zero.lower, zero.upper) == (0, 0, 0)
    assert np.linalg.norm(zero.u) == np.linalg.norm(zero.v) == 1
    for value in (np.nan, np.inf, -np.inf):
        broken = a.copy()
        broken[-1, -1] = value
        found = leading_triplet(broken)
        expected = np.nan if np.isnan(value) else np.inf
        assert np.array_equal(found.sigma, expected, equal_nan=True)
        assert np.array_equal(spectral_norm(broken), expected, equal_nan=True)
        assert np.isnan(found.u).all()
        stacked = spectral_norm(np.stack([a, broken, a]))
        assert stacked[0] == stacked[2] == spectral_norm(a)
        with pytest.raises(ValueError, match="nan or an inf"):
            spectral_norm(broken, check_finite=True)


@pytest.mark.parametrize("shape", [(5000, 6), (6, 5000)], ids=str)
def test_deficient_and_repeated_spectra(shape):
    m, n = max(shape), min(shape)
    u, v = np.linalg.qr(random(m, n))[0], np.linalg.qr(random(n, n, 1))[0]
    spectra = [[3] + [0] * (n - 1), [2] * n, [1, 1 - 1e-13] + [0] * (n - 2), [1e8, 1, 1e-8] * 2]
    for sigmas in spectra:
        a = (u * sorted(sigmas, reverse=True)) @ v.T
        a = a if shape == (m, n) else a.T
        found = leading_triplet(a)
        assert found.sigma == pytest.approx(max(sigmas), rel=1e-13)
        assert found.residual <= 1e-7


def test_many_at_once_equal_one_at_a_time():
    sizes = [(1 + 7 * k % 90, 400 + 997 * k) for k in range(12)]
    weights = [matrix(s if k % 2 else s[::-1], "f4", k) for k, s in enumerate(sizes)]
    found = leading_triplets(weights)
    for triplet, a in zip(found, weights, strict=True):
        assert triplet.sigma == leading_triplet(a).sigma
        assert triplet.sigma == pytest.approx(naive_norm(a), rel=1e-6)
