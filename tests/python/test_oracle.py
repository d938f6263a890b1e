"""Every result against a float64 SVD or a closed form."""

import numpy as np
import pytest

from matrices import CLOSED_FORMS, FAMILIES, naive_norm, naive_norms, random, with_spectrum
from rsspecnorm import leading_triplet, leading_triplets, spectral_norm, spectral_norms
from tolerances import ROUNDING, RTOL_NARROW, RTOL_WIDE, rtol_of

DTYPES = ["float16", "bfloat16", "float32", "float64"]


def in_dtype(a, dtype):
    if dtype == "bfloat16":
        return a.astype(pytest.importorskip("ml_dtypes").bfloat16)
    return a.astype(dtype)


def test_norm_of_two_by_two_matches_hand():
    assert spectral_norm([[3.0, 0.0], [4.0, 5.0]]) == pytest.approx(3 * np.sqrt(5), rel=ROUNDING)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_norm_of_family_matches_svd(family, dtype):
    a = in_dtype(FAMILIES[family](), dtype)
    sigma = spectral_norm(a)
    assert isinstance(sigma, np.float64)
    assert sigma == pytest.approx(naive_norm(a), rel=rtol_of(a.dtype))


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_norm_of_known_matrix_matches_closed_form(name):
    a, expected = CLOSED_FORMS[name]
    assert spectral_norm(a) == pytest.approx(expected, rel=RTOL_WIDE)
    assert spectral_norm(a.T) == pytest.approx(expected, rel=RTOL_WIDE)


@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-6, 1e-9])
def test_norm_at_requested_rtol_keeps_it(rtol):
    a = FAMILIES["slowly-graded"]()
    assert spectral_norm(a, rtol=rtol) == pytest.approx(naive_norm(a), rel=rtol)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int32", "int64", "uint64"])
def test_norm_of_integers_is_that_of_float64(dtype):
    a = (np.random.default_rng(0).integers(0, 2, (20, 30)) * 3).astype(dtype)
    assert spectral_norm(a) == spectral_norm(a.astype(np.float64))
    assert spectral_norm(a) == pytest.approx(naive_norm(a), rel=RTOL_WIDE)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (5, 0, 3), (0, 4, 4), (2, 3, 0, 0)])
def test_norm_of_empty_is_zero(shape):
    sigma = spectral_norm(np.empty(shape))
    assert sigma.shape == shape[:-2]
    assert np.all(sigma == 0)


@pytest.mark.parametrize("batch", [(1,), (6,), (2, 3), (2, 1, 3), (2, 1, 2, 1, 2)])
def test_norm_of_stack_has_batch_shape(batch):
    stack = np.random.default_rng(3).standard_normal((*batch, 8, 5))
    sigma = spectral_norm(stack)
    assert sigma.dtype == np.float64
    assert sigma.shape == batch
    np.testing.assert_allclose(sigma, naive_norms(stack), rtol=RTOL_WIDE)


def test_norms_of_mixed_sequence_match_svd():
    arrays = [in_dtype(make(), dtype) for make in FAMILIES.values() for dtype in DTYPES]
    sigma = spectral_norms(arrays)
    assert sigma.shape == (len(arrays),)
    for got, a in zip(sigma, arrays, strict=True):
        assert got == pytest.approx(naive_norm(a), rel=rtol_of(a.dtype))


def test_norms_of_no_matrices_is_empty():
    assert spectral_norms([]).shape == (0,)
    assert leading_triplets([]) == []


def test_norms_of_generator_match_list():
    arrays = [random(5, 4), random(3, 9)]
    assert np.array_equal(spectral_norms(a for a in arrays), spectral_norms(arrays))


@pytest.mark.parametrize("family", FAMILIES)
def test_triplet_of_family_solves_both_equations(family):
    a = FAMILIES[family]()
    top = leading_triplet(a)
    assert top.converged
    assert np.linalg.norm(top.u) == pytest.approx(1, abs=ROUNDING)
    assert np.linalg.norm(top.v) == pytest.approx(1, abs=ROUNDING)
    left, right = a @ top.v - top.sigma * top.u, a.T @ top.u - top.sigma * top.v
    residual = np.hypot(np.linalg.norm(left), np.linalg.norm(right)) / top.sigma
    assert top.residual == pytest.approx(residual, rel=1e-2, abs=ROUNDING)
    # sigma errs by the square of the residual over the gap, so this is loose by design.
    assert residual <= 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_triplet_of_family_brackets_sigma(family):
    a = FAMILIES[family]()
    top, exact = leading_triplet(a), np.linalg.svd(a, compute_uv=False)
    assert top.lower <= exact[0] * (1 + ROUNDING)
    assert top.upper >= exact[0] * (1 - ROUNDING)
    assert top.lower <= top.sigma <= top.upper
    if len(exact) > 1 and not np.isnan(top.second):
        # A Ritz value of the squared matrix is not known better than to the root of rounding.
        assert top.second <= exact[1] * (1 + 1e-9) + 1e-7 * exact[0]


def test_triplet_of_gapped_matrix_finds_second():
    top = leading_triplet(with_spectrum([5.0, 2.0, 1e-3], 240, 230))
    assert top.second == pytest.approx(2, rel=1e-3)
    assert top.n_passes >= 2
    assert top.method == "lanczos"


def test_triplet_of_small_matrix_is_direct():
    top = leading_triplet(with_spectrum([5.0, 2.0, 1e-3], 40, 30))
    assert top.sigma == pytest.approx(5, rel=1e-14)
    assert top.second == pytest.approx(2, rel=1e-13)
    assert top.n_passes == 2
    assert top.method == "direct"


def test_triplet_of_stack_has_batch_shapes():
    stack = np.random.default_rng(4).standard_normal((2, 3, 6, 4))
    top = leading_triplet(stack)
    assert top.u.shape == (2, 3, 6)
    assert top.v.shape == (2, 3, 4)
    for name in top._fields:
        if name not in {"u", "v"}:
            assert getattr(top, name).shape == (2, 3), name
    products = np.einsum("...ij,...j->...i", stack, top.v)
    np.testing.assert_allclose(products, top.sigma[..., None] * top.u, atol=1e-3)


def test_triplets_of_sequence_are_those_of_each():
    arrays = [random(6, 4), random(3, 9).astype(np.float32), np.zeros((0, 2))]
    tops = leading_triplets(arrays)
    assert len(tops) == len(arrays)
    for top, a in zip(tops, arrays, strict=True):
        for got, alone in zip(top, leading_triplet(a), strict=True):
            assert np.array_equal(got, alone, equal_nan=not isinstance(got, str))


def test_norm_default_rtol_depends_on_width():
    # Close singular values, so that a looser tolerance stops at another number.
    a = FAMILIES["slowly-graded"]()
    wide, narrow = leading_triplet(a), leading_triplet(a, rtol=RTOL_NARROW)
    assert narrow.n_passes <= wide.n_passes
    assert spectral_norm(a) == leading_triplet(a, rtol=RTOL_WIDE).sigma
    single = a.astype(np.float32)
    assert spectral_norm(single) == leading_triplet(single, rtol=RTOL_NARROW).sigma
