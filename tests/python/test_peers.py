"""Inputs on which published ways to compute a spectral norm are known to fail."""

import numpy as np
import pytest

from matrices import naive_norm, orthonormal, random, with_spectrum
from rsspecnorm import leading_triplet, spectral_bounds, spectral_norm, spectral_norms
from tolerances import RTOL_NARROW, RTOL_WIDE


def test_norm_of_zeros_is_zero_not_nan():
    assert spectral_norm(np.zeros((64, 64))) == 0.0


def test_norm_of_close_diagonal_is_its_first_entry():
    # Twenty power iterations end near 0.9988, and so do short rules of successive differences.
    diagonal = np.concatenate([[1.0, 0.9988], np.linspace(0.9, 0.1, 98)])
    assert spectral_norm(np.diag(diagonal)) == pytest.approx(1, rel=RTOL_WIDE)


def test_norm_of_fivefold_cluster_is_its_value():
    a = with_spectrum([2.0] * 5 + [1.0] * 50, 100, 80)
    assert spectral_norm(a) == pytest.approx(2, rel=RTOL_WIDE)


@pytest.mark.parametrize("shape", [(50, 50), (80, 30)])
def test_norm_of_orthonormal_is_one(shape):
    assert spectral_norm(orthonormal(*shape)) == pytest.approx(1, rel=RTOL_WIDE)


def test_norm_of_rank_one_orthogonal_to_ones_is_found():
    # A start vector of ones lies in the null space.
    x = np.tile([1.0, -1.0], 32)
    assert spectral_norm(np.outer(x, x)) == pytest.approx(64, rel=RTOL_WIDE)


@pytest.mark.parametrize("scale", [1e-35, 1e-25, 1e-13, 1e-12, 1e-3, 1e20, 1e25, 1e35])
def test_norm_of_scaled_float32_matches_svd(scale):
    a = (random(60, 40) * scale).astype(np.float32)
    assert spectral_norm(a) == pytest.approx(naive_norm(a), rel=RTOL_NARROW)


@pytest.mark.parametrize("n", [2, 3, 1000])
def test_norm_of_one_row_is_its_length(n):
    a = random(1, n)
    expected = pytest.approx(np.linalg.norm(a), rel=RTOL_WIDE)
    assert spectral_norm(a) == expected
    assert spectral_norm(a.T) == expected


def test_norm_of_small_integers_matches_published_value():
    assert spectral_norm([[1, 0], [1, 2]]) == pytest.approx(2.288246, abs=5e-7)
    assert spectral_norm([[3, 3], [0, 3]]) == pytest.approx(3 * (1 + np.sqrt(5)) / 2, rel=RTOL_WIDE)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("shape", [(10, 6), (100, 100)])
def test_norm_of_random_matrix_matches_svd(shape, seed):
    a = random(*shape, seed=seed)
    assert spectral_norm(a) == pytest.approx(naive_norm(a), rel=RTOL_WIDE)


@pytest.mark.parametrize("gap", [1e-2, 1e-3, 1e-4, 1e-6])
def test_norm_of_small_gap_matches_at_loose_rtol(gap):
    # Slow convergence looks like convergence to rules that compare successive values.
    sigmas = 1 - gap * np.arange(60.0) ** 1.5 / 60
    a = with_spectrum(sigmas, 90, 60)
    assert spectral_norm(a, rtol=1e-4) == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("tail", [0.5, 0.99])
def test_upper_bound_of_many_small_values_is_kept(tail):
    # The top direction holds a tiny part of a random start in a space this large.
    a = np.diag(np.concatenate([[1.0], np.full(999, tail)]))
    bounds = spectral_bounds(a)
    assert bounds.lower <= 1 <= bounds.upper
    assert leading_triplet(a).sigma == pytest.approx(1, rel=RTOL_WIDE)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-13, 1e20, 1e200, 1e300])
def test_norm_of_scaled_float64_matches_scaled_svd(scale):
    # An absolute epsilon or tolerance gives 0, nan or an error somewhere on this range.
    a = random(60, 40, seed=3)
    assert spectral_norm(a * scale) == pytest.approx(naive_norm(a) * scale, rel=RTOL_WIDE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_norm_of_broken_matrix_is_neither_zero_nor_the_end_of_a_batch(value, dtype):
    # One solver answers 0, the others raise and lose the rest of the batch with it.
    stack = random(3, 400).reshape(3, 20, 20).astype(dtype)
    stack[1, 4, 5] = value
    expected = [naive_norm(stack[0]), np.abs(value), naive_norm(stack[2])]
    np.testing.assert_allclose(spectral_norm(stack), expected, rtol=RTOL_NARROW)
    np.testing.assert_allclose(spectral_norms(list(stack)), expected, rtol=RTOL_NARROW)


def test_norm_of_nonsymmetric_square_matrix_is_no_eigenvalue():
    # Power steps on the matrix itself find 2, a ratio of eigenvalues is 2 as well.
    assert spectral_norm([[1, 0], [1, 2]]) == pytest.approx(np.sqrt(3 + np.sqrt(5)), rel=1e-15)
    assert spectral_norm(np.triu(np.full((40, 40), 5.0), 1)) > 100


def test_norm_is_not_squared():
    assert spectral_norm(3 * np.eye(7)) == pytest.approx(3, rel=RTOL_WIDE)


def test_norm_of_symmetric_pair_of_opposite_signs_is_found():
    # Power steps on the matrix itself run in circles between the two.
    a = np.diag([5.0, -5.0, *np.linspace(1, 4, 50)])
    assert spectral_norm(a) == pytest.approx(5, rel=RTOL_WIDE)


def test_norm_of_rotations_is_found_though_every_quotient_vanishes():
    a = np.kron(np.eye(20), [[0.0, -3.0], [3.0, 0.0]])
    assert spectral_norm(a) == pytest.approx(3, rel=RTOL_WIDE)


@pytest.mark.parametrize("shape", [(512, 512), (4096, 256)])
def test_norm_of_gaussian_matrix_is_not_low_by_default(shape):
    # Default settings of the peers end 1e-6 to 9e-2 below.
    a = random(*shape, seed=4)
    assert spectral_norm(a) == pytest.approx(naive_norm(a), rel=RTOL_WIDE)
    narrow = a.astype(np.float32)
    assert spectral_norm(narrow) == pytest.approx(naive_norm(narrow), rel=RTOL_NARROW)


def test_norm_in_the_range_of_all_ones_and_of_its_complement_is_found():
    # A start of ones, or one from the positive orthant, favours one and misses the other.
    ones = np.ones((50, 50))
    assert spectral_norm(ones) == pytest.approx(50, rel=RTOL_WIDE)
    assert spectral_norm(50 * np.eye(50) - ones) == pytest.approx(50, rel=RTOL_WIDE)
    difference = np.diff(np.eye(64), axis=0)
    assert spectral_norm(difference) == pytest.approx(2 * np.cos(np.pi / 128), rel=RTOL_WIDE)
