"""Power steps and normalisation against torch's arithmetic, written out in float64."""

import numpy as np
import pytest

from matrices import naive_norm, random, with_spectrum
from rsspecnorm import power_iteration, spectral_normalize
from torch_steps import DTYPES, STEP_RTOL, naive_steps, unit_vectors

SHAPES = [(1, 1), (3, 3), (1, 17), (17, 1), (16, 16), (64, 64), (65, 67), (77, 133)]
LONG = [(3, 5000), (5000, 3), (700, 500)]
STEPS = [0, 1, 2, 5, 15]
ORDERS = ["uv", "vu"]


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("shape", SHAPES + LONG, ids=str)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("k", STEPS)
def test_steps_equal_naive_float64_steps(shape, order, k, name):
    dtype, rtol = DTYPES[name], STEP_RTOL[name]
    a = random(*shape, seed=3).astype(dtype)
    u, v = unit_vectors(shape)
    sigma, left, right = naive_steps(a, u, v, k, order)
    got = spectral_normalize(a, u, v, n_power_iterations=k, order=order)
    assert {x.dtype for x in got} == {dtype}
    scale = naive_norm(a)  # at k = 0 sigma may be the small difference of large products
    assert float(got.sigma) == pytest.approx(sigma, abs=rtol * scale)
    np.testing.assert_allclose(got.u.astype(float), left, atol=rtol)
    np.testing.assert_allclose(got.v.astype(float), right, atol=rtol)
    expected = a.astype(float) / sigma
    tolerance = rtol * abs(expected).max() * scale / abs(sigma)
    np.testing.assert_allclose(got.weight.astype(float), expected, atol=tolerance)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("k", [1, 3])
def test_power_iteration_is_what_normalize_divides_by(order, k):
    a = random(40, 30).astype(np.float32)
    u, v = unit_vectors(a.shape)
    step = power_iteration(a, u, v, n_power_iterations=k, order=order)
    normalized = spectral_normalize(a, u, v, n_power_iterations=k, order=order)
    assert [x.tobytes() for x in step] == [x.tobytes() for x in normalized[1:]]
    np.testing.assert_array_equal(normalized.weight, a / step.sigma)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("eps", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("k", [1, 2])
def test_eps_takes_the_place_of_smaller_norms(order, eps, k):
    a = random(12, 9) * 0.05
    u, v = unit_vectors(a.shape)
    sigma, left, right = naive_steps(a, u, v, k, order, eps=eps)
    got = power_iteration(a, u, v, n_power_iterations=k, order=order, eps=eps)
    assert got.sigma == pytest.approx(sigma, rel=1e-12)
    np.testing.assert_allclose(got.u, left, rtol=1e-10)
    np.testing.assert_allclose(got.v, right, rtol=1e-10)


def test_worked_example_comes_out_to_its_four_digits():
    a = np.array([[0.2538, 0.3196, 0.3380], [0.4946, 0.0519, 0.1022], [-0.5549, -0.0401, 0.1654]])
    v = np.array([-0.3650, 0.2870, 0.8857])
    sigma, u, _ = power_iteration(a, v=v, n_power_iterations=0)
    # The printed input has four digits too, so the last one of the output may be off by one.
    np.testing.assert_allclose(sigma * u, [0.2985, -0.0751, 0.3375], atol=1e-4)
    np.testing.assert_allclose(u, [0.6534, -0.1644, 0.7390], atol=1e-4)
    assert sigma.round(4) == 0.4568


@pytest.mark.parametrize("order", ORDERS)
def test_one_vector_alone_makes_the_other(order):
    a = random(20, 30)
    u, v = unit_vectors(a.shape)
    np.testing.assert_allclose(
        power_iteration(a, u=u, n_power_iterations=0).sigma, np.linalg.norm(a.T @ u)
    )
    np.testing.assert_allclose(
        power_iteration(a, v=v, n_power_iterations=0).sigma, np.linalg.norm(a @ v)
    )
    from_u = power_iteration(a, u=u, order=order)
    right = a.T @ u / np.linalg.norm(a.T @ u)
    np.testing.assert_allclose(from_u.sigma, naive_steps(a, u, right, 1, order)[0])
    from_v = power_iteration(a, v=v, order=order)
    left = a @ v / np.linalg.norm(a @ v)
    np.testing.assert_allclose(from_v.sigma, naive_steps(a, left, v, 1, order)[0])


@pytest.mark.parametrize("order", ORDERS)
def test_neither_vector_means_a_seeded_start_and_fifteen_steps(order):
    a = random(30, 20)
    first = power_iteration(a, n_power_iterations=0, order=order, rng=4)
    again = power_iteration(a, first.u, first.v, n_power_iterations=2, order=order)
    both = power_iteration(a, n_power_iterations=2, order=order, rng=4)
    np.testing.assert_allclose(both.sigma, again.sigma, rtol=1e-12)
    assert power_iteration(a, n_power_iterations=0, order=order, rng=5).sigma != first.sigma
    assert 0.8 * naive_norm(a) < first.sigma < naive_norm(a)


def test_evaluation_leaves_the_vectors_as_they_are():
    a = random(8, 6).astype(np.float32)
    u, v = (7 * x.astype(np.float32) for x in unit_vectors(a.shape))
    got = power_iteration(a, u, v, n_power_iterations=0)
    np.testing.assert_array_equal(got.u, u)
    np.testing.assert_array_equal(got.v, v)
    assert got.sigma == pytest.approx(naive_steps(a, u / 7, v / 7, 0, "uv")[0], rel=1e-5)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.uint8])
def test_integers_are_normalized_in_float64(dtype):
    a = np.arange(12).reshape(3, 4).astype(dtype)
    got = spectral_normalize(a, n_power_iterations=50)
    assert got.weight.dtype == np.float64
    np.testing.assert_allclose(got.weight, a / naive_norm(a), rtol=1e-6)


def test_coefficient_is_the_norm_of_the_result():
    a = np.stack([with_spectrum([s, s / 9], 9, 6) for s in (2.0, 0.5, 0.01)])
    hard = spectral_normalize(a, n_power_iterations=9, coefficient=[1.0, 2.0, 3.0])
    np.testing.assert_allclose(np.linalg.norm(hard.weight, 2, axis=(-2, -1)), [1, 2, 3])
    np.testing.assert_allclose(hard.sigma, [2, 0.5, 0.01])
    soft = spectral_normalize(a, n_power_iterations=9, coefficient=0.8, soft=True)
    np.testing.assert_allclose(np.linalg.norm(soft.weight, 2, axis=(-2, -1)), [0.8, 0.5, 0.01])
    np.testing.assert_array_equal(soft.weight[1:], a[1:])


@pytest.mark.parametrize("legacy", [True, False], ids=["hook", "parametrization"])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_steps_equal_torch(legacy, k):
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(33, 21)
    a = module.weight.detach().numpy().copy()
    if legacy:
        module = torch.nn.utils.spectral_norm(module, n_power_iterations=k)
        u, v = module.weight_u.numpy().copy(), module.weight_v.numpy().copy()
        module(torch.zeros(1, 33))
        expected = module.weight.detach().numpy()
    else:
        module.eval()
        module = torch.nn.utils.parametrizations.spectral_norm(module, n_power_iterations=k)
        state = module.parametrizations.weight[0]
        u, v = state._u.numpy().copy(), state._v.numpy().copy()
        module.train()
        expected = module.weight.detach().numpy()
    got = spectral_normalize(a, u, v, n_power_iterations=k, order="vu" if legacy else "uv")
    np.testing.assert_allclose(got.weight, expected, rtol=3e-6, atol=1e-7)
