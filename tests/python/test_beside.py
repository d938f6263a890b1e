"""Rigorous bounds of matrices with a few large values, which need no factorisation.

H D H' with a Hadamard matrix H of order n and integers D holds integers and has the singular values
n |d| exactly: the ends of an interval are compared without any tolerance.
"""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard

import rsspecnorm
from processes import output_of
from rsspecnorm import ConvergenceWarning, spectral_bounds

FEW = np.r_[10, 9, 7, 6, 5, np.ones(30)]
REAL = [np.float16, np.float32, np.float64]
COMPLEX = [np.complex64, np.complex128]


def exact(values, dtype, n=128):
    """Matrix with the singular values `n * values`, and zeros; complex with phases of its own."""
    h = hadamard(n).astype(np.float64)[:, : len(values)]
    a = (h * values) @ h.T
    if np.issubdtype(dtype, np.complexfloating):
        phases = np.array([1, 1j, -1, -1j])[np.arange(n) * 7 % 5 % 4]
        a = phases[:, None] * a * phases[::-1]
    matrix = a.astype(dtype)
    np.testing.assert_array_equal(matrix, a)
    return matrix


def quiet_bounds(a, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return spectral_bounds(a, kind="rigorous", **options)


@pytest.mark.parametrize("dtype", REAL + COMPLEX)
@pytest.mark.parametrize("shape", [(128, 128), (128, 121), (120, 128)])
def test_few_large_values_are_proved_far_within_the_width(dtype, shape):
    # A factorisation takes c as large as the width allows: what is narrower came without one.
    a = exact(FEW, dtype)[: shape[0], : shape[1]]
    sigma = np.linalg.svd(a.astype(complex), compute_uv=False)[0]
    bounds = spectral_bounds(a, kind="rigorous", width=1e-6)
    assert bounds.lower <= sigma * (1 + 1e-14)
    assert sigma * (1 - 1e-14) <= bounds.upper <= bounds.lower * (1 + 1e-8)


@pytest.mark.parametrize("dtype", COMPLEX)
def test_complex_matrix_of_rank_one_is_proved_beside_one_vector(dtype):
    bounds = spectral_bounds(exact([3], dtype), kind="rigorous", width=1e-6)
    assert bounds.lower <= 3 * 128 <= bounds.upper <= bounds.lower * (1 + 1e-8)


@settings(deadline=None, max_examples=150)
@given(
    values=st.lists(st.integers(-12, 12), min_size=1, max_size=20),
    dtype=st.sampled_from(REAL + COMPLEX),
    width=st.sampled_from([1e-2, 1e-6, 1e-10, 1e-13]),
    maxiter=st.sampled_from([1, 3, 20, 300]),
    scale=st.sampled_from([0, -120, 90]),
)
def test_interval_of_exact_values_holds_the_largest(values, dtype, width, maxiter, scale):
    values = np.array(values, float)
    if np.dtype(dtype).itemsize == 2:
        values, scale = np.clip(values, -3, 3), 0
    sigma = 128 * np.abs(values).max() * 2.0**scale
    a = exact(values, dtype) * np.dtype(dtype).type(2.0**scale)
    bounds = quiet_bounds(a, width=width, maxiter=maxiter)
    assert bounds.lower <= sigma <= bounds.upper
    if bounds.converged:
        assert bounds.upper <= (1 + width) * bounds.lower * (1 + 2**-52)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("values", [[10, 10, 9, 1], [10] * 4 + [1] * 9, [10, -10], [7] * 12])
def test_equal_large_values_are_held(values, dtype):
    for width in (1e-3, 1e-6, 1e-9):
        bounds = spectral_bounds(
            exact(np.array(values, float), dtype), kind="rigorous", width=width
        )
        assert bounds.converged
        assert bounds.lower <= 128 * max(values) <= bounds.upper


def test_few_large_values_beside_an_adversarial_start_are_held():
    # The start holds nothing of the top vector, and one pass finds none of it.
    a = exact(FEW, np.float64)
    for v0 in (hadamard(128)[:, 1], hadamard(128)[:, 1:35].sum(axis=1)):
        for maxiter in (1, 2, 5, 17, 300):
            bounds = quiet_bounds(a, width=1e-6, v0=v0.astype(float), maxiter=maxiter)
            assert bounds.lower <= 1280 <= bounds.upper


PRINT_ENDS = """
import numpy as np
from rsspecnorm import spectral_bounds

rng = np.random.default_rng(0)
for dtype in ("f4", "f8", "c16"):
    low = (rng.standard_normal((700, 6)) @ rng.standard_normal((6, 600))).astype(dtype)
    a = low + 0.01 * rng.standard_normal((700, 600)).astype(dtype)
    for n in (1, 2, 3):
        bounds = spectral_bounds(a, kind="rigorous", width=1e-6, num_threads=n)
        assert bounds.upper <= bounds.lower * (1 + 1e-8)
        print(float(bounds.lower).hex(), float(bounds.upper).hex(), bounds.n_passes)
"""


def test_bounds_of_few_large_values_are_same_for_any_tier_and_threads():
    levels = rsspecnorm.build_info()["levels_available"]
    lines = {tuple(output_of(PRINT_ENDS, RSSPECNORM_LEVEL=x).splitlines()) for x in levels}
    assert len(lines) == 1
    assert len(set(lines.pop())) == 3
