"""The norm to fifty digits, for tests that ask about the last bit."""

import mpmath
import numpy as np

DIGITS = 50


def precise_norm(a):
    """Largest singular value of `a` as float64 or complex128, an `mpmath.mpf` of fifty digits."""
    a = np.asarray(a)
    wide, svd = (complex, mpmath.svd_c) if np.iscomplexobj(a) else (np.float64, mpmath.svd_r)
    a = a.astype(wide)
    if not a.any():
        return mpmath.mpf(0)
    a = a if a.shape[0] >= a.shape[1] else a.T
    with mpmath.workdps(DIGITS + 10):
        return max(svd(mpmath.matrix(a.tolist()), compute_uv=False))


def holds(bounds, sigma):
    """Whether an interval holds a number of fifty digits, compared without rounding."""
    with mpmath.workdps(DIGITS):
        # What fifty digits leave open, far less than the distance of two doubles.
        slack = sigma * mpmath.mpf(10) ** (5 - DIGITS)
        return bool(
            mpmath.mpf(float(bounds.lower)) <= sigma + slack
            and sigma - slack <= mpmath.mpf(float(bounds.upper))
        )
