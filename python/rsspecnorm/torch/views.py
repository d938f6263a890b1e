"""CPU tensors as NumPy arrays over the same memory."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def as_array(tensor: Tensor) -> NDArray[Any]:
    """Return an array that shares the memory of a CPU tensor."""
    tensor = tensor.detach()
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    return tensor.view(torch.int16).numpy().view(bfloat16() or "u2")


@cache
def bfloat16() -> np.dtype[Any] | None:
    """Return NumPy's bfloat16, None where the package that has it is not installed."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    import numpy as np

    return np.dtype(ml_dtypes.bfloat16)
