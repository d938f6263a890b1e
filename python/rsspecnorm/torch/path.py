"""Which of the two paths a weight takes: the core, or plain torch on the weight's own device.

The core serves plain CPU tensors. Everything else - another device, complex numbers, subclasses
such as DTensor, values inside a `torch.func` transform, an exported graph - goes down the device
path, which is ordinary torch code and therefore correct wherever torch is.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch._subclasses import FakeTensor
from torch.autograd import forward_ad

from rsspecnorm.torch.views import bfloat16

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

_CORE_DTYPES = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_PLAIN = (torch.Tensor, nn.Parameter)


class _Switch:
    """How many `force_device_path` blocks are open."""

    forced = 0


@contextmanager
def force_device_path() -> Iterator[None]:
    """Send CPU tensors down the device path inside the block.

    The device path is what weights on a GPU take. Forcing it lets a machine without one test the
    code that runs there, and lets a result of the core be compared with plain torch.

    Returns
    -------
    context manager
        Yields nothing. Blocks may be nested.

    Examples
    --------
    >>> import torch
    >>> from rsspecnorm.torch import force_device_path, matrix_norm
    >>> with force_device_path():
    ...     float(matrix_norm(torch.diag(torch.tensor([3.0, 4.0]))))
    4.0
    """
    _Switch.forced += 1
    try:
        yield
    finally:
        _Switch.forced -= 1


def core_serves(*tensors: Tensor) -> bool:
    """Whether the core may read these tensors: plain, on the CPU, of a dtype it knows."""
    return core_open() and all(map(is_plain, tensors))


def core_open() -> bool:
    """Whether the core may be called at all, on tensors that are plain."""
    return not (
        _Switch.forced
        # An exported program is made of torch's own operators, to run without this package.
        or torch.compiler.is_exporting()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
    )


def eager_open() -> bool:
    """Whether the core may be called, and nothing must see it as operators of torch."""
    return (
        not torch.compiler.is_compiling()
        and core_open()
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._get_tracing_state() is None
    )


def outlives_call(tensor: Tensor) -> bool:
    """Whether a tensor is no stand-in of an export or of a transform."""
    if torch.compiler.is_dynamo_compiling():
        return True
    return not (
        isinstance(tensor, FakeTensor)
        or torch._is_functional_tensor(tensor)
        or torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    )


def in_transform() -> bool:
    """Whether a transform of `torch.func` (grad, vmap, ...) is at work."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def in_forward_mode() -> bool:
    """Whether tensors may carry tangents."""
    return forward_ad._current_level >= 0


def is_plain(tensor: Tensor) -> bool:
    """Whether the core may read a tensor, as far as the tensor tells."""
    dtype = tensor.dtype
    return (
        type(tensor) in _PLAIN
        and dtype in _CORE_DTYPES
        and tensor.is_cpu
        and tensor.layout is torch.strided
        and (dtype is not torch.bfloat16 or bfloat16() is not None)
    )
