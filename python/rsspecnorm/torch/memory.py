"""What one training step hands to the next.

A step needs the normalised weights and their gradients anew. So a layer keeps a few arrays of its
weight's size and lends them out as tensors; and it keeps where its weight and vectors lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rsspecnorm.memory import Shelf
from rsspecnorm.torch.seat import Seat
from rsspecnorm.torch.views import as_array

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

# A result and its gradient, of two forwards before one backward.
_MOST = 4
# Bytes below which torch's own allocator is as good.
_LEAST = 1 << 16
_DTYPES: dict[Any, np.dtype[Any]] = {
    torch.float16: np.dtype(np.float16),
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}


class Kept:
    """Memory of the size of one weight. A copy of it, or a pickle, starts without any."""

    def __init__(self) -> None:
        self.seat = Seat()
        self._shelf = Shelf(_MOST)

    def take(self, like: Tensor) -> tuple[NDArray[Any], Tensor]:
        """Return uninitialised memory in the shape of a contiguous tensor, as array and tensor."""
        tensor = self.tensor(like)
        return as_array(tensor), tensor

    def tensor(self, like: Tensor) -> Tensor:
        """Return the same as a tensor alone."""
        dtype = _DTYPES.get(like.dtype)
        if dtype is None or like.nbytes < _LEAST:  # a dtype that NumPy has from elsewhere
            return torch.empty_like(like, requires_grad=False)
        return torch.from_numpy(self._shelf.take(like.shape, dtype))
