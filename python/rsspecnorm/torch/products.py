"""Products of a layer's input with its weight, times a number, and their first derivatives.

In the symbols of `rsspecnorm.torch.scaled`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from rsspecnorm import _core
from rsspecnorm.torch import native
from rsspecnorm.torch.views import as_read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rsspecnorm.torch.memory import Kept

_MATRIX_NDIM = 2
# Elements of a weight below which one more operator costs more than it saves.
_SMALL = 1 << 19
# Rows up to which the weight is better the left factor of a product.
_FEW = 8
# The core writes what few rows give on one thread: from so many elements on, and beside so many
# threads of torch at most. Two of them are faster with a large weight, except on AMD's CPUs, where
# one core stores nearly as fast as all and torch's products are slower (decision 0017).
_LEAST = 1 << 16
_THREADS = 2
_IS_AMD = _core.cpu_vendor() == "AuthenticAMD"
# A column more in both factors of dW costs a copy of them, and saves a pass over dW. It pays where
# that is so many times as long.
_WIDER = 8


class Pass(NamedTuple):
    """What the first derivative is made of; `image` is s W x where no dx is wanted, else None."""

    grad: Tensor
    x: Tensor
    weight: Tensor
    image: Tensor | None
    factors: tuple[float, float]
    vectors: tuple[NDArray[Any], NDArray[Any]]
    wants_weight: bool
    kept: Kept

    def pull(self, x: Tensor, dx: Tensor | None) -> float:
        """Return -a <G, Y>, the factor of u v' in dW; by the image where there is no dx."""
        slope = self.factors[1]
        if slope == 0:
            return 0.0
        if dx is None:
            assert self.image is not None  # noqa: S101 - it stands in for dx
            x, dx = self.grad, self.image
        return -slope * float(torch.dot(x.reshape(-1), dx.reshape(-1)))

    def edge(self) -> tuple[Tensor, Tensor]:
        """Return u and v as tensors."""
        u, v = self.vectors
        return torch.from_numpy(u), torch.from_numpy(v)


