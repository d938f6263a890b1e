"""CPU tensors as NumPy arrays over the same memory."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor


def as_array(tensor: Tensor) -> NDArray[Any]:
    """Return an array that shares the memory of a CPU tensor."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    return tensor.view(torch.int16).numpy().view(bfloat16() or "u2")


def as_read(tensor: Tensor, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Return an array to read from, which leaves the tensor as it was.

    `Tensor.numpy` marks the storage as one that cannot be resized, and FSDP resizes those of
    parameters. A contiguous tensor may be seen in another `shape`.
    """
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.detach().resolve_conj().resolve_neg()
    array = np.asarray(_Lent(tensor, shape))
    return array if tensor.dtype != torch.bfloat16 else array.view(bfloat16() or "u2")


class _Lent:
    """A tensor that NumPy may read by the array interface; alive as long as the array is."""

    __slots__ = ("__array_interface__", "_tensor")

    def __init__(self, tensor: Tensor, shape: tuple[int, ...] | None) -> None:
        self._tensor = tensor
        code, itemsize = _CODES[tensor.dtype]
        self.__array_interface__ = {
            "shape": tuple(tensor.shape) if shape is None else shape,
            "strides": None
            if tensor.is_contiguous()
            else tuple(itemsize * stride for stride in tensor.stride()),
            "typestr": code,
            "data": (_address(tensor), True),
            "version": 3,
        }


def _written(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


# Where a tensor's storage begins, for reading. `data_ptr`, which may be used to write, would make
# the copy that a lazy clone has put off.
storage_address: Callable[[Tensor], int] = getattr(torch._C, "_data_address", _written)


def _address(tensor: Tensor) -> int:
    """Return where a tensor's elements begin, for reading."""
    return storage_address(tensor) + tensor.storage_offset() * tensor.element_size()


def _code(name: str) -> tuple[str, int]:
    dtype = np.dtype(name)
    return dtype.str, dtype.itemsize


_CODES = {
    torch.float16: _code("f2"),
    torch.bfloat16: _code("u2"),
    torch.float32: _code("f4"),
    torch.float64: _code("f8"),
    torch.complex64: _code("c8"),
    torch.complex128: _code("c16"),
}


@cache
def bfloat16() -> np.dtype[Any] | None:
    """Return NumPy's bfloat16, None where the package that has it is not installed."""
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(ml_dtypes.bfloat16)
