"""Memory that one call hands to the next.

Taken from the system, each page of a result is cleared and mapped first, which can cost more than
to fill it. So a few arrays are kept and lent out; the memory of one is free again as soon as no
array, view or tensor holds it, wherever that may be.
"""

from __future__ import annotations

from collections import deque
from math import prod
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ALIGNMENT = 64
# Results shorter than the first come from a heap that is warm; longer ones than the second are not
# worth holding on to: at most `_MOST` of them are, 32 MiB.
_SHARED = (1 << 16, 1 << 22)
_MOST = 8


class Shelf:
    """Memory of up to `most` arrays. A copy of it, or a pickle, starts without any."""

    def __init__(self, most: int) -> None:
        self._blocks: deque[NDArray[np.uint8]] = deque(maxlen=most)

    def __reduce__(self) -> tuple[type[Shelf], tuple[Any, ...]]:
        return type(self), (self._blocks.maxlen,)

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an uninitialised array that starts on a cache line."""
        nbytes = prod(shape) * dtype.itemsize
        block = self._free_block(nbytes + _ALIGNMENT)
        start = -block.__array_interface__["data"][0] % _ALIGNMENT
        return block[start : start + nbytes].view(dtype).reshape(shape)

    def _free_block(self, nbytes: int) -> NDArray[np.uint8]:
        for _ in range(len(self._blocks)):
            try:
                block, holders = _next(self._blocks)
            except IndexError:  # other threads have them
                break
            if block.nbytes == nbytes and holders <= _ALONE:
                return block
        block = np.empty(nbytes, np.uint8)
        self._blocks.append(block)
        return block


def _next(blocks: deque[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], int]:
    """Return the first block, now the last, and how many references there were to it."""
    # While it is out of the queue, no other thread can find it. Afterwards it is held here.
    block = blocks.popleft()
    holders = getrefcount(block)
    blocks.append(block)
    return block, holders


# What `_next` says of a block that nothing else refers to.
_ALONE = _next(deque([np.empty(0, np.uint8)]))[1]

_shelf = Shelf(_MOST)


def fresh(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an uninitialised array, in the memory of an earlier result where that is free."""
    least, most = _SHARED
    if least <= prod(shape) * dtype.itemsize <= most:
        return _shelf.take(shape, dtype)
    return np.empty(shape, dtype)
