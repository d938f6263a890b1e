"""Small matrices, which are solved without an iteration: values, vectors, bits, oddities."""

import math
from fractions import Fraction

import numpy as np
import pytest

from matrices import naive_norm, naive_norms, random, with_spectrum
from rsspecnorm import leading_triplet, spectral_bounds, spectral_norm, spectral_norms
from tolerances import ROUNDING

# Around the limits of the routes: closed form, eight at a time, one at a time.
SHAPES = [
    (1, 1), (1, 9), (2, 1), (2, 2), (2, 5), (600, 2), (3, 3), (4, 7), (8, 8), (9, 8), (16, 16),
    (33, 15), (17, 16), (16, 17), (31, 32), (64, 64), (300, 5), (5, 300), (96, 50), (96, 96),
]  # fmt: skip
DTYPES = ["f2", "f4", "f8"]


def stack_of(shape, dtype="f8", count=11, seed=0):
    return np.random.default_rng(seed).standard_normal((count, *shape)).astype(dtype)


def ulps(value, expected):
    return float(np.max(np.abs(np.asarray(value) - expected) / np.spacing(expected)))


def exact_two_by_two(a):
    """Sigma of a 2 x 2 matrix from exact rational numbers, rounded once."""
    p, q, r, s = (Fraction(float(x)) for x in a.ravel())
    half_trace = (p * p + q * q + r * r + s * s) / 2
    square = half_trace**2 - (p * s - q * r) ** 2
    scale = 10**80
    root = Fraction(math.isqrt(int(square * scale**2)), scale)
    return math.isqrt(int((half_trace + root) * scale**2)) / scale


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_stack_of_shape_equals_svd_to_a_few_roundings(shape, dtype):
    stack = stack_of(shape, dtype)
    assert ulps(spectral_norm(stack), naive_norms(stack)) <= 4 * np.sqrt(max(shape)) + 4


@pytest.mark.parametrize("seed", range(40))
def test_two_by_two_is_right_to_two_roundings(seed):
    a = random(2, 2, seed)
    assert ulps(spectral_norm(a), exact_two_by_two(a)) <= 2


@pytest.mark.parametrize("shape", SHAPES)
def test_matrix_has_same_bits_alone_stacked_listed_and_among_others(shape):
    stack = stack_of(shape)
    alone = [spectral_norm(a) for a in stack]
    assert np.array_equal(spectral_norm(stack), alone)
    assert np.array_equal(spectral_norm(stack[3:]), alone[3:])
    others = [random(2, 2), random(3, 3).astype("f4"), np.zeros(shape), random(9, 8)]
    mixed = [a for k, a in enumerate(stack) for a in (a, others[k % len(others)])]
    assert np.array_equal(spectral_norms(mixed)[::2], alone)
    assert np.array_equal(leading_triplet(stack).sigma, alone)
    assert np.array_equal([spectral_bounds(a).lower for a in stack], spectral_bounds(stack).lower)


@pytest.mark.parametrize("shape", SHAPES)
def test_matrix_has_same_bits_in_any_layout(shape):
    a = random(*shape)
    wide = np.full((2 * shape[0], shape[1] + 3), np.nan)
    wide[::2, : shape[1]] = a
    sigma = spectral_norm(a)
    for same in [
        wide[::2, : shape[1]],
        a[::-1].copy()[::-1],
        a.astype(">f8"),
        np.asfortranarray(a),
    ]:
        assert spectral_norm(same) == sigma
    assert spectral_norm(a.T) == pytest.approx(sigma, rel=ROUNDING)


@pytest.mark.parametrize("shape", SHAPES)
def test_triplet_of_shape_has_small_residual_and_second(shape):
    a = random(*shape)
    top, exact = leading_triplet(a), np.linalg.svd(a, compute_uv=False)
    assert top.method == "direct"
    assert top.converged
    assert top.residual <= ROUNDING
    assert np.linalg.norm(a @ top.v - top.sigma * top.u) <= ROUNDING * top.sigma
    assert np.linalg.norm(a.T @ top.u - top.sigma * top.v) <= ROUNDING * top.sigma
    assert abs(top.u @ top.u - 1) <= ROUNDING
    assert abs(top.v @ top.v - 1) <= ROUNDING
    assert top.lower <= exact[0] <= top.upper <= (1 + ROUNDING) * top.lower
    if len(exact) > 1:
        assert top.second == pytest.approx(exact[1], abs=1e-7 * exact[0])


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (16, 16), (17, 17), (40, 90)])
@pytest.mark.parametrize("exponent", [-1060, -600, -3, 5, 600, 1010])
def test_norm_scales_exactly_over_the_range_of_float64(shape, exponent):
    a = np.round(random(*shape) * 16)  # few digits, so that subnormal multiples are exact
    expected = math.ldexp(float(spectral_norm(a)), exponent)
    assert spectral_norm(np.ldexp(a, exponent)) == expected


def test_norm_beyond_float64_is_inf():
    for n in (2, 5, 20):
        assert spectral_norm(np.full((n, n), 1.7e308)) == np.inf
    assert spectral_norm(np.full((2, 2), 8e307)) == 1.6e308


