"""The norm of a convolution as it acts on inputs of one shape, not that of its reshaped kernel.

The map is torch's own convolution, whatever its stride, padding, padding mode, dilation and groups;
its adjoint is torch's own derivative of it, which is a transposed convolution. The iteration on
the map is that of Gouk et al., "Regularisation of neural networks by enforcing Lipschitz
continuity", Machine Learning 110 (2021).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional

from rsspecnorm.torch.device import largest_entry
from rsspecnorm.torch.layout import TRANSPOSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

Norm: TypeAlias = Literal["reshaped", "operator"]

_CONVOLUTIONS: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
_FORWARD: dict[int, Callable[..., Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}
_TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


def convolution_of(
    module: nn.Module, norm: Norm, input_shape: tuple[int, ...] | None
) -> Convolution | None:
    """Return the convolution that a front end asks for, None for the reshaped norm.

    Raises
    ------
    ValueError
        If `norm` is unknown, or the operator norm is asked for without a shape that fits.
    """
    if norm not in {"reshaped", "operator"}:
        message = f'norm must be "reshaped" or "operator", got {norm!r}'
        raise ValueError(message)
    if norm == "reshaped" or isinstance(module, nn.Linear):  # of a Linear both are the same
        return None
    if not isinstance(module, _CONVOLUTIONS):
        message = f'norm="operator" needs a convolution, got {type(module).__name__}'
        raise ValueError(message)
    return _convolution(module, input_shape)


def _convolution(module: Any, input_shape: tuple[int, ...] | None) -> Convolution:
    ndim = len(module.kernel_size)
    if input_shape is None or len(input_shape) != ndim + 1 or input_shape[0] != module.in_channels:
        message = (
            f'input_shape must be ({module.in_channels}, *{ndim} sizes) for norm="operator", '
            f"got {input_shape}"
        )
        raise ValueError(message)
    border = module.padding_mode, tuple(module._reversed_padding_repeated_twice)
    return Convolution(
        input_shape=tuple(input_shape),
        stride=module.stride,
        padding=module.padding,
        dilation=module.dilation,
        groups=module.groups,
        output_padding=module.output_padding if isinstance(module, TRANSPOSED) else None,
        border=None if border[0] == "zeros" else border,
    )


class Convolution(NamedTuple):
    """A convolution without its weight; `output_padding` is set for a transposed one."""

    input_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...] | str
    dilation: tuple[int, ...]
    groups: int
    output_padding: tuple[int, ...] | None
    border: tuple[str, tuple[int, ...]] | None

    def __call__(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve inputs (B, C, ...), without a bias."""
        ndim = weight.ndim - 2
        if self.output_padding is not None:
            return _TRANSPOSED[ndim](
                x,
                weight,
                None,
                self.stride,
                self.padding,
                self.output_padding,
                self.groups,
                self.dilation,
            )
        padding = self.padding
        if self.border is not None:
            x, padding = functional.pad(x, self.border[1], mode=self.border[0]), (0,) * ndim
        return _FORWARD[ndim](x, weight, None, self.stride, padding, self.dilation, self.groups)

    def lengths(self, weight: Tensor) -> tuple[int, int]:
        """Return the numbers of outputs and of inputs."""
        x = torch.empty(1, *self.input_shape, device="meta", dtype=weight.dtype)
        return self(x, weight.detach().to("meta")).numel(), x.numel()

    def on(self, batch: Tensor) -> ConvolutionOperator:
        """Return the map of one weight, given as a batch of one."""
        return ConvolutionOperator(self, batch)


class ConvolutionOperator:
    """The linear map of one convolution: x (1, N) to y (1, M)."""

    def __init__(self, convolution: Convolution, batch: Tensor) -> None:
        self.convolution, self.batch = convolution, batch

    def _image(self, v: Tensor, weight: Tensor) -> Tensor:
        x = v.reshape(1, *self.convolution.input_shape)
        return self.convolution(x, weight).flatten(1)

    def matvec(self, v: Tensor) -> Tensor:
        """Return A v."""
        return self._image(v, self.batch[0])

    def rmatvec(self, u: Tensor) -> Tensor:
        """Return A^H u, the derivative of ``x -> <u, A x>``."""
        x = u.new_zeros(1, *self.convolution.input_shape).flatten(1)
        return _pulled_back(self.matvec, x, u)

    def peak(self) -> Tensor:
        """Return the largest entry of the kernel."""
        return largest_entry(self.batch)

    def edges(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradient of Re(u^H A v) with respect to the kernel, and one."""
        gradient = _pulled_back(lambda weight: self._image(v, weight), self.batch[0], u)
        return gradient.unsqueeze(0), u.new_ones([1] * self.batch.ndim)


def _pulled_back(function: Callable[[Tensor], Tensor], x: Tensor, u: Tensor) -> Tensor:
    """Return the derivative of ``x -> <u, function(x)>``."""
    if torch._C._autograd._top_saved_tensors_default_hooks(True) is None:
        result: Tensor = torch.func.vjp(function, x)[1](u)[0]
        return result
    # `vjp` knows no hooks, and those of a checkpointed region must not count what is saved here.
    with torch.enable_grad(), saved_tensors_hooks(lambda y: y, lambda y: y):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(function(x), x, u)[0]
