"""Memory that one training step hands to the next.

A step needs the normalised weights and their gradients anew. Taken from the system, each of their
pages is cleared and mapped first, which costs several times what it takes to fill them. So a layer
keeps a few arrays of its weight's size and lends them out as tensors; an array is free again as
soon as no tensor and no view of one holds it, wherever that may be.
"""

from __future__ import annotations

from collections import deque
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rsspecnorm.torch.views import as_array

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

# A result and its gradient, of two forwards before one backward.
_MOST = 4
_ALIGNMENT = 64
_DTYPES: dict[Any, np.dtype[Any]] = {
    torch.float16: np.dtype(np.float16),
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}


class Kept:
    """Arrays of the size of one weight. A copy of it, or a pickle, starts without any."""

    def __init__(self) -> None:
        self._arrays: deque[NDArray[Any]] = deque(maxlen=_MOST)

    def __reduce__(self) -> tuple[type[Kept], tuple[()]]:
        return Kept, ()

    def take(self, like: Tensor) -> tuple[NDArray[Any], Tensor]:
        """Return uninitialised memory in the shape of a contiguous tensor, as array and tensor."""
        dtype = _DTYPES.get(like.dtype)
        if dtype is None:  # a dtype that NumPy has from elsewhere
            tensor = torch.empty_like(like)
            return as_array(tensor), tensor
        shape = like.shape
        for _ in range(len(self._arrays)):
            # Out of the queue, and so out of reach of other threads, while it is looked at.
            try:
                array = self._arrays.popleft()
            except IndexError:
                break
            if array.shape == shape and array.dtype == dtype:
                lent = None if _holders(array) > _ALONE else torch.from_numpy(array)
                self._arrays.append(array)
                if lent is not None:
                    return array, lent
        array = _aligned(shape, dtype)
        self._arrays.append(array)
        return array, torch.from_numpy(array)


def _holders(array: object) -> int:
    return getrefcount(array)


def _holders_of_one() -> int:
    array = object()
    return _holders(array)


# What `_holders` says of a local variable that nothing else refers to.
_ALONE = _holders_of_one()


def _aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an uninitialised array that starts on a cache line, as torch's own do."""
    nbytes = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + nbytes].view(dtype).reshape(shape)