class LinearProduct(NamedTuple):
    """x W' of `nn.Linear`."""

    def scaled(self, x: Tensor, weight: Tensor, bias: Tensor | None, scale: float) -> Tensor:
        """Return the scaled product plus the bias."""
        rows = x if x.ndim == _MATRIX_NDIM else x.flatten(0, -2)
        out = scaled_rows(rows, weight, bias, scale)
        return out if rows is x else _reshaped(out, (*x.shape[:-1], len(weight)))

    def plain(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the product, in operators that can be differentiated."""
        return functional.linear(x, weight)

    def spread(self, bias: Tensor) -> Tensor:
        """Return the bias in a shape that broadcasts over an output."""
        return bias

    def bias_gradient(self, grad: Tensor) -> Tensor:
        """Return the sum over all that the bias was added to."""
        rows = grad if grad.ndim == _MATRIX_NDIM else grad.reshape(-1, grad.shape[-1])
        return rows.sum(0)

    def gradients(self, given: Pass) -> tuple[Tensor | None, Tensor | None]:
        """Return dx and dW."""
        x, grad = given.x, given.grad
        if x.ndim > _MATRIX_NDIM:
            x, grad = x.flatten(0, -2), grad.flatten(0, -2)
        dx, dw = gradients_of_rows(given, grad, x)
        return None if dx is None else dx.view(given.x.shape), dw


def _as_matrix(weight: Tensor) -> Tensor:
    return weight if weight.ndim == _MATRIX_NDIM else weight.view(weight.shape[0], -1)


def scaled_rows(rows: Tensor, weight: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """Return s X W' plus the bias, for a weight that lies as a matrix."""
    matrix = _as_matrix(weight)
    if rows.shape[0] <= _FEW and weight.numel() >= _SMALL:
        image = torch.mm(matrix, rows.t()).t()
        return (image * scale if bias is None else torch.add(bias, image, alpha=scale)).contiguous()
    if bias is None:
        return torch.addmm(rows.new_empty(()), rows, matrix.t(), beta=0, alpha=scale)
    return torch.addmm(bias, rows, matrix.t(), alpha=scale)


def gradients_of_rows(
    given: Pass, grad: Tensor, rows: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Return dX, if it is wanted, and dW; the latter in memory of the layer."""
    weight, scale = given.weight, given.factors[0]
    dx = dw = None
    if given.image is None:
        dx = torch.addmm(grad.new_empty(()), grad, _as_matrix(weight), beta=0, alpha=scale)
    if given.wants_weight:
        pull, size = given.pull(rows, dx), weight.numel()
        if len(rows) <= _FEW and _suits_core(size):
            return dx, _few_rows(given, grad, rows, pull)
        dw = given.kept.tensor(weight)
        flat, (u, v) = _as_matrix(dw), given.edge()
        if size >= _SMALL and _WIDER * rows.shape[0] * sum(flat.shape) <= size:
            left, right = torch.vstack((grad * scale, u * pull)), torch.vstack((rows, v))
            torch.mm(left.t(), right, out=flat)
        else:
            torch.addmm(flat, grad.t(), rows, beta=0, alpha=scale, out=flat)
            if pull != 0:
                flat.addr_(u, v, alpha=pull)
    return dx, dw


def _suits_core(size: int) -> bool:
    """Whether one thread of the core writes so many elements sooner than torch's threads."""
    if size < _LEAST:
        return False
    count = torch.get_num_threads()
    return count == 1 or (count <= _THREADS and (_IS_AMD or size < _SMALL))


def _few_rows(given: Pass, grad: Tensor, rows: Tensor, pull: float) -> Tensor:
    """Return dW, written once and by the core: torch writes it twice, and reads it before."""
    target, dw = given.kept.take(given.weight)
    read = as_read(grad.contiguous()), as_read(rows.contiguous())
    native.layer_gradient(*read, given.vectors, target, (given.factors[0], pull))
    return dw


class ConvProduct:
    """The convolution of `nn.Conv1d`, `nn.Conv2d` and `nn.Conv3d`."""

    def __init__(self, module: nn.Module) -> None:
        self.steps = module.stride, module.padding, module.dilation
        self.groups = module.groups

    def scaled(self, x: Tensor, weight: Tensor, bias: Tensor | None, scale: float) -> Tensor:
        """Return the scaled product plus the bias."""
        return self._convolution(x * scale, weight, bias)

    def plain(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the product, in operators that can be differentiated."""
        return self._convolution(x, weight, None)

    def _convolution(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        none = [0] * (x.ndim - 2)
        return torch.convolution(x, weight, bias, *self.steps, False, none, self.groups)

    def spread(self, bias: Tensor) -> Tensor:
        """Return the bias in a shape that broadcasts over an output."""
        return bias.view(-1, *[1] * len(self.steps[0]))

    def bias_gradient(self, grad: Tensor) -> Tensor:
        """Return the sum over all that the bias was added to."""
        return grad.sum([0, *range(2, grad.ndim)])

    def gradients(self, given: Pass) -> tuple[Tensor | None, Tensor | None]:
        """Return dx and dW."""
        wanted = [given.image is None, given.wants_weight, False]
        dx, dw, _ = torch.ops.aten.convolution_backward(
            given.grad * given.factors[0],
            given.x,
            given.weight,
            None,
            *self.steps,
            False,
            [0] * (given.x.ndim - 2),
            self.groups,
            wanted,
        )
        if dw is not None:
            dw = dw.contiguous()
            pull = given.pull(given.x, dx)
            if pull != 0:
                dw.view(len(dw), -1).addr_(*given.edge(), alpha=pull)
        return dx, dw


class PatchProduct(ConvProduct):
    """A 2-D convolution with few places, as the product of its patches with the weight.

    It is how torch computes it as well; but here the gradient goes to memory of the layer.
    """

    def scaled(self, x: Tensor, weight: Tensor, bias: Tensor | None, scale: float) -> Tensor:
        """Return the scaled product plus the bias."""
        out = scaled_rows(self._patches(x, weight), weight, bias, scale)
        places = self.places(x.shape[2:], weight.shape[2:])
        return _reshaped(_places_last(out, x), (len(x), len(weight), *places))

    def gradients(self, given: Pass) -> tuple[Tensor | None, Tensor | None]:
        """Return dx and dW."""
        x, weight = given.x, given.weight
        grad = given.grad.flatten(2).transpose(1, 2).reshape(-1, len(weight))
        dx, dw = gradients_of_rows(given, grad, self._patches(x, weight))
        if dx is not None:
            columns = _places_last(dx, x)
            dx = functional.fold(columns, x.shape[2:], weight.shape[2:], *self._steps())
        return dx, dw

    def _patches(self, x: Tensor, weight: Tensor) -> Tensor:
        columns = functional.unfold(x, weight.shape[2:], *self._steps())
        return columns.transpose(1, 2).reshape(-1, columns.shape[1])

    def _steps(self) -> tuple[Any, Any, Any]:
        """Return the steps in the order that `unfold` takes them."""
        stride, padding, dilation = self.steps
        return dilation, padding, stride

    def places(self, shape: Sequence[int], size: Sequence[int]) -> list[int]:
        """Return height and width of the output."""
        axes = zip(shape, size, *self._steps(), strict=True)
        return [(n + 2 * pad - gap * (k - 1) - 1) // step + 1 for n, k, gap, pad, step in axes]


def _reshaped(out: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a result in another shape; as a view it could not be changed in place."""
    reshaped: Tensor = torch.ops.aten._unsafe_view(out, shape)
    return reshaped


def _places_last(rows: Tensor, x: Tensor) -> Tensor:
    """Return rows of (sample, place) as (sample, entry, place)."""
    return rows.view(len(x), -1, rows.shape[1]).transpose(1, 2).contiguous()


Product: TypeAlias = LinearProduct | ConvProduct | PatchProduct
LINEAR = LinearProduct()


def product_of(module: nn.Module, x: Tensor, weight: Tensor) -> Product | None:
    """Return the product that a layer's forward makes; None for one that is not among those here.

    So for an input that does not fit, of which torch shall speak.
    """
    if x.is_nested:  # it has no one shape
        return None
    if isinstance(module, nn.Linear):
        return LINEAR if x.ndim >= _MATRIX_NDIM and x.shape[-1] == module.in_features else None
    size = module.kernel_size
    fits = x.ndim == len(size) + 2 and x.shape[1] == module.in_channels
    if not fits or module.padding_mode != "zeros" or isinstance(module.padding, str):
        return None
    by_patches = len(size) == _MATRIX_NDIM and module.groups == 1 and weight.numel() >= _SMALL
    if not by_patches or 2 * x.numel() > x.shape[1] * module.out_channels:
        return ConvProduct(module)
    product = PatchProduct(module)
    return product if min(product.places(x.shape[2:], size)) > 0 else None
