"""The proved interval: never violated, as narrow as asked, and honest where it is not."""

import warnings

import ml_dtypes
import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from matrices import CLOSED_FORMS, FAMILIES, naive_norm, orthonormal, random, with_spectrum
from precise import holds, precise_norm
from rsspecnorm import ConvergenceWarning, spectral_bounds
from tolerances import ROUNDING

ANY_FLOAT = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e308, max_value=1e308),
    st.floats(-1e-307, 1e-307),
    st.floats(-4, 4),
    st.integers(-3, 3).map(float),
)
NARROW = st.floats(width=16, allow_nan=False, allow_infinity=False)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6)
MATRICES = st.one_of(
    hnp.arrays(np.float64, SHAPES, elements=ANY_FLOAT),
    hnp.arrays(np.float64, SHAPES, elements=st.floats(-1, 1)),
    hnp.arrays(np.float32, SHAPES, elements=st.floats(-100, 100, width=32)),
    hnp.arrays(np.float16, SHAPES, elements=NARROW),
)


def pairs(dtype, elements):
    """Complex matrices whose two parts hold these elements."""
    parts = SHAPES.flatmap(lambda shape: hnp.arrays(dtype, (2, *shape), elements=elements))
    return parts.map(lambda parts: parts[0] + dtype(1) * 1j * parts[1])


COMPLEX = st.one_of(
    pairs(np.float64, ANY_FLOAT),
    pairs(np.float64, st.floats(-1, 1)),
    pairs(np.float32, st.floats(-100, 100, width=32)),
)
SLACK = 1 + 2.0**-52  # the width itself was rounded
WIDTHS = st.sampled_from([0.5, 1e-2, 1e-6, 1e-10, 1e-13, 1e-16])


