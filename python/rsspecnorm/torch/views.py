"""CPU tensors as NumPy arrays over the same memory."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


def as_array(tensor: Tensor) -> NDArray[Any]:
    """Return an array that shares the memory of a CPU tensor."""
    tensor = tensor.detach()
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    return tensor.view(torch.int16).numpy().view(bfloat16() or "u2")


def as_read(tensor: Tensor) -> NDArray[Any]:
    """Return an array to read from, which leaves the tensor as it was.

    `Tensor.numpy` marks the storage as one that cannot be resized, and FSDP resizes those of
    parameters.
    """
    tensor = tensor.detach()
    if tensor.dtype != torch.bfloat16:
        return np.from_dlpack(tensor)
    return np.from_dlpack(tensor.view(torch.int16)).view(bfloat16() or "u2")


@cache
def bfloat16() -> np.dtype[Any] | None:
    """Return NumPy's bfloat16, None where the package that has it is not installed."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(ml_dtypes.bfloat16)
