"""The gallery, in every dtype its entries fit and at both ends of the tolerance."""

import ml_dtypes
import mpmath
import numpy as np
import pytest

from gallery import DTYPES, GALLERY
from precise import holds, precise_norm
from rsspecnorm import leading_triplet, spectral_bounds, spectral_norm
from tolerances import rtol_of

SMALL = [name for name, known in GALLERY.items() if 0 < known.a.size <= 200]

FITTING = [
    (name, dtype)
    for name, known in GALLERY.items()
    for dtype in DTYPES
    if np.array_equal(known.a.astype(np.dtype(dtype)).astype(np.float64), known.a)
]


def ulps(value, exact):
    """Distance of a double from the exact number, in units of its last place."""
    return float(abs(mpmath.mpf(float(value)) - exact) / float(np.spacing(float(exact) or 1.0)))


@pytest.mark.parametrize("name", SMALL)
def test_formula_of_gallery_is_the_norm_to_forty_digits(name):
    known = GALLERY[name]
    exact, formula = precise_norm(known.a), known.sigma()
    assert abs(exact - formula) <= formula * mpmath.mpf(10) ** -40


@pytest.mark.parametrize(("name", "dtype"), FITTING)
def test_norm_of_gallery_in_dtype_is_its_formula(name, dtype):
    a, exact = GALLERY[name].a.astype(np.dtype(dtype)), float(GALLERY[name].sigma())
    for oriented in (a, a.T, np.asfortranarray(a)):
        assert spectral_norm(oriented) == pytest.approx(exact, rel=rtol_of(a.dtype), abs=0)


@pytest.mark.parametrize("name", GALLERY)
def test_norm_of_gallery_is_right_to_few_last_places(name):
    a, exact = GALLERY[name].a, GALLERY[name].sigma()
    allowed = 4 * np.sqrt(max(a.shape))
    assert ulps(spectral_norm(a, rtol=1e-14), exact) <= allowed
    assert ulps(leading_triplet(a, rtol=1e-14).sigma, exact) <= allowed


@pytest.mark.parametrize("scale", [-1000, -300, -30, 30, 300, 990])
@pytest.mark.parametrize("name", GALLERY)
def test_norm_of_scaled_gallery_is_scaled_to_the_bit(name, scale):
    known = GALLERY[name]
    with np.errstate(under="ignore"):
        a = np.ldexp(known.a, scale)
    if np.array_equal(np.ldexp(a, -scale), known.a):  # nothing left the range
        assert spectral_norm(a) == np.ldexp(spectral_norm(known.a), scale)


@pytest.mark.parametrize("name", GALLERY)
def test_rigorous_bounds_of_gallery_hold_fifty_digits(name):
    a, exact = GALLERY[name].a, GALLERY[name].sigma()
    for width in (1e-2, 1e-9):
        bounds = spectral_bounds(a, kind="rigorous", width=width)
        assert holds(bounds, exact)
        assert bounds.converged


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_entry_of_gallery_that_does_not_fit_is_another_matrix(dtype):
    # The norm is that of the values stored, not of those meant.
    a = (1 / (np.add.outer(np.arange(8.0), np.arange(8.0)) + 1)).astype(dtype)
    exact = float(precise_norm(a))
    assert spectral_norm(a, rtol=1e-13) == pytest.approx(exact, rel=1e-13)
