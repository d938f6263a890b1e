"""Where a weight and its vectors lie: found once, and taken for granted while they stay there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from torch import nn

from rsspecnorm.torch.path import is_plain
from rsspecnorm.torch.scaling import accumulator
from rsspecnorm.torch.views import as_read, storage_address

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    _Tensors: TypeAlias = tuple[Tensor, Tensor, Tensor]


class Arrays(NamedTuple):
    """The weight as a matrix to read, its vectors, and those of which torch counts the writes."""

    matrix: NDArray[Any]
    u: NDArray[Any]
    v: NDArray[Any]
    counted: tuple[Tensor, ...]


class Seat:
    """The arrays of one weight and its vectors. A copy, or a pickle, starts without any."""

    def __init__(self) -> None:
        # In one piece, as threads may share a layer.
        self._known: tuple[_Tensors, tuple[Any, ...], Arrays] | None = None

    def __reduce__(self) -> tuple[type[Seat], tuple[()]]:
        return Seat, ()

    def arrays(self, weight: Tensor, u: Tensor, v: Tensor) -> Arrays | None:
        """Return the arrays; None for what does not lie as the core has it, rows first."""
        if not is_plain(weight):  # other tensors need not have an address
            return None
        known, place = self._known, _place(weight, u, v)
        if known is not None:
            (known_weight, known_u, known_v), known_place, arrays = known
            same = known_weight is weight and known_u is u and known_v is v
            if same and known_place == place:
                return arrays
        self._known = None
        if not _fits(weight, u, v):
            return None
        arrays = _arrays(weight, u, v)
        if type(weight) is nn.Parameter:  # another may be of one forward alone, with its graph
            self._known = (weight, u, v), place, arrays
        return arrays


def _place(weight: Tensor, u: Tensor, v: Tensor) -> tuple[Any, ...]:
    """Return all that may change of three tensors while they are the same objects."""
    return (
        storage_address(weight),
        storage_address(u),
        storage_address(v),
        weight.storage_offset(),
        u.storage_offset(),
        v.storage_offset(),
        weight.dtype,
        u.dtype,
        v.dtype,
        weight.shape,
        u.shape,
        v.shape,
        weight.is_contiguous(),
        u.is_contiguous(),
        v.is_contiguous(),
        weight.is_neg(),
        u.requires_grad or v.requires_grad,
    )


def _fits(weight: Tensor, u: Tensor, v: Tensor) -> bool:
    return (
        is_plain(u)
        and is_plain(v)
        and weight.is_contiguous()
        and not weight.is_neg()  # of which only a copy can be read
        and weight.numel() > 0
        and u.dtype == v.dtype == accumulator(weight.dtype)
        and u.is_contiguous()
        and v.is_contiguous()
        and not (u.requires_grad or v.requires_grad)
    )


def _arrays(weight: Tensor, u: Tensor, v: Tensor) -> Arrays:
    counted = tuple(x for x in (u, v) if not x.is_inference())
    return Arrays(as_read(weight, (len(u), len(v))), u.numpy(), v.numpy(), counted)
