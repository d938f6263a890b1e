"""Zeros, nan, inf and the ends of the floating-point range."""

import numpy as np
import pytest

from matrices import naive_norm, random
from rsspecnorm import leading_triplet, spectral_bounds, spectral_norm, spectral_norms
from tolerances import RTOL_NARROW, RTOL_WIDE

ALL_DTYPES = ["float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_norm_of_zeros_is_zero(dtype):
    assert spectral_norm(np.zeros((5, 7), dtype)) == 0.0
    assert spectral_norm(-np.zeros((5, 7), dtype)) == 0.0


def test_triplet_of_zeros_is_finite_and_converged():
    top = leading_triplet(np.zeros((5, 7)))
    assert top.sigma == top.lower == top.upper == 0.0
    assert top.converged
    assert np.linalg.norm(top.u) == pytest.approx(1)
    assert np.linalg.norm(top.v) == pytest.approx(1)


@pytest.mark.parametrize("dtype", ALL_DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (200, 150)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_norm_with_one_bad_entry_is_that_kind(dtype, shape, value):
    a = random(*shape).astype(dtype)
    a[-1, -1] = value
    np.testing.assert_equal(spectral_norm(a), np.abs(value))


def test_norm_with_nan_and_inf_is_nan():
    assert np.isnan(spectral_norm([[np.inf, 1.0], [np.nan, -np.inf]]))


def test_norm_with_opposite_infinities_is_inf():
    assert spectral_norm([[np.inf, -np.inf], [1.0, 1.0]]) == np.inf


def test_bad_matrices_of_stack_leave_the_rest_alone():
    stack = np.random.default_rng(0).standard_normal((5, 30, 20))
    clean = spectral_norm(stack)
    stack[1, 3, 4] = np.nan
    stack[3, 0, 0] = np.inf
    sigma = spectral_norm(stack)
    np.testing.assert_equal(sigma[[1, 3]], [np.nan, np.inf])
    assert np.array_equal(sigma[[0, 2, 4]], clean[[0, 2, 4]])
    assert np.array_equal(sigma, spectral_norms(list(stack)), equal_nan=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_triplet_and_bounds_of_bad_matrix_say_so(value):
    a = random(6, 4)
    a[2, 2] = value
    top = leading_triplet(a)
    np.testing.assert_equal([top.sigma, top.lower, top.upper], [value] * 3)
    assert np.isnan(top.u).all()
    assert np.isnan(top.v).all()
    assert (top.u.shape, top.v.shape) == ((6,), (4,))
    bounds = spectral_bounds(a)
    np.testing.assert_equal([bounds.lower, bounds.upper], [value] * 2)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
def test_norm_of_extreme_float64_matches_scaled_svd(scale):
    a = random(40, 30)
    sigma = spectral_norm(a * scale)
    assert sigma / scale == pytest.approx(naive_norm(a), rel=RTOL_WIDE)


@pytest.mark.parametrize("scale", [1e-35, 1e-30, 1e-25, 1e25, 1e30, 1e35])
def test_norm_of_extreme_float32_matches_svd(scale):
    a = (random(40, 30) * scale).astype(np.float32)
    assert spectral_norm(a) == pytest.approx(naive_norm(a), rel=RTOL_NARROW)


def test_norm_of_mixed_magnitudes_matches_svd():
    a = np.diag([1e200, 1.0, 1e-200])
    assert spectral_norm(a) == pytest.approx(1e200, rel=RTOL_WIDE)


def test_norm_of_subnormals_is_exact():
    tiny = np.nextafter(0.0, 1.0)
    assert spectral_norm(np.full((4, 4), tiny)) == 4 * tiny
    assert spectral_norm([[tiny]]) == tiny
    single = np.nextafter(np.float32(0), np.float32(1))
    assert spectral_norm(np.full((2, 2), single)) == pytest.approx(2 * float(single), rel=1e-6)
    half = np.nextafter(np.float16(0), np.float16(1))
    assert spectral_norm(np.full((2, 2), half)) == pytest.approx(2 * float(half), rel=1e-6)


def test_method_of_an_empty_stack_is_a_string():
    assert leading_triplet(np.zeros((0, 3, 4))).method.dtype.kind == "U"


def test_norm_beyond_float64_is_inf():
    largest = np.finfo(np.float64).max
    assert spectral_norm(np.full((8, 8), largest)) == np.inf
    assert spectral_norm(np.diag([largest, 1.0])) == pytest.approx(largest, rel=RTOL_WIDE)


def test_norm_beyond_float32_is_finite():
    largest = np.finfo(np.float32).max
    expected = pytest.approx(8 * float(largest), rel=RTOL_NARROW)
    assert spectral_norm(np.full((8, 8), largest)) == expected


def test_norm_beyond_float16_is_finite():
    a = np.full((30, 30), np.finfo(np.float16).max)
    assert spectral_norm(a) == pytest.approx(30 * 65504.0, rel=RTOL_NARROW)
