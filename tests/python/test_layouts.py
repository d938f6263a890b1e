"""Every memory layout gives the norm of the values it holds."""

import tracemalloc

import numpy as np
import pytest

from matrices import naive_norm, naive_norms, random
from rsspecnorm import _core, power_iteration, spectral_bounds, spectral_norm, spectral_norms
from tolerances import RTOL_WIDE, rtol_of

VALUES = random(24, 18)


def spread(a, *steps):
    """Put the values of `a` into every so many elements of a larger array."""
    shape = [n * step for n, step in zip(a.shape, steps, strict=True)]
    large = np.full(shape, np.nan, a.dtype)
    view = large[tuple(slice(None, None, step) for step in steps)]
    view[...] = a
    return view


def misaligned(a):
    buffer = np.zeros(a.nbytes + 1, np.uint8)
    view = buffer[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def field(a):
    records = np.zeros(a.shape, [("x", a.dtype), ("y", "u1")])
    records["x"] = a
    return records["x"]


class Subclass(np.ndarray):
    """An array by another name."""


class Wrapper:
    """Not an array, but it can become one."""

    def __init__(self, a):
        self.a = a

    def __array__(self, dtype=None, copy=None):
        return np.array(self.a, dtype=dtype, copy=copy)


IN_PLACE = {
    "C order": lambda a: a.copy(),
    "Fortran order": np.asfortranarray,
    "transposed": lambda a: a.T.copy().T,
    "strided rows": lambda a: spread(a, 3, 1),
    "strided columns of Fortran order": lambda a: spread(a.T, 2, 1).T,
    "reversed rows": lambda a: a[::-1].copy()[::-1],
    "reversed columns of Fortran order": lambda a: np.asfortranarray(a[:, ::-1])[:, ::-1],
    "read-only": read_only,
}

COPIED = {
    "strided columns": lambda a: spread(a, 1, 2),
    "strided both ways": lambda a: spread(a, 2, 3),
    "reversed columns": lambda a: a[:, ::-1].copy()[:, ::-1],
    "reversed both ways": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "misaligned": misaligned,
    "field of records": field,
}

CONVERTED = {
    "nested lists": lambda a: a.tolist(),
    "subclass": lambda a: a.view(Subclass),
    "masked array": np.ma.masked_array,
    "object with __array__": Wrapper,
}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("layout", [*IN_PLACE, *COPIED])
def test_norm_of_layout_matches_svd(layout, dtype):
    values = VALUES.astype(dtype)
    a = (IN_PLACE | COPIED)[layout](values)
    assert np.array_equal(a, values)
    assert spectral_norm(a) == pytest.approx(naive_norm(values), rel=rtol_of(values.dtype))


@pytest.mark.parametrize("layout", CONVERTED)
def test_norm_of_array_like_matches_svd(layout):
    a = CONVERTED[layout](VALUES)
    assert spectral_norm(a) == pytest.approx(naive_norm(VALUES), rel=RTOL_WIDE)
    assert spectral_norms([a])[0] == spectral_norm(a)


@pytest.mark.parametrize("layout", IN_PLACE)
def test_layout_with_contiguous_axis_is_ready(layout):
    assert _core.is_ready(IN_PLACE[layout](VALUES))


@pytest.mark.parametrize("layout", COPIED)
def test_layout_without_contiguous_axis_is_not_ready(layout):
    assert not _core.is_ready(COPIED[layout](VALUES))


@pytest.mark.parametrize("order", ["C", "F"])
def test_norm_of_contiguous_matrix_makes_no_copy(order):
    a = np.asarray(random(512, 1024), order=order)
    spectral_norm(a)
    tracemalloc.start()
    try:
        spectral_norm(a)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < a.nbytes / 16


def test_norm_leaves_input_as_it_was():
    a = VALUES.copy()
    spectral_norm(a)
    assert np.array_equal(a, VALUES)
    assert a.flags.writeable


def test_norm_of_bfloat16_layouts_matches_svd():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    values = VALUES.astype(bfloat16)
    for layout in ["C order", "Fortran order", "strided rows", "strided both ways", "misaligned"]:
        a = (IN_PLACE | COPIED)[layout](values)
        assert spectral_norm(a) == pytest.approx(naive_norm(values), rel=rtol_of(values.dtype))


STACK = np.random.default_rng(5).standard_normal((4, 3, 7, 5))

STACKS = {
    "C order": STACK,
    "Fortran order": np.asfortranarray(STACK),
    "matrices transposed": STACK.swapaxes(-1, -2).copy().swapaxes(-1, -2),
    "batch axes swapped": STACK.swapaxes(0, 1).copy().swapaxes(0, 1),
    "batch axes last": np.moveaxis(np.moveaxis(STACK, (0, 1), (-2, -1)).copy(), (-2, -1), (0, 1)),
    "batch reversed": STACK[::-1, ::-1].copy()[::-1, ::-1],
    "strided batch": spread(STACK, 2, 1, 1, 1),
    "strided everywhere": spread(STACK, 2, 2, 2, 2),
    "misaligned": misaligned(STACK),
}


@pytest.mark.parametrize("layout", STACKS)
def test_norm_of_stack_layout_matches_svd(layout):
    a = STACKS[layout]
    assert np.array_equal(a, STACK)
    np.testing.assert_allclose(spectral_norm(a), naive_norms(STACK), rtol=RTOL_WIDE)


def test_norm_of_broadcast_matrix_matches_svd():
    a = np.broadcast_to(VALUES[0], (30, 18))
    assert spectral_norm(a) == pytest.approx(naive_norm(a), rel=RTOL_WIDE)
    stack = np.broadcast_to(VALUES, (5, *VALUES.shape))
    assert np.array_equal(spectral_norm(stack), np.full(5, spectral_norm(VALUES)))


def test_norm_of_most_axes_is_served():
    a = VALUES.reshape((1,) * 30 + VALUES.shape)
    assert spectral_norm(a).reshape(-1)[0] == spectral_norm(VALUES)


def test_bfloat16_of_swapped_bytes_is_converted():
    bfloat16 = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    values = VALUES.astype(bfloat16)
    swapped = values.astype(bfloat16.newbyteorder(">"))
    assert not _core.is_ready(swapped)
    assert spectral_norm(swapped) == spectral_norm(values)


@pytest.mark.parametrize("dtype", [int, "i1", bool, ">f8", ">f4", ">f2", ">c16"])
@pytest.mark.parametrize("shape", [(3, 5, 4), (2, 150, 140), (2, 40, 300)])
def test_converted_matrices_have_the_bits_of_their_stack(dtype, shape):
    values = 5 * np.random.default_rng(0).standard_normal(shape)
    a = np.asfortranarray(values.astype(dtype))
    stacked = spectral_norm(a)
    assert np.array_equal(stacked, [spectral_norm(x) for x in a])
    assert np.array_equal(stacked, spectral_norms(a))
    assert np.array_equal(stacked, spectral_norm(np.ascontiguousarray(a)))
    bounds = spectral_bounds(a).upper
    assert np.array_equal(bounds, [spectral_bounds(x).upper for x in a])
    if np.dtype(dtype).kind != "c":
        steps = power_iteration(a, n_power_iterations=3)
        alone = [power_iteration(x, n_power_iterations=3) for x in a]
        assert np.array_equal(steps.sigma, [one.sigma for one in alone])
        assert np.array_equal(steps.v, [one.v for one in alone])
