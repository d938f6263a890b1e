"""Spectra on which iterations stall, start wrong, or leave the range."""

import itertools
import warnings

import ml_dtypes
import mpmath
import numpy as np
import pytest

from matrices import naive_norm, orthonormal, random, second_difference, with_spectrum
from precise import precise_norm
from rsspecnorm import leading_triplet, spectral_bounds, spectral_norm, spectral_norms

SHARP = 1e-14


def turned(sigmas, shape=(90, 70), seed=0):
    """The spectrum, and what rounding of the entries has left of it."""
    a = with_spectrum(sigmas, *shape, seed=seed)
    return a, naive_norm(a)


@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-10, SHARP])
@pytest.mark.parametrize("size", [2, 5, 30])
def test_cluster_of_equal_top_values_is_reached(size, rtol):
    a, sigma = turned(np.r_[np.full(size, 2.0), np.linspace(1.9, 0.1, 40)])
    assert spectral_norm(a, rtol=rtol) == pytest.approx(sigma, rel=rtol + 1e-14)


@pytest.mark.parametrize("rtol", [1e-4, 1e-8, SHARP])
@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6, 1e-9, 1e-13])
def test_gap_is_resolved_to_the_tolerance(gap, rtol):
    sigmas = np.r_[1 + gap, np.ones(3), np.linspace(0.999, 0.5, 60)]
    a, sigma = turned(sigmas)
    assert spectral_norm(a, rtol=rtol) == pytest.approx(sigma, rel=rtol + 1e-14)


CROWDS = {
    "pair": lambda gap, _: [1, 1 - gap],
    "triple": lambda gap, _: [1, 1 - gap, 1 - 2 * gap],
    "cluster": lambda gap, rng: 1 - gap * np.r_[0, rng.uniform(0, 1, rng.integers(2, 30))],
    "one above a cluster": lambda gap, rng: np.r_[1, np.full(rng.integers(2, 30), 1 - gap)],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("crowd", CROWDS)
def test_crowd_at_the_top_is_not_taken_for_one_value(crowd, dtype):
    rng = np.random.default_rng(len(crowd))
    many = []
    for seed in range(30):
        nrows, ncols = sorted(rng.integers(140, 260, 2))[:: rng.choice([-1, 1])]
        top = CROWDS[crowd](10 ** rng.uniform(-7, -1.5), rng)
        below = rng.uniform(0, 0.98, min(nrows, ncols) - len(top))
        a = with_spectrum(np.r_[top, below], nrows, ncols, seed=seed)
        many.append((a * 10 ** rng.uniform(-3, 3)).astype(dtype))
    exact = [np.linalg.norm(a.astype(np.result_type(a, np.float64)), 2) for a in many]
    np.testing.assert_allclose(spectral_norms(many, rtol=1e-6), exact, rtol=1e-6)
    bounds = [spectral_bounds(a, width=1e-3) for a in many]
    assert all(b.lower <= x * (1 + 1e-14) for b, x in zip(bounds, exact, strict=True))
    assert all(x <= b.upper * (1 + 1e-14) for b, x in zip(bounds, exact, strict=True))


@pytest.mark.parametrize("rtol", [1e-4, 1e-10])
@pytest.mark.parametrize("gap", [1e-3, 1e-6])
@pytest.mark.parametrize("which", [1, 2, 35])
def test_start_orthogonal_to_the_top_vector_finds_it(which, gap, rtol):
    # The start is another singular vector: the space it spans is invariant at once.
    u, v = orthonormal(80, 60, 3), orthonormal(60, 60, 4)
    sigmas = np.r_[1 + gap, np.ones(30), np.linspace(0.9, 0.1, 29)]
    a = (u * sigmas) @ v.T
    top = leading_triplet(a, rtol=rtol, v0=v[:, which])
    assert top.sigma == pytest.approx(1 + gap, rel=rtol)
    assert top.upper >= (1 + gap) * (1 - 1e-14)
    bounds = spectral_bounds(a, kind="rigorous", width=1e-9, v0=v[:, which])
    assert bounds.lower <= 1 + gap + 1e-13
    assert bounds.upper >= 1 + gap - 1e-13


def test_start_of_the_wrong_sign_or_size_changes_nothing_but_bits():
    a, sigma = turned(np.linspace(1, 0.1, 50))
    for start in (np.ones(70), -np.ones(70), np.full(70, 1e-300), np.full(70, 1e300)):
        assert leading_triplet(a, v0=start).sigma == pytest.approx(sigma, rel=1e-10)


@pytest.mark.parametrize("n", [10, 60, 300])
@pytest.mark.parametrize("shift", [0.0, 1.0, -3.0])
def test_nonnormal_matrix_is_not_judged_by_its_eigenvalues(n, shift):
    # Every eigenvalue of the triangle is `shift`; its norm is of the order of n.
    a = np.triu(np.ones((n, n)), 1) + shift * np.eye(n)
    assert spectral_norm(a, rtol=SHARP) == pytest.approx(naive_norm(a), rel=1e-13)
    nilpotent = np.diag(np.arange(1.0, n), k=1)
    assert spectral_norm(nilpotent, rtol=SHARP) == pytest.approx(n - 1, rel=SHARP)


@pytest.mark.parametrize("largest", [1e-150, 1.0, 1e150])
def test_graded_matrix_over_three_hundred_orders_is_right(largest):
    grades = largest * 10.0 ** -np.linspace(0, 300 if largest <= 1 else 400, 25)
    with np.errstate(under="ignore"):
        a = np.outer(grades, grades[::-1] / largest) + np.diag(grades)
    assert spectral_norm(a) == pytest.approx(float(precise_norm(a)), rel=1e-10)
    rows = grades[:, None] * random(25, 20)
    assert spectral_norm(rows, rtol=SHARP) == pytest.approx(float(precise_norm(rows)), rel=1e-14)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.float16, 1e-6), (np.float32, 1e-40), (ml_dtypes.bfloat16, 1e-39), (np.float64, 1e-314)],
)
@pytest.mark.parametrize("shape", [(5, 4), (60, 50)])
def test_subnormal_entries_are_taken_as_they_are(dtype, scale, shape):
    a = (scale * random(*shape)).astype(dtype)
    wide = a.astype(np.float64)
    exact = naive_norm(np.ldexp(wide, 600)) if scale > 1e-300 else None
    sigma = spectral_norm(a, rtol=1e-12)
    if exact is not None:
        assert sigma == pytest.approx(np.ldexp(exact, -600), rel=2e-12)
    else:
        exact = np.ldexp(naive_norm(np.ldexp(wide, 1000)), -1000)
        assert abs(sigma - exact) <= 2 * np.spacing(exact)


