"""The sixteen matrix types of LAPACK's own test of its SVD, and their scales (dchkbd.f).

Types 1 to 7 are diagonal, 8 to 12 have these spectra and random singular vectors, 13 to 15 are
random, 16 is bidiagonal with entries distributed log-uniformly on [ulp**2, ulp**-2]. The oracle is
computed to fifty digits from the array itself: the values as stored are what counts.
"""

import ml_dtypes
import mpmath
import numpy as np
import pytest

from matrices import orthonormal
from precise import holds, precise_norm
from rsspecnorm import leading_triplet, spectral_bounds, spectral_norm
from tolerances import rtol_of

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
SHAPES = [(12, 12), (14, 9), (9, 14)]


def even(k, ulp):
    return np.linspace(1, ulp, k)


def geometric(k, ulp):
    return ulp ** (np.arange(k) / (k - 1))


def clustered(k, ulp):
    return np.r_[1.0, np.full(k - 1, ulp)]


def diagonal(shape, sigmas, rng):
    a = np.zeros(shape)
    np.fill_diagonal(a, sigmas * rng.choice([-1.0, 1.0], len(sigmas)))
    return a


def rotated(shape, sigmas, rng):
    k, seed = min(shape), int(rng.integers(2**31))
    return (orthonormal(shape[0], k, seed) * sigmas) @ orthonormal(shape[1], k, seed + 1).T


def bidiagonal(shape, ulp, rng):
    def entries(n):
        return np.exp(rng.uniform(-2, 2, n) * np.log(ulp)) * rng.choice([-1.0, 1.0], n)

    a = np.zeros(shape)
    k = min(shape)
    a[np.arange(k), np.arange(k)] = entries(k)
    a[np.arange(k - 1), np.arange(1, k)] = entries(k - 1)
    return a


def lapack_matrix(kind, shape, dtype, seed=0):
    """Matrix of a type, by the constants of its dtype."""
    info = ml_dtypes.finfo(dtype)
    ulp, small = float(info.eps), float(np.sqrt(float(info.tiny)))
    large, k = 1 / small, min(shape)
    rng = np.random.default_rng([seed, kind, *shape])
    unit = rng.uniform(-1, 1, shape)
    spectra = {
        4: even(k, ulp),
        5: geometric(k, ulp),
        3: clustered(k, ulp),
        8: even(k, ulp),
        9: geometric(k, ulp),
        10: clustered(k, ulp),
    }
    match kind:
        case 1:
            a = np.zeros(shape)
        case 2:
            a = np.eye(*shape)
        case 3 | 4 | 5:
            a = diagonal(shape, spectra[kind], rng)
        case 6 | 7:
            a = diagonal(shape, geometric(k, ulp), rng) * (large if kind == 6 else small)
        case 8 | 9 | 10:
            a = rotated(shape, spectra[kind], rng)
        case 11 | 12:
            a = rotated(shape, geometric(k, ulp), rng) * (large if kind == 11 else small)
        case 13 | 14 | 15:
            a = unit * {13: 1.0, 14: large, 15: small}[kind]
        case 16:
            a = bidiagonal(shape, ulp, rng)
    info_max = float(info.max)
    return np.clip(a, -info_max, info_max).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("kind", range(1, 17))
def test_lapack_type_is_right_in_value_vectors_and_bounds(kind, dtype, shape):
    a = lapack_matrix(kind, shape, dtype)
    exact = precise_norm(a)
    assert spectral_norm(a) == pytest.approx(float(exact), rel=rtol_of(a.dtype), abs=0)
    sharp = spectral_norm(a, rtol=1e-14)
    allowed = 4 * np.sqrt(max(shape)) * np.spacing(float(exact))
    assert abs(mpmath.mpf(float(sharp)) - exact) <= allowed
    for width in (1e-2, 1e-9):
        assert holds(spectral_bounds(a, kind="rigorous", width=width), exact)
    top = leading_triplet(a)
    if exact > 0:
        wide = a.astype(np.float64) / float(exact)
        # A residual of r leaves an error of about r squared in sigma.
        assert np.linalg.norm(wide @ top.v - top.u) <= 1e-3
        assert np.linalg.norm(wide.T @ top.u - top.v) <= 1e-3


@pytest.mark.parametrize(
    ("narrow", "dtype"), [(np.float32, np.complex64), (np.float64, np.complex128)]
)
@pytest.mark.parametrize("kind", range(1, 17))
def test_complex_lapack_type_is_right_in_value_and_bounds(kind, narrow, dtype):
    shape = (10, 7)
    phases = np.exp(1j * np.arange(70.0).reshape(shape))
    a = (lapack_matrix(kind, shape, narrow) * phases).astype(dtype)
    exact = precise_norm(a)
    assert spectral_norm(a) == pytest.approx(float(exact), rel=rtol_of(np.dtype(narrow)), abs=0)
    sharp = spectral_norm(a, rtol=1e-14)
    allowed = 8 * np.sqrt(max(shape)) * np.spacing(float(exact))
    assert abs(mpmath.mpf(float(sharp)) - exact) <= allowed
    for width in (1e-2, 1e-9):
        assert holds(spectral_bounds(a, kind="rigorous", width=width), exact)


@pytest.mark.parametrize("kind", range(1, 17))
def test_large_lapack_type_agrees_with_its_rigorous_bounds(kind):
    a = lapack_matrix(kind, (200, 140), np.float64, seed=1)
    bounds = spectral_bounds(a, kind="rigorous", width=1e-9)
    sigma = spectral_norm(a)
    assert bounds.converged
    assert bounds.lower * (1 - 1e-10) <= sigma <= bounds.upper
