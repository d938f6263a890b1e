"""The short way to the core, for plain weights outside of compiled and traced code.

What the registered operator of `rsspecnorm.torch.ops` does, without a dispatcher between: one
native call for a list of weights, then one node of the graph for each of them. A node of its own
lets a gradient go on as soon as it is there, while it is in the cache, and its memory be free.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.autograd import Function

from rsspecnorm.torch import native
from rsspecnorm.torch.memory import Kept
from rsspecnorm.torch.origin import origin_of, saved_or_none
from rsspecnorm.torch.path import in_transform
from rsspecnorm.torch.rows import Normalized
from rsspecnorm.torch.scaling import (
    Rule,
    divide_again,
    factors,
    plain_gradient,
    sigma_gradient,
)
from rsspecnorm.torch.seat import Seat
from rsspecnorm.torch.settle import by_torch
from rsspecnorm.torch.views import as_array, as_read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from rsspecnorm.torch.rows import Plan, Weight
    from rsspecnorm.torch.seat import Arrays


# Beyond, a product with a raw weight could leave the range where one with `W / d` does not.
_REACH = 2.0**20


class Step(NamedTuple):
    """The sigma of a weight, the vectors it was found with, and s and a of the derivative."""

    sigma: float
    u: NDArray[Any]
    v: NDArray[Any]
    factors: tuple[float, float]


def arrays_of(row: Weight) -> Arrays | None:
    """Return a weight and its vectors as the core takes them; None for what lies otherwise."""
    if row.dim != 0 or row.convolution is not None:
        return None
    seat = Seat() if row.kept is None else row.kept.seat
    return seat.arrays(row.weight, row.u, row.v)


def step(places: Sequence[Arrays], plan: Plan) -> list[Step | None]:
    """Move the vectors in one call, or evaluate sigma at them, and divide nothing.

    None, and its vectors as they were, for a weight that is out of the ordinary.
    """
    if not places:
        return []
    found = zip(*_iterate(places, None, plan), strict=True)
    steps = [_step(*each, plan.rule) for each in found]
    if plan.n_iter > 0:
        _store(places, steps)
    return steps


def step_one(places: Arrays, plan: Plan) -> Step | None:
    """Do the same for one weight."""
    step = _step(*_iterate_one(places, None, plan), plan.rule)
    if plan.n_iter > 0:
        _store((places,), (step,))
    return step


def _step(sigma: float, u: NDArray[Any], v: NDArray[Any], rule: Rule) -> Step | None:
    """Return a step, if products with the raw weight are as safe as with the divided one."""
    found = factors(sigma, rule)
    is_safe = 0 < sigma < math.inf and 1 / _REACH < found[0] < _REACH
    return Step(sigma, u, v, found) if is_safe else None


def normalize(weights: Sequence[Weight], places: Sequence[Arrays], plan: Plan) -> list[Normalized]:
    """Normalise in one call; with `plan.n_iter` > 0 the vectors are updated in place."""
    outs = [_room(w) for w in weights]
    arrays = [as_array(out).reshape(p.matrix.shape) for out, p in zip(outs, places, strict=True)]
    found = zip(*_iterate(places, arrays, plan), strict=True)
    rows = [
        _row(weight, out, each, plan)
        for weight, out, each in zip(weights, outs, found, strict=True)
    ]
    if plan.n_iter > 0:
        _store(places, rows)
    return rows


def normalize_one(weight: Weight, places: Arrays, plan: Plan) -> Normalized:
    """Do the same for one weight."""
    out = _room(weight)
    array = as_array(out).reshape(places.matrix.shape)
    row = _row(weight, out, _iterate_one(places, array, plan), plan)
    if plan.n_iter > 0:
        _store((places,), (row,))
    return row


def _iterate(
    places: Sequence[Arrays], outs: Sequence[NDArray[Any]] | None, plan: Plan
) -> tuple[list[float], list[Any], list[Any]]:
    """Return every sigma, and copies of the vectors that have moved."""
    us, vs = [p.u.copy() for p in places], [p.v.copy() for p in places]
    matrices = [p.matrix for p in places]
    return native.normalize(matrices, (us, vs), outs, (plan.n_iter, plan.order), plan.rule), us, vs


def _iterate_one(
    places: Arrays, out: NDArray[Any] | None, plan: Plan
) -> tuple[float, NDArray[Any], NDArray[Any]]:
    matrix, u, v = places.matrix, places.u.copy(), places.v.copy()
    steps = plan.n_iter, plan.order
    sigma = native.normalize_one((matrix, u, v), out, steps, plan.rule)
    if sigma < 0:  # of vectors that no step has moved yet
        u, v = -places.u, places.v.copy()
        sigma = native.normalize_one((matrix, u, v), out, steps, plan.rule)
    return sigma, u, v


def _room(row: Weight) -> Tensor:
    """Return memory for a result: kept from the last step where a graph will hold it till then."""
    if _is_recorded(row.weight) and row.kept is not None:
        return row.kept.tensor(row.weight)
    return torch.empty_like(row.weight, requires_grad=False)


def _is_recorded(weight: Tensor) -> bool:
    return weight.requires_grad and torch.is_grad_enabled()


def _row(weight: Weight, out: Tensor, found: tuple[float, Any, Any], plan: Plan) -> Normalized:
    """Return what becomes of one weight, with its node of the graph."""
    sigma, u, v = found
    row = Normalized(out, (sigma, weight.u.dtype), u, v)
    if not 0 < sigma < math.inf:
        row = _settled(weight, plan)
    return _recorded(weight, row, plan.rule) if _is_recorded(weight.weight) else row


def _settled(weight: Weight, plan: Plan) -> Normalized:
    """Return what the other path makes of a weight."""
    state = weight.u, weight.v, weight.dim
    out, sigma, u, v = by_torch(weight.weight, state, plan.n_iter, plan.order, plan.rule)
    return Normalized(out, (float(sigma), sigma.dtype), u.numpy(), v.numpy())


def _recorded(weight: Weight, row: Normalized, rule: Rule) -> Normalized:
    """Give a result its node of the graph."""
    value, u = row.sigma[0], row.u
    made = _Made(row.out, torch.from_numpy(np.array(value, u.dtype)), (u, row.v))
    out, _ = _Divided.apply(weight.weight, made, (value, rule, weight.kept or Kept()))
    return row._replace(out=out)


def _store(places: Sequence[Arrays], rows: Sequence[Normalized | Step | None]) -> None:
    """Write in place, so that whoever shares the buffers (DataParallel, EMA) sees the update."""
    written: list[Tensor] = []
    for place, row in zip(places, rows, strict=True):
        if row is not None:
            place.u[:] = row.u
            place.v[:] = row.v
            written += place.counted
    torch.autograd.graph.increment_version(written)


class _Made(NamedTuple):
    """A result, its sigma (0-d) and vectors; in a tuple, where autograd sees no input."""

    out: Tensor
    sigma: Tensor
    vectors: tuple[NDArray[Any], NDArray[Any]]


class _Divided(Function):
    """W -> (Y, sigma), both computed already; differentiable twice, see `scaling`."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, made: _Made, settings: tuple[float, Rule, Kept]
    ) -> tuple[Tensor, Tensor]:
        """Save the results and the vectors; never the weight."""
        out, sigma, ctx.vectors = made
        ctx.settings = settings
        ctx.origin = origin_of([weight], [out])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(out, sigma)
        return out, sigma

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Apply the formula at the head of `scaling`."""
        grad, grad_sigma = grads
        out, sigma = saved_or_none(ctx) or _made_again(ctx)
        result: Tensor | None = None
        if grad is not None:
            # A batch of gradients (`is_grads_batched`) has no storage of its own.
            if torch.is_grad_enabled() or in_transform() or not torch._C._has_storage(grad):
                _, rule, _ = ctx.settings
                result = plain_gradient(grad, out, sigma, *_tensors(ctx), 0, rule=rule)
            else:
                result = _fused(grad, out, ctx.vectors, ctx.settings)
        if grad_sigma is not None:
            result = sigma_gradient(result, grad_sigma, (*_tensors(ctx), 0), out)
        return result, None, None


def _tensors(ctx: Any) -> tuple[Tensor, Tensor]:
    u, v = ctx.vectors
    return torch.from_numpy(u), torch.from_numpy(v)


def _made_again(ctx: Any) -> tuple[Tensor, Tensor]:
    """Return the result and sigma as they were."""
    weight, (value, rule, _) = ctx.origin.weights[0], ctx.settings
    u, v = _tensors(ctx)
    return divide_again(weight, u.new_tensor(value), u, v, 0, rule=rule)


def _fused(
    grad: Tensor,
    out: Tensor,
    vectors: tuple[NDArray[Any], NDArray[Any]],
    settings: tuple[float, Rule, Kept],
) -> Tensor:
    sigma, rule, home = settings
    if grad.layout is not torch.strided:
        grad = grad.to_dense()
    target, result = home.take(out)
    source = as_read(grad.contiguous())
    native.gradient([(source, as_read(out), *vectors, target, *factors(sigma, rule))])
    return result