def test_norm_beyond_the_range_is_inf_and_does_not_touch_its_neighbours():
    stack = np.stack([np.full((3, 3), 1e308), np.eye(3), np.full((3, 3), 5e307)])
    np.testing.assert_allclose(spectral_norm(stack), [np.inf, 1.0, 1.5e308], rtol=1e-14)
    bounds = spectral_bounds(stack, kind="rigorous")
    np.testing.assert_array_equal(np.isinf(bounds.upper), [True, False, False])
    assert leading_triplet(stack).converged.all()


def test_narrow_matrix_whose_norm_exceeds_its_dtype_is_finite():
    a = np.full((400, 400), 6e4, np.float16)
    assert spectral_norm(a) == pytest.approx(400 * float(a[0, 0]), rel=1e-6)
    b = np.full((40, 40), 3e38, np.float32)
    assert spectral_norm(b) == pytest.approx(40 * float(b[0, 0]), rel=1e-6)


@pytest.mark.parametrize("n", [33, 100, 400])
@pytest.mark.parametrize("rtol", [1e-2, 1e-6, 1e-12, SHARP])
def test_rtol_is_met_where_the_top_values_crowd(n, rtol):
    a, exact = second_difference(n), 2 + 2 * np.cos(np.pi / (n + 1))
    assert spectral_norm(a, rtol=rtol) == pytest.approx(exact, rel=rtol + 2e-16)


@pytest.mark.parametrize("shape", [(3, 3), (40, 30), (300, 200), (1000, 40)])
def test_sharpest_rtol_is_met_on_random_matrices(shape):
    for seed in range(3):
        a = random(*shape, seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sigma = spectral_norm(a, rtol=SHARP)
        bounds = spectral_bounds(a, kind="rigorous", width=1e-10)
        assert bounds.lower <= sigma <= bounds.upper
        assert sigma == pytest.approx(naive_norm(a), rel=1e-14 + 4e-16 * np.sqrt(max(shape)))


@pytest.mark.parametrize("rtol", [0.99e-14, 1e-15, 1e-300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rtol_below_what_doubles_give_says_what_can_be_had(dtype, rtol):
    with pytest.raises(ValueError, match=r"rtol must be at least 1e-14 .* got"):
        spectral_norm(np.eye(3, dtype=dtype), rtol=rtol)


@pytest.mark.parametrize("values", list(itertools.permutations([1.0, 0.9988, 0.5])))
def test_order_of_a_close_diagonal_does_not_matter(values):
    a = np.diag(np.r_[values, np.linspace(0.4, 0.1, 60)])
    assert spectral_norm(a, rtol=1e-3) == pytest.approx(1, rel=1e-3)
    assert spectral_norm(a, rtol=SHARP) == pytest.approx(1, rel=1e-15)


def test_precision_of_oracle_exceeds_doubles():
    a = np.diag([1.0, 1 + 2.0**-52])
    assert precise_norm(a) == 1 + mpmath.mpf(2) ** -52
