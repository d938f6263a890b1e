"""A weight seen as a matrix: axis `dim` is its rows, all the others are its columns.

Batches carry a leading axis, so `dim` of the weight is axis ``dim + 1`` here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def default_dim(module: nn.Module) -> int:
    """Return the axis of the outputs: 1 for a transposed convolution, else 0."""
    return 1 if isinstance(module, TRANSPOSED) else 0


def is_inexact(tensor: Tensor) -> bool:
    """Whether the entries are real or complex numbers, which alone are normalised or measured."""
    return tensor.is_floating_point() or tensor.is_complex()


def checked_dim(dim: int, ndim: int) -> int:
    """Return `dim` counted from the front; IndexError, worded as torch words it, if outside."""
    if not -ndim <= dim < ndim:
        message = (
            "Dimension out of range (expected to be in range of "
            f"[-{ndim}, {ndim - 1}] but got {dim})"
        )
        raise IndexError(message)
    return dim % ndim


def as_matrices(batch: Tensor, dim: int) -> Tensor:
    """Return a batch of weights as matrices (B, M, N); a view where strides allow."""
    moved = batch.movedim(dim + 1, 1)
    return moved.reshape(*moved.shape[:2], _columns(batch, dim))


def matrix_shape(weight: Tensor, dim: int) -> tuple[int, int]:
    """Return (M, N) of one weight."""
    return weight.shape[dim], _columns(weight.unsqueeze(0), dim)


def edges(u: Tensor, v: Tensor, batch: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Shape u (B, M) and v (B, N) so that their product broadcasts to ``u v^H`` in the layout."""
    axes = [1] * (batch.ndim - 1)
    axes[dim] = batch.shape[dim + 1]
    columns = [n for axis, n in enumerate(batch.shape[1:]) if axis != dim]
    left = u.reshape(len(u), *axes)
    right = v.conj().resolve_conj().reshape(len(v), *columns).unsqueeze(dim + 1)
    return left, right


def _columns(batch: Tensor, dim: int) -> int:
    count = 1
    for axis, n in enumerate(batch.shape[1:]):
        count *= n if axis != dim else 1
    return count
