"""Complex matrices: the same calls, with the adjoint in place of the transpose."""

import ctypes
import math

import numpy as np
import pytest

import rsspecnorm
from processes import output_of
from rsspecnorm import (
    ConvergenceWarning,
    leading_triplet,
    leading_triplets,
    spectral_bounds,
    spectral_norm,
    spectral_norms,
)
from tolerances import ROUNDING, RTOL_NARROW, RTOL_WIDE

# Both direct routes, Lanczos on tall, square and wide matrices, and one of several blocks.
SHAPES = [
    (1, 1), (1, 6), (6, 1), (2, 2), (3, 3), (8, 8), (9, 8), (4, 9), (17, 40), (64, 64),
    (65, 65), (150, 90), (90, 150), (900, 350),
]  # fmt: skip
DTYPES = ["c8", "c16"]


def random(*shape, dtype="c16", seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def svd(a):
    return np.linalg.svd(np.asarray(a).astype(complex), compute_uv=False)


def unitary(n, seed=0):
    return np.linalg.qr(random(n, n, seed=seed))[0]


def rtol_of(dtype):
    return RTOL_NARROW if np.dtype(dtype).itemsize == 8 else RTOL_WIDE


def test_norm_of_matrix_done_by_hand():
    assert spectral_norm(np.array([[3 + 4j]])) == 5
    assert spectral_norm(np.array([[0, 2j], [-3j, 0]])) == pytest.approx(3, rel=ROUNDING)
    assert spectral_norm(np.array([[1, 1j], [1j, 1]])) == pytest.approx(math.sqrt(2), rel=ROUNDING)
    # Without the conjugate this one would have norm 0.
    assert spectral_norm(np.array([[1, 1j]])) == pytest.approx(math.sqrt(2), rel=ROUNDING)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_norm_and_bounds_of_shape_match_svd(shape, dtype):
    stack = random(4, *shape, dtype=dtype)
    sigma = svd(stack)[:, 0]
    assert np.allclose(spectral_norm(stack), sigma, rtol=rtol_of(dtype), atol=0)
    bounds = spectral_bounds(stack)
    assert np.all(bounds.lower <= sigma * (1 + ROUNDING))
    assert np.all(bounds.upper >= sigma * (1 - ROUNDING))
    assert np.all(bounds.upper <= 1.01 * bounds.lower)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_triplet_of_shape_has_fixed_phases(shape, dtype, order):
    a = np.array(random(*shape, dtype=dtype), order=order)
    top = leading_triplet(a, rtol=1e-13)
    assert top.u.dtype == top.v.dtype == np.complex128
    assert (top.u.shape, top.v.shape) == ((shape[0],), (shape[1],))
    inner = top.u.conj() @ a.astype(complex) @ top.v
    assert abs(inner - top.sigma) <= ROUNDING * 10 * top.sigma
    assert np.linalg.norm(a @ top.v - top.sigma * top.u) <= 1e-6 * top.sigma
    assert np.linalg.norm(a.conj().T @ top.u - top.sigma * top.v) <= 1e-6 * top.sigma
    assert abs(np.linalg.norm(top.u) - 1) <= ROUNDING
    assert abs(np.linalg.norm(top.v) - 1) <= ROUNDING
    exact = svd(a)
    if len(exact) > 1:
        assert top.second <= exact[1] * (1 + 1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_matrix_has_same_bits_alone_stacked_listed_and_in_any_layout(shape):
    stack = random(5, *shape)
    alone = [spectral_norm(a) for a in stack]
    assert np.array_equal(spectral_norm(stack), alone)
    mixed = [a for b in stack for a in (b, np.eye(3), random(2, 2))]
    assert np.array_equal(spectral_norms(mixed)[::3], alone)
    a = stack[0]
    wide = np.full((2 * shape[0], shape[1] + 3), np.nan + 1j)
    wide[::2, : shape[1]] = a
    backwards = np.ascontiguousarray(a[:, ::-1])[:, ::-1]
    layouts = [wide[::2, : shape[1]], a[::-1].copy()[::-1], backwards, a.astype(">c16")]
    offset = np.zeros(a.nbytes + 1, np.uint8)[1:].view("c16").reshape(a.shape)
    offset[...] = a
    read_only = a.copy()
    read_only.flags.writeable = False
    for same in [*layouts, offset, read_only, np.asfortranarray(a), a.tolist()]:
        assert spectral_norm(same) == alone[0]
        assert np.array_equal(leading_triplet(same).v, leading_triplet(a).v)


def test_list_of_real_and_complex_gives_each_its_vectors():
    matrices = [random(3, 5), np.eye(4), random(70, 80), np.ones((2, 3), "f4"), random(90, 66)]
    for a, top in zip(matrices, leading_triplets(matrices), strict=True):
        alone = leading_triplet(a)
        assert top.u.dtype == (complex if a.dtype.kind == "c" else float)
        assert np.array_equal(top.u, alone.u)
        assert np.array_equal(top.v, alone.v)
        assert np.linalg.norm(a @ top.v - top.sigma * top.u) <= 1e-5 * top.sigma


@pytest.mark.parametrize("shape", [(3, 2), (5, 5), (12, 20), (45, 30), (60, 60)])
def test_triplet_is_right_for_every_matrix_of_a_stack(shape):
    # A singular value stands twice in the doubled real form, which once in 200 matrices left the
    # vectors without a single number.
    rng = np.random.default_rng(list(shape))
    a = rng.standard_normal((1500, *shape)) + 1j * rng.standard_normal((1500, *shape))
    found = rsspecnorm.leading_triplet(a)
    image = np.einsum("kij,kj->ki", a, found.v)
    assert np.allclose(image, found.sigma[:, None] * found.u, rtol=0, atol=1e-9)


def test_norm_is_that_of_real_matrix_times_a_phase():
    for n in (3, 20, 140):
        a = np.random.default_rng(n).standard_normal((n, n))
        phased = a * np.exp(0.7j)
        assert spectral_norm(phased) == pytest.approx(spectral_norm(a), rel=RTOL_WIDE)
        assert spectral_norm(a.astype(complex)) == pytest.approx(spectral_norm(a), rel=RTOL_WIDE)
        assert spectral_norm(a + 1j * a) == pytest.approx(
            math.sqrt(2) * spectral_norm(a), rel=RTOL_WIDE
        )


@pytest.mark.parametrize("shape", [(2, 3), (20, 20), (100, 80), (80, 100)])
def test_degenerate_matrices(shape):
    assert spectral_norm(np.zeros(shape, complex)) == 0
    broken = np.zeros((4, *shape), complex)
    broken[0, 0, 1] = complex(0, np.nan)
    broken[1, -1, 0] = complex(1, -np.inf)
    broken[2, 0, 0], broken[2, 1, 1] = np.inf, complex(np.nan, 0)
    broken[3, 0, 0] = 1j
    expected = [np.nan, np.inf, np.nan, 1]
    assert np.allclose(spectral_norm(broken), expected, rtol=ROUNDING, equal_nan=True)
    top = leading_triplet(broken)
    assert np.allclose(top.sigma, expected, rtol=ROUNDING, equal_nan=True)
    assert np.isnan(top.v[0]).all()
    assert np.linalg.norm(top.v[3]) == pytest.approx(1)
    with pytest.raises(ValueError, match=r"a\[0\] has a nan"):
        spectral_norm(broken, check_finite=True)
    zero = leading_triplet(np.zeros(shape, complex))
    assert np.linalg.norm(zero.u) == np.linalg.norm(zero.v) == 1


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_matrix_has_norm_zero(shape):
    top = leading_triplet(np.empty(shape, complex))
    assert top.sigma == 0
    assert (top.u.shape, top.v.shape) == ((shape[0],), (shape[1],))
    assert top.u.dtype == complex
    assert spectral_norm(np.empty((4, *shape), "c8")).shape == (4,)


@pytest.mark.parametrize("shape", [(3, 3), (20, 9), (100, 80), (80, 100)])
@pytest.mark.parametrize("exponent", [-900, -4, 3, 900])
def test_norm_scales_exactly_with_powers_of_two(shape, exponent):
    a = random(*shape)
    assert spectral_norm(a * 2.0**exponent) == spectral_norm(a) * 2.0**exponent


def test_norm_at_the_ends_of_the_range():
    assert spectral_norm(np.full((4, 4), complex(1e308, 1e308))) == np.inf
    assert spectral_norm(np.full((100, 100), complex(1e308, 1e308))) == np.inf
    tiny = 5e-324
    assert spectral_norm(np.full((3, 3), tiny * 1j)) == 3 * tiny
    assert spectral_norm(np.full((100, 100), tiny * 1j)) == 100 * tiny
    small = random(70, 90, dtype="c8") * np.float32(1e-25)
    assert spectral_norm(small) == pytest.approx(svd(small)[0], rel=RTOL_NARROW)


HARD = {
    "cluster": np.r_[np.ones(5), np.full(115, 0.9)],
    "close pair": np.r_[1, 1 - 1e-6, np.full(118, 0.5)],
    "flat": np.ones(120),
    "graded": 0.5 ** np.arange(120.0),
    "rank one": np.r_[1.0, np.zeros(119)],
}


@pytest.mark.parametrize("shape", [(140, 120), (120, 140), (120, 120)])
@pytest.mark.parametrize("name", HARD)
def test_hard_spectrum_keeps_norm_and_interval(name, shape):
    u, v = unitary(shape[0], 1)[:, :120], unitary(shape[1], 2)[:, :120]
    a = (u * HARD[name]) @ v.conj().T
    assert spectral_norm(a) == pytest.approx(1, rel=RTOL_WIDE)
    bounds = spectral_bounds(a, width=1e-4)
    assert bounds.lower <= 1 + ROUNDING
    assert 1 - ROUNDING <= bounds.upper <= 1.0001 * bounds.lower


# A start that knows nothing, and one orthogonal to the top vector.
SPIKE = np.diag(np.r_[1.0, np.linspace(0.05, 0.01, 149)]).astype(complex)
N_SEEDS = 400


@pytest.mark.filterwarnings("ignore::rsspecnorm.ConvergenceWarning")
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_upper_bound_of_lone_top_value_fails_as_often_as_stated(p):
    options = {"width": 1e-9, "maxiter": 3, "failure_prob": p}
    uppers = [spectral_bounds(SPIKE, rng=seed, **options).upper for seed in range(N_SEEDS)]
    count = np.sum(np.array(uppers) < 1 - ROUNDING)
    assert abs(count - N_SEEDS * p) <= 3 * np.sqrt(N_SEEDS * p * (1 - p))


@pytest.mark.filterwarnings("ignore::rsspecnorm.ConvergenceWarning")
@pytest.mark.parametrize("maxiter", [1, 2, 5])
def test_upper_bound_with_adversarial_start_fails_no_more_often_than_stated(maxiter):
    p, v0 = 0.1, np.eye(150)[1] * 1j
    options = {"width": 1e-9, "maxiter": maxiter, "failure_prob": p, "v0": v0}
    uppers = [spectral_bounds(SPIKE, rng=seed, **options).upper for seed in range(N_SEEDS)]
    count = np.sum(np.array(uppers) < 1 - ROUNDING)
    assert count <= N_SEEDS * p + 3 * np.sqrt(N_SEEDS * p * (1 - p))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(160, 110), (110, 160)])
