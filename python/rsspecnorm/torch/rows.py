"""What goes into a call that normalises weights, and what comes out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from rsspecnorm.torch.memory import Kept
    from rsspecnorm.torch.operator_norm import Convolution
    from rsspecnorm.torch.scaling import Rule


Vector: TypeAlias = "Tensor | NDArray[Any]"
# As a tensor, 0-d; or as a number and the dtype that the tensor would have.
Sigma: TypeAlias = "Tensor | tuple[float, torch.dtype]"


class Weight(NamedTuple):
    """A weight with its vectors and the axis of its rows, or the convolution it stands for.

    `kept` is the layer's memory for results, where it has one.
    """

    weight: Tensor
    u: Tensor
    v: Tensor
    dim: int
    convolution: Convolution | None = None
    kept: Kept | None = None


class Normalized(NamedTuple):
    """A divided weight, its sigma, the vectors after the call; `out` carries the graph."""

    out: Tensor
    sigma: Sigma
    u: Vector
    v: Vector


class Plan(NamedTuple):
    """What is the same for every weight of a call."""

    order: str
    rule: Rule
    n_iter: int
    revive: bool = False
