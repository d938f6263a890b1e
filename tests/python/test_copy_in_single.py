"""Double-precision matrices large enough to be looked at through a copy in single precision."""

import numpy as np
import pytest

from matrices import random, with_spectrum
from rsspecnorm import (
    leading_triplet,
    leading_triplets,
    spectral_bounds,
    spectral_norm,
    spectral_norms,
    thread_limit,
)

# More than 2^18 elements, square, tall, wide, with tails; and one that just fits.
SHAPES = [(512, 512), (513, 513), (530, 520), (2100, 131), (131, 2100), (640, 601), (601, 640)]


def expected_norm(a):
    return np.linalg.svd(a, compute_uv=False)[0]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_ten_digits_and_vectors_in_every_layout(shape, order):
    a = np.asarray(random(*shape, 3), order=order)
    expected = expected_norm(a)
    found = leading_triplet(a)
    assert found.sigma == pytest.approx(expected, rel=1e-10)
    assert spectral_norm(a) == pytest.approx(expected, rel=1e-10)
    assert found.converged
    assert found.lower <= expected * (1 + 1e-13)
    assert found.upper >= expected * (1 - 1e-13)
    assert found.upper <= 1.02 * expected
    assert np.linalg.norm(a @ found.v - found.sigma * found.u) <= 1e-4 * expected
    assert np.linalg.norm(a.T @ found.u - found.sigma * found.v) <= 1e-4 * expected


@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-6, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-14])
def test_every_tolerance_is_kept(rtol):
    for seed in range(3):
        a = random(560, 500, seed)
        expected = expected_norm(a)
        assert spectral_norm(a, rtol=rtol) == pytest.approx(expected, rel=max(rtol, 1e-13))


@pytest.mark.parametrize("gap", [0, 1e-12, 1e-9, 1e-7, 1e-5, 1e-4, 1e-3])
@pytest.mark.parametrize("copies", [2, 3, 9])
def test_values_side_by_side_at_the_top(gap, copies):
    sigmas = np.concatenate([1 - gap * np.arange(copies), np.linspace(0.9, 0, 400)])
    a = 3 * with_spectrum(sigmas, 700, 420)
    found = leading_triplet(a)
    assert found.sigma == pytest.approx(3, rel=1e-10)
    assert found.converged


@pytest.mark.parametrize("scale", [1e-310, 1e-300, 1e-160, 1e-40, 1e-7, 1e7, 1e40, 1e160, 1e300])
def test_any_scale(scale):
    a = random(540, 510, 5)
    expected = expected_norm(a)
    # Subnormal entries have lost digits of their own.
    rel = 1e-5 if scale < 1e-307 else 1e-10
    assert spectral_norm(a * scale) / scale == pytest.approx(expected, rel=rel)


def test_rows_and_columns_of_very_different_size():
    a = random(600, 520, 6)
    for scaled in (a * np.logspace(0, -60, 520), a * np.logspace(-80, 0, 600)[:, None]):
        assert spectral_norm(scaled) == pytest.approx(expected_norm(scaled), rel=1e-10)


def test_threads_company_and_padding_show_in_no_bit():
    a = random(760, 530, 7)
    found = leading_triplet(a)
    with thread_limit(1):
        alone = leading_triplet(a)
    padded = np.zeros((770, 560))
    padded[3:763, 7:537] = a
    for other in (alone, leading_triplet(padded[3:763, 7:537])):
        assert other.sigma == found.sigma
        assert (other.lower, other.upper, other.second) == (found.lower, found.upper, found.second)
        assert (other.u == found.u).all()
        assert (other.v == found.v).all()
    stack = np.stack([a, np.zeros_like(a), a])
    assert spectral_norms([a[:9], a, a.T]).tolist()[1] == found.sigma
    assert spectral_norm(stack).tolist() == [found.sigma, 0, found.sigma]


def test_degenerate_entries_leave_their_neighbours_alone():
    a = random(540, 520, 8)
    broken, infinite = a.copy(), a.copy()
    broken[539, 519] = np.nan
    infinite[0, 0] = -np.inf
    found = leading_triplets([broken, a, infinite, 0 * a])
    assert np.isnan(found[0].sigma)
    assert found[1].sigma == spectral_norm(a)
    assert found[2].sigma == np.inf
    assert found[3].sigma == 0


@pytest.mark.parametrize("kind", ["probable", "rigorous"])
@pytest.mark.parametrize("width", [2e-2, 1e-3, 1e-6, 1e-8])
def test_intervals_hold_and_are_as_narrow_as_asked(kind, width):
    for seed in range(2):
        a = random(560, 490, seed)
        expected = expected_norm(a)
        found = spectral_bounds(a, kind=kind, width=width, maxiter=1000)
        assert found.converged
        assert found.lower <= expected * (1 + 1e-13)
        assert found.upper >= expected * (1 - 1e-13)
        assert found.upper <= (1 + width) * found.lower


def test_warm_start_saves_passes_and_a_wrong_one_costs_no_digit():
    a = random(620, 560, 9)
    cold = leading_triplet(a)
    warm = leading_triplet(a + 1e-6 * random(620, 560, 1), v0=cold.v, rtol=1e-6)
    assert warm.sigma == pytest.approx(cold.sigma, rel=1e-5)
    wrong = leading_triplet(a, v0=np.linalg.svd(a)[2][-1])
    assert wrong.sigma == pytest.approx(cold.sigma, rel=1e-10)
