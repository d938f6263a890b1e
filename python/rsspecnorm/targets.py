"""Where normalised matrices go: fresh memory, or the caller's `out` when it will do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rsspecnorm import _core
from rsspecnorm.arrays import has_gaps
from rsspecnorm.memory import fresh

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_EXACT_NDIM = 4


def has_layout_of(out: NDArray[Any], a: NDArray[Any]) -> bool:
    """Whether the core can write `a`, which is ready, normalised into `out` as it is."""
    return (
        _core.is_ready(out)
        and not has_gaps(out)
        and any(
            a.shape[axis] <= 1 or all(x.strides[axis] == x.itemsize for x in (a, out))
            for axis in (-1, -2)
        )
        and _lies_apart(out)
    )


def _lies_apart(x: NDArray[Any]) -> bool:
    """Whether the matrices of `x` have no holes, nor others, between their elements.

    What lies in a hole may be written by another call at the same time, and the core tells only
    such arrays apart as do not lie among each other.
    """
    if x.flags.c_contiguous:
        return True
    axes = [abs(stride) for stride, n in zip(x.strides, x.shape, strict=True) if n > 1]
    lengths = [n for n in x.shape if n > 1]
    n_batch = sum(n > 1 for n in x.shape[:-2])
    extent = x.itemsize
    for i, part in enumerate((range(n_batch, len(axes)), range(n_batch))):
        for axis in sorted(part, key=axes.__getitem__):
            if axes[axis] < extent or (i == 0 and axes[axis] > extent):
                return False
            extent = axes[axis] * lengths[axis]
    return True


def like(a: NDArray[Any]) -> NDArray[Any]:
    """Return memory that the core can write `a` normalised into."""
    if a.flags.c_contiguous:
        return fresh(a.shape, a.dtype)
    by_rows = a.shape[-1] <= 1 or a.strides[-1] == a.itemsize
    turned = np.empty((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    return np.empty(a.shape, a.dtype) if by_rows else turned.swapaxes(-1, -2)


def target_for(out: object, a: ArrayLike, ready: NDArray[Any]) -> NDArray[Any]:
    """Return `out` where the core can write `ready` normalised into it, else memory to copy from.

    `a` is what the caller handed in, and `ready` the same matrices as the core reads them.
    """
    checked = checked_out(out, a, ready, "out")
    return checked if has_layout_of(checked, ready) else like(ready)


def checked_out(out: object, a: ArrayLike, ready: NDArray[Any], name: str) -> NDArray[Any]:
    """Return `out`, which messages call `name`, if the result can go there."""
    if not isinstance(out, np.ndarray):
        message = f"{name} must be a numpy.ndarray, got {type(out).__name__}"
        raise TypeError(message)
    shape = np.shape(a)
    if out.shape != shape:
        message = f"{name} must have the shape of a, {shape}, got {out.shape}"
        raise ValueError(message)
    if out.dtype.newbyteorder("=") != ready.dtype:
        message = f"{name} must have the dtype of the result, {ready.dtype}, got {out.dtype}"
        raise TypeError(message)
    if not out.flags.writeable:
        message = f"{name} must be writable, got a read-only array"
        raise ValueError(message)
    # Of anything but an array, `ready` is what shares its memory.
    given = a if isinstance(a, np.ndarray) else ready
    if not is_same(out, given) and _overlap(out, given):
        message = f"{name} must not overlap a, unless it is a itself"
        raise ValueError(message)
    return out


def is_same(x: NDArray[Any], y: NDArray[Any]) -> bool:
    """Whether two arrays are the same elements in the same order."""
    same = x.__array_interface__["data"] == y.__array_interface__["data"]
    return x is y or (same and (x.shape, x.strides, x.dtype) == (y.shape, y.strides, y.dtype))


def _overlap(x: NDArray[Any], y: NDArray[Any]) -> bool:
    """Whether two arrays share an element, or might where that is hard to tell."""
    # An exact answer can take for ever where there are many axes.
    return np.may_share_memory(x, y) and (x.ndim > _EXACT_NDIM or np.shares_memory(x, y))
