"""What holds for every matrix."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from matrices import naive_norm
from rsspecnorm import leading_triplet, spectral_bounds, spectral_norm
from tolerances import ROUNDING, RTOL_NARROW, RTOL_WIDE

SLACK = 1 + 2 * RTOL_WIDE

# Far enough from the ends of the range that no operation of the test itself leaves it.
ENTRIES = st.one_of(
    st.just(0.0),
    st.floats(1e-100, 1e100),
    st.floats(-1e100, -1e-100),
    st.floats(-8, 8).map(lambda x: x if abs(x) > 1e-100 else 0.0),
    st.integers(-3, 3).map(float),
)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
MATRICES = hnp.arrays(np.float64, SHAPES, elements=ENTRIES)

given_matrix = given(a=MATRICES)
quick = settings(deadline=None, max_examples=150)


@quick
@given_matrix
def test_norm_matches_svd(a):
    np.testing.assert_allclose(spectral_norm(a), naive_norm(a), rtol=RTOL_WIDE)


@quick
@given(
    a=hnp.arrays(
        np.float32, SHAPES, elements=st.floats(width=32, allow_infinity=False, allow_nan=False)
    )
)
def test_norm_of_any_finite_float32_matches_svd(a):
    np.testing.assert_allclose(spectral_norm(a), naive_norm(a), rtol=RTOL_NARROW)


@quick
@given(a=hnp.arrays(np.float64, SHAPES, elements=st.floats()))
def test_norm_of_any_bits_follows_the_policy(a):
    sigma = spectral_norm(a)
    if np.isnan(a).any():
        assert np.isnan(sigma)
    elif np.isinf(a).any():
        assert sigma == np.inf
    else:
        assert sigma >= np.abs(a).max() / SLACK


@quick
@given(a=MATRICES, exponent=st.integers(-300, 300))
def test_norm_is_homogeneous_to_the_bit(a, exponent):
    assert spectral_norm(np.ldexp(a, exponent)) == np.ldexp(spectral_norm(a), exponent)


@quick
@given_matrix
def test_norm_of_negated_is_same(a):
    np.testing.assert_allclose(spectral_norm(-a), spectral_norm(a), rtol=2 * RTOL_WIDE)


@quick
@given_matrix
def test_norm_of_transposed_is_same(a):
    np.testing.assert_allclose(spectral_norm(a.T.copy()), spectral_norm(a), rtol=2 * RTOL_WIDE)


@quick
@given(a=MATRICES, seed=st.integers(0, 2**32))
def test_norm_of_permuted_is_same(a, seed):
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(rng.permutation(a, axis=0), axis=1)
    np.testing.assert_allclose(spectral_norm(shuffled), spectral_norm(a), rtol=2 * RTOL_WIDE)


@quick
@given(a=MATRICES, row=ENTRIES)
def test_norm_with_appended_row_does_not_fall(a, row):
    grown = np.vstack([a, np.full((1, a.shape[1]), row)])
    assert spectral_norm(grown) * SLACK >= spectral_norm(a)


@quick
@given_matrix
def test_norm_lies_between_simpler_norms(a):
    sigma, largest = spectral_norm(a), np.abs(a).max() or 1.0
    scaled = a / largest  # squares of the entries may leave the range
    below = max(np.linalg.norm(scaled, axis=0).max(), np.linalg.norm(scaled, axis=1).max())
    above = min(
        np.linalg.norm(scaled),
        np.sqrt(np.linalg.norm(scaled, 1) * np.linalg.norm(scaled, np.inf)),
    )
    assert below <= sigma / largest * SLACK
    assert sigma / largest <= above * SLACK


@quick
@given_matrix
def test_bounds_hold_svd(a):
    bounds, sigma = spectral_bounds(a), naive_norm(a)
    assert bounds.lower <= sigma * (1 + 10 * ROUNDING)
    assert bounds.upper >= sigma * (1 - 10 * ROUNDING)


@quick
@given_matrix
def test_triplet_vectors_are_unit(a):
    top = leading_triplet(a)
    assert abs(np.linalg.norm(top.u) - 1) <= ROUNDING
    assert abs(np.linalg.norm(top.v) - 1) <= ROUNDING
    assert 0 <= top.lower <= top.sigma <= top.upper