def quiet_bounds(a, width, **options):
    """Bounds without the warning that says the width was not reached."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return spectral_bounds(a, kind="rigorous", width=width, **options)


def check_interval(a, width, maxiter):
    bounds = quiet_bounds(a, width, maxiter=maxiter)
    assert holds(bounds, precise_norm(a)), (bounds, a)
    assert bounds.lower <= bounds.upper
    if bounds.converged and np.isfinite(bounds.upper):
        assert mpmath.mpf(bounds.upper) <= mpmath.mpf(1 + width) * mpmath.mpf(bounds.lower) * SLACK


PASSES = st.sampled_from([1, 2, 300])
interval_is_tried = given(a=MATRICES, width=WIDTHS, maxiter=PASSES)
complex_interval_is_tried = given(a=COMPLEX, width=WIDTHS, maxiter=PASSES)


@settings(deadline=None, max_examples=500)
@interval_is_tried
@example(a=np.diag([1.0, 0.9988]), width=1e-6, maxiter=300)
@example(a=np.array([[5e-324]]), width=1e-2, maxiter=300)
@example(a=np.full((2, 2), 8.9e307), width=1e-2, maxiter=300)
@example(a=np.array([[1e308, 1e-308], [1e-320, 1.0]]), width=1e-13, maxiter=1)
def test_rigorous_interval_holds_fifty_digits(a, width, maxiter):
    check_interval(a, width, maxiter)


@pytest.mark.long
@settings(deadline=None, max_examples=10_000)
@interval_is_tried
def test_rigorous_interval_holds_fifty_digits_ten_thousand_times(a, width, maxiter):
    check_interval(a, width, maxiter)


@settings(deadline=None, max_examples=500)
@complex_interval_is_tried
@example(a=np.array([[5e-324j]]), width=1e-2, maxiter=300)
@example(a=np.full((2, 2), 6e307 * (1 + 1j)), width=1e-2, maxiter=300)
def test_rigorous_interval_of_complex_matrix_holds_fifty_digits(a, width, maxiter):
    check_interval(a, width, maxiter)


@pytest.mark.long
@settings(deadline=None, max_examples=10_000)
@complex_interval_is_tried
def test_rigorous_interval_of_complex_matrix_holds_fifty_digits_ten_thousand_times(
    a, width, maxiter
):
    check_interval(a, width, maxiter)


@settings(deadline=None, max_examples=100)
@given(a=MATRICES, width=WIDTHS, other=st.integers(0, 2**32))
def test_rigorous_bounds_obey_the_triangle_inequality(a, width, other):
    b = np.random.default_rng(other).permutation(a.astype(np.float64).ravel()).reshape(a.shape) / 4
    a = a.astype(np.float64) / 4
    total = a + b  # rounded: the entries of the sum are what is bounded
    first, second, both = (quiet_bounds(x, width) for x in (a, b, total))
    rounding = np.spacing(np.abs(total)).sum()
    assert both.lower <= np.nextafter(first.upper + second.upper + rounding, np.inf)


@pytest.mark.parametrize("width", [0.5, 1e-2, 1e-6, 1e-9])
@pytest.mark.parametrize("family", FAMILIES)
def test_rigorous_bounds_of_family_hold_svd_within_width(family, width):
    a = FAMILIES[family]()
    bounds, sigma = spectral_bounds(a, kind="rigorous", width=width), naive_norm(a)
    assert bounds.converged
    assert bounds.lower <= sigma * (1 + ROUNDING)
    assert bounds.upper >= sigma * (1 - ROUNDING)
    assert bounds.upper <= (1 + width) * bounds.lower


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_rigorous_bounds_of_closed_form_hold_it(name):
    a, sigma = CLOSED_FORMS[name]
    bounds = spectral_bounds(a, kind="rigorous", width=1e-9)
    assert bounds.lower <= sigma * (1 + 1e-15)
    assert bounds.upper >= sigma * (1 - 1e-15)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.int32, bool])
@pytest.mark.parametrize("order", ["C", "F"])
def test_rigorous_bounds_take_dtype_and_order(dtype, order):
    a = np.asarray((5 * random(150, 140)).astype(dtype), order=order)
    bounds, sigma = spectral_bounds(a, kind="rigorous", width=1e-8), naive_norm(a)
    assert bounds.lower <= sigma * (1 + ROUNDING)
    assert bounds.upper >= sigma * (1 - ROUNDING)
    assert bounds.converged


@pytest.mark.parametrize("shape", [(127, 127), (128, 128), (129, 129), (257, 300), (300, 129)])
def test_rigorous_interval_narrows_to_its_floor(shape):
    a = random(*shape)
    with pytest.warns(ConvergenceWarning, match="its norm lies between"):
        bounds = spectral_bounds(a, kind="rigorous", width=1e-15)
    sigma, n = naive_norm(a), min(shape)
    assert not bounds.converged
    assert bounds.lower <= sigma * (1 + ROUNDING)
    assert bounds.upper >= sigma * (1 - ROUNDING)
    assert bounds.upper <= (1 + 2e-16 * n * n) * bounds.lower


def test_rigorous_bounds_say_so():
    bounds = spectral_bounds(random(20, 10), kind="rigorous", failure_prob=0.3)
    assert (bounds.kind, bounds.failure_prob) == ("rigorous", 0.0)


def test_rigorous_bounds_of_stack_serve_each_matrix():
    stack = np.stack([random(40, 30), np.zeros((40, 30)), np.full((40, 30), np.nan)])
    bounds = spectral_bounds(stack, kind="rigorous", width=1e-6)
    np.testing.assert_array_equal(bounds.lower[1:], [0.0, np.nan])
    np.testing.assert_array_equal(bounds.upper[1:], [0.0, np.nan])
    assert bounds.lower[0] <= naive_norm(stack[0]) <= bounds.upper[0]
    assert bounds.converged.all()


def test_rigorous_upper_end_never_rests_on_luck():
    # Half of all starts miss the bound that fails with probability one half; none misses this one.
    a = random(60, 50)
    sigma = precise_norm(a[:, :6])
    for seed in range(50):
        bounds = quiet_bounds(a[:, :6], 1e-9, rng=seed, maxiter=2)
        assert holds(bounds, sigma)


def test_rigorous_interval_outlives_an_adversarial_start():
    # The start holds nothing of the top vector, which lies close above a cluster.
    basis = orthonormal(80, 80)
    sigmas = np.r_[1 + 1e-7, np.ones(60), np.full(19, 0.3)]
    a = (basis * sigmas) @ basis.T
    for scale in (0.01, 0.6, 1.0, 70.0):
        for maxiter in (1, 5, 20, 300):
            bounds = quiet_bounds(scale * a, 1e-9, v0=basis[:, 1], maxiter=maxiter)
            assert bounds.lower <= scale * (1 + 1e-7 + ROUNDING)
            assert bounds.upper >= scale * (1 + 1e-7 - ROUNDING)


@pytest.mark.parametrize("tail", [0.1, 0.5, 0.9])
def test_rigorous_bounds_of_low_stable_rank_need_no_factorisation(tail):
    # The rest together is smaller than the leading part: what the norm leaves beside it is enough.
    a = with_spectrum(np.r_[1.0, np.full(100, tail / 10)], 160, 101)
    bounds = spectral_bounds(a, kind="rigorous", width=1e-6)
    assert bounds.converged
    assert bounds.lower <= 1 + ROUNDING
    assert 1 - ROUNDING <= bounds.upper <= (1 + 1e-6) * bounds.lower


@pytest.mark.parametrize("ratio", [1e-3, 1e-9])
def test_rigorous_bounds_of_nonnegative_matrix_need_no_factorisation(ratio):
    a = np.abs(with_spectrum([1.0, ratio], 400, 300))
    bounds = spectral_bounds(a, kind="rigorous", width=1e-2)
    assert bounds.converged
    assert bounds.lower <= naive_norm(a) <= bounds.upper


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 5), (40, 30), (150, 140)])
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_interval_of_complex_matrix_holds_its_norm(shape, dtype):
    rng = np.random.default_rng(7)
    a = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    sigma = np.linalg.svd(a.astype(np.complex128), compute_uv=False)[0]
    for matrix in (a, np.asfortranarray(a), a.conj().T):
        bounds = spectral_bounds(matrix, kind="rigorous", width=1e-6)
        assert bounds.converged
        assert bounds.lower <= sigma * (1 + 1e-14)
        assert sigma * (1 - 1e-14) <= bounds.upper <= (1 + 1e-6) * bounds.lower