def test_warm_start_at_top_vector_is_nearer_after_few_passes(shape, order):
    spectrum = np.linspace(1, 0.1, 110)
    u, v = unitary(shape[0], 1)[:, :110], unitary(shape[1], 2)[:, :110]
    a = np.array((u * spectrum) @ v.conj().T, order=order)
    with pytest.warns(ConvergenceWarning):
        cold = leading_triplet(a, maxiter=3)
    with pytest.warns(ConvergenceWarning):
        warm = leading_triplet(a, v0=v[:, 0] * 3j, maxiter=3)
    assert 1 - warm.sigma < 0.2 * (1 - cold.sigma)


def test_start_of_real_numbers_serves_a_complex_matrix():
    a = random(100, 80)
    v0 = np.ones(80)
    assert np.array_equal(leading_triplet(a, v0=v0).v, leading_triplet(a, v0=v0 + 0j).v)
    tops = leading_triplets([a, np.eye(150)], v0=[v0 + 0j, np.ones(150)])
    assert np.array_equal(tops[0].v, leading_triplet(a, v0=v0).v)
    with pytest.raises(ValueError, match=r"v0 must have shape \(80,\)"):
        leading_triplet(a, v0=np.ones(160))


def test_results_have_same_bits_for_any_threads_and_tier():
    a = random(900, 350)
    results = {leading_triplet(a, num_threads=n).v.tobytes() for n in (1, 2, 5)}
    assert len(results) == 1
    code = """
import numpy as np, rsspecnorm
rng = np.random.default_rng(0)
for shape in [(1, 1), (3, 5), (8, 8), (30, 20), (66, 70), (257, 130)]:
    for dtype in ["c8", "c16"]:
        a = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
        top = rsspecnorm.leading_triplet(a)
        print(*(x.hex() for x in (top.sigma, top.second, top.lower, top.upper, top.residual)))
        print(top.u.tobytes().hex(), top.v.tobytes().hex())
"""
    levels = rsspecnorm.build_info()["levels_available"]
    assert len({output_of(code, RSSPECNORM_LEVEL=level) for level in levels}) == 1


def test_input_is_neither_changed_nor_kept():
    for order in "CF":
        a = np.array(random(70, 80), order=order)
        before, references = a.copy(), ctypes.c_long.from_address(id(a)).value
        leading_triplet(a)
        assert np.array_equal(a, before)
        assert ctypes.c_long.from_address(id(a)).value == references
