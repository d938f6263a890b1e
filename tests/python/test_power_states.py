"""States that never die: zeros, NaN, infinities, useless vectors and extreme scales."""

import numpy as np
import pytest

from matrices import naive_norm, random
from rsspecnorm import SpectralNormalizer, power_iteration, spectral_normalize
from torch_steps import DTYPES, naive_steps, unit_vectors

ORDERS = ["uv", "vu"]
USELESS = {"zero": 0.0, "nan": np.nan, "inf": np.inf}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("k", [0, 1, 5])
def test_zero_weight_stays_zero_and_keeps_its_vectors(order, name, k):
    a = np.zeros((5, 7), DTYPES[name])
    u, v = (x.astype(a.dtype) for x in unit_vectors(a.shape))
    got = spectral_normalize(a, u, v, n_power_iterations=k, order=order)
    assert got.sigma == 0
    np.testing.assert_array_equal(got.weight.astype(float), 0)
    np.testing.assert_array_equal(got.u.astype(float), u.astype(float))
    np.testing.assert_array_equal(got.v.astype(float), v.astype(float))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("k", [0, 1, 5])
def test_one_bad_matrix_of_a_stack_harms_no_other(order, name, value, k):
    a = random(6, 5 * 9).reshape(6, 5, 9).astype(DTYPES[name])
    u, v = (x.astype(a.dtype) for x in unit_vectors(a.shape))
    good = spectral_normalize(a, u, v, n_power_iterations=k, order=order)
    a[2, 1, 8] = value
    got = spectral_normalize(a, u, v, n_power_iterations=k, order=order)
    assert np.isnan(got.weight[2].astype(float)).all()
    np.testing.assert_array_equal(float(got.sigma[2]), abs(value))
    np.testing.assert_array_equal(got.u[2].astype(float), u[2].astype(float))
    np.testing.assert_array_equal(got.v[2].astype(float), v[2].astype(float))
    rest = [0, 1, 3, 4, 5]
    for field in ("weight", "sigma", "u", "v"):
        same = [getattr(x, field)[rest].tobytes() for x in (good, got)]
        assert same[0] == same[1], field


def test_check_finite_names_the_matrix():
    a = np.ones((2, 3, 4, 5))
    a[1, 2, 0, 0] = np.inf
    with pytest.raises(ValueError, match=r"a\[1, 2\] has a nan or an inf"):
        spectral_normalize(a, check_finite=True)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bad", USELESS)
def test_useless_vectors_count_as_none(order, bad):
    a = random(7, 6)
    u, v = unit_vectors(a.shape)
    bad_u, bad_v = np.full(7, USELESS[bad]), np.full(6, USELESS[bad])
    for given, same in [((bad_u, v), (None, v)), ((u, bad_v), (u, None)), ((bad_u, bad_v), ())]:
        got = power_iteration(a, *given, order=order)
        expected = power_iteration(a, *same, order=order)
        assert got.sigma == expected.sigma
        assert np.isfinite(got.u).all()
        assert np.isfinite(got.v).all()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 3.0, 1e30, 1e300])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_vectors_of_any_length_are_used_by_direction(order, scale, dtype):
    a = random(7, 6).astype(dtype)
    u, v = unit_vectors(a.shape)
    for k in (0, 1, 4):
        got = power_iteration(a, u * scale, v * scale, n_power_iterations=k, order=order)
        expected = naive_steps(a, u, v, k, order)[0]
        assert got.sigma == pytest.approx(expected, abs=1e-5 if dtype == "f4" else 1e-12)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("exponent", [-35, -20, 0, 20, 35])
def test_single_precision_is_finite_at_every_scale(order, exponent):
    a = random(60, 45)
    a = (a / abs(a).max() * 10.0**exponent).astype(np.float32)
    default = spectral_normalize(a, order=order)
    assert all(np.isfinite(x).all() for x in default)
    exact = spectral_normalize(a, order=order, n_power_iterations=200, eps=1e-60)
    assert naive_norm(exact.weight) == pytest.approx(1, rel=1e-5)
    again = spectral_normalize(a, default.u, default.v, order=order, eps=1e-60)
    assert naive_norm(again.weight) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("exponent", [-320, -300, -150, 150, 300, 307])
def test_double_precision_is_finite_at_every_scale(exponent):
    a = random(30, 20)
    a = a / abs(a).max() * 10.0**exponent
    got = spectral_normalize(a, n_power_iterations=200, eps=0.0)
    assert naive_norm(got.weight) == pytest.approx(1, rel=1e-3 if exponent < -307 else 1e-6)


@pytest.mark.parametrize("exponent", [-22, -24, -100, -300, -307, -323])
@pytest.mark.parametrize("shape", [(3, 4), (30, 20), (200, 150)])
def test_weights_far_below_eps_stay_finite(exponent, shape):
    a = np.full(shape, 10.0**exponent)
    assert np.isfinite(spectral_normalize(a).weight).all()
    [weight] = SpectralNormalizer().normalize([a])
    assert np.isfinite(weight).all()


def test_start_that_the_matrix_maps_to_zero_is_drawn_again():
    a = np.diag([2.0, 0.0, 0.0])
    got = power_iteration(a, v=[0.0, 1.0, 0.0], n_power_iterations=3)
    assert got.sigma == pytest.approx(2)
    got = power_iteration(a, u=[0.0, 0.0, 1.0], n_power_iterations=3, order="vu")
    assert got.sigma == pytest.approx(2)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (2, 0, 3), (0, 2, 3), (4, 3, 0)])
def test_empty_matrices_have_sigma_zero(shape):
    got = spectral_normalize(np.zeros(shape))
    assert got.weight.shape == shape
    assert np.shape(got.sigma) == shape[:-2]
    assert not np.any(got.sigma)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(3, 4), (60, 70), (9, 3, 4), (3, 60, 70)], ids=str)
@pytest.mark.parametrize("k", [0, 1, 5, 5000])
def test_norm_beyond_float64_is_inf_and_divides_all_the_same(order, shape, k):
    a = 1e308 * (1 + 0.5 * np.random.default_rng(0).random(shape))
    got = spectral_normalize(a, n_power_iterations=k, order=order)
    small = spectral_normalize(np.ldexp(a, -1000), n_power_iterations=k, order=order)
    assert np.all(got.sigma == np.inf)
    for field in ("weight", "u", "v"):
        np.testing.assert_allclose(getattr(got, field), getattr(small, field), rtol=1e-13)
    again = power_iteration(a, got.u, got.v, n_power_iterations=k, order=order)
    assert np.all(again.sigma == np.inf)
    np.testing.assert_allclose(np.linalg.norm(again.u, axis=-1), 1, rtol=1e-13)
    np.testing.assert_allclose(np.linalg.norm(again.v, axis=-1), 1, rtol=1e-13)
    assert np.linalg.norm(got.weight, 2, axis=(-2, -1)) == pytest.approx(1, rel=1e-6)


def test_norm_beyond_float64_obeys_coefficient_and_soft():
    a = np.full((30, 40), 1e308)
    for coefficient in (1e-3, 7.0, 1e307):
        got = spectral_normalize(a, coefficient=coefficient, soft=True)
        np.testing.assert_allclose(got.weight, coefficient / np.sqrt(1200), rtol=1e-12)
    # Vectors that are orthogonal to the leading ones: a sigma that leaves the matrix alone.
    got = spectral_normalize(a[:2, :2], [1, -1], [1, -1], n_power_iterations=0, soft=True)
    assert got.sigma == 0
    np.testing.assert_array_equal(got.weight, a[:2, :2])