@pytest.mark.parametrize("n", [2, 3, 5, 8, 12, 20, 40])
@pytest.mark.parametrize(
    "spectrum",
    [
        np.ones,
        lambda n: np.r_[1.0, np.full(n - 1, 1 - 1e-6)],
        lambda n: np.r_[1.0, 1.0, np.full(n - 2, 0.5)][:n],
        lambda n: 10.0 ** -np.arange(n),
        lambda n: np.r_[1.0, np.zeros(n - 1)],
        lambda n: 1 - 1e-9 * np.arange(n),
    ],
)
def test_hard_spectrum_keeps_its_norm(n, spectrum):
    a = with_spectrum(spectrum(n), n + 3, n, seed=n)
    assert ulps(spectral_norm(a), naive_norm(a)) <= 4 * np.sqrt(n + 3) + 4
    assert leading_triplet(a).residual <= ROUNDING


@pytest.mark.parametrize("shape", [(1, 4), (2, 2), (3, 3), (7, 5), (16, 16), (30, 20)])
def test_broken_matrices_of_a_stack_leave_the_others_alone(shape):
    stack = stack_of(shape, count=20)
    expected = spectral_norm(stack)
    stack[3, 0, 0], stack[9, -1, -1], stack[10, 0, -1] = np.nan, np.inf, -np.inf
    stack[10, 0, 0] = np.nan
    stack[17] = 0
    expected[[3, 9, 10, 17]] = np.nan, np.inf, np.nan, 0
    assert np.array_equal(spectral_norm(stack), expected, equal_nan=True)
    top = leading_triplet(stack)
    assert np.array_equal(top.sigma, expected, equal_nan=True)
    assert list(np.flatnonzero(top.method == "trivial")) == [3, 9, 10, 17]
    for i in (0, 8, 18):
        assert np.array_equal(top.v[i], leading_triplet(stack[i]).v)


@pytest.mark.parametrize("shape", [(3, 3), (20, 20)])
def test_check_finite_names_the_first_broken_matrix(shape):
    stack = stack_of(shape, count=200)
    stack[[150, 77, 190], 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"a\[77\] has a nan or an inf"):
        spectral_norm(stack, check_finite=True)
    mixed = [np.eye(4), *stack, np.eye(5)]
    mixed.insert(20, np.full((2, 2), np.inf))
    with pytest.raises(ValueError, match=r"arrays\[20\] has a nan or an inf"):
        spectral_norms(mixed, check_finite=True)


def test_graded_matrix_over_three_hundred_orders_keeps_its_norm():
    for n in (5, 16, 30, 60):
        a = np.diag(10.0 ** -np.linspace(0, 300, n))
        a[0, -1] = 1.0
        assert ulps(spectral_norm(a), np.sqrt(2)) <= 4
        assert ulps(spectral_norm(a[::-1] * 1e300), np.sqrt(2) * 1e300) <= 4


def test_reflectors_of_tiny_columns_stay_orthogonal():
    # The squares of these entries are subnormal, where a reflector would lose its length.
    for n in (4, 9, 20):
        a = random(n, n) * 2e-79
        a[0] = 0
        a[:, 0] = 0
        a[0, 0] = 1
        a[1:, 1:] += np.eye(n - 1)
        assert ulps(spectral_norm(a), naive_norm(a)) <= 4 * np.sqrt(n)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("shape", [(1, 4), (2, 2), (3, 3), (5, 3), (3, 7), (8, 8)])
def test_stack_of_any_strides_has_the_bits_of_its_matrices(shape, dtype):
    rng = np.random.default_rng(5)
    whole = rng.standard_normal((6, 7, 2 * shape[0], 2 * shape[1]))
    whole = (whole + (1j * whole[::-1] if dtype[0] == "c" else 0)).astype(dtype)
    rows, columns = shape
    packed = whole[:, :, :rows, :columns].copy()
    turned = np.swapaxes(np.swapaxes(packed, -1, -2).copy(), -1, -2)
    stacks = [
        packed, packed[::-1], packed[:, ::2], packed[::2, ::-3], packed[2:, 1:], packed[:1, :1],
        np.swapaxes(packed, 0, 1), turned, turned[:, ::-2], whole[:, :, :rows, :columns],
        whole[:, :, ::-2, :columns], np.broadcast_to(packed[3, 4], (9, *shape)),
        np.broadcast_to(packed[:, None, 2], (6, 3, *shape)),
    ]  # fmt: skip
    for stack in stacks:
        alone = [spectral_norm(a.copy()) for a in stack.reshape(-1, *shape)]
        assert np.array_equal(spectral_norm(stack).ravel(), alone)
        assert np.array_equal(leading_triplet(stack).sigma.ravel(), alone)
        assert np.array_equal(spectral_norms(list(stack.reshape(-1, *shape))), alone)


def test_odd_scales_in_one_stack_keep_the_bits_of_each():
    scales = np.ldexp(1.0, [0, 499, 501, -499, -501, 900, -900, 1000, -1060, 3, -5])
    plain = np.round(stack_of((3, 3)) * 16)
    stack = plain * scales[:, None, None]
    alone = [spectral_norm(a) for a in stack]
    assert np.array_equal(spectral_norm(stack), alone)
    assert np.array_equal(alone, spectral_norm(plain) * scales)


def test_list_of_many_views_of_one_stack_is_no_trap():
    stack = np.random.default_rng(2).standard_normal((20_000, 3, 3))
    assert np.array_equal(spectral_norms(list(stack)), spectral_norm(stack))
