"""The tolerances of all tests, in one place."""

RTOL_NARROW = 1e-6
"""Promised relative error of sigma for 32-bit and narrower input."""

RTOL_WIDE = 1e-10
"""Promised relative error of sigma for 64-bit input."""

ROUNDING = 1e-13
"""What rounding may cost a float64 value that is exact on paper, oracle included."""


def rtol_of(dtype):
    """Promised relative error for a dtype."""
    return RTOL_WIDE if dtype.itemsize == 8 or dtype.kind in "biu" else RTOL_NARROW
