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
from rsspecnorm.torch.scaling import (
    Rule,
    accumulator,
    divide_again,
    factors,
    plain_gradient,
    sigma_gradient,
)
from rsspecnorm.torch.settle import by_torch
from rsspecnorm.torch.views import as_array, as_read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from rsspecnorm.torch.steps import Plan, Weight


# Beyond, a product with a raw weight could leave the range where one with `W / d` does not.
_REACH = 2.0**50


class Row(NamedTuple):
    """What becomes of one weight: the result, sigma (0-d), and the vectors it was divided with."""

    out: Tensor
    sigma: Tensor
    u: NDArray[Any]
    v: NDArray[Any]


def open_now() -> bool:
    """Whether nothing is at work that must see the computation as operators of torch."""
    return (
        not torch.compiler.is_compiling()
        and torch._C._len_torch_dispatch_stack() == 0
        and torch._C._get_tracing_state() is None
    )


def takes(w: Tensor, u: Tensor, v: Tensor, dim: int) -> bool:
    """Whether a weight that the core serves is, with its vectors, laid out as the core's own."""
    return (
        dim == 0
        and w.is_contiguous()
        and w.numel() > 0
        and u.dtype == v.dtype == accumulator(w.dtype)
        and u.is_contiguous()
        and v.is_contiguous()
        and not (u.requires_grad or v.requires_grad)
    )


class Step(NamedTuple):
    """The sigma of a weight and the vectors it was found with."""

    sigma: float
    u: NDArray[Any]
    v: NDArray[Any]


def step(weights: Sequence[Weight], plan: Plan) -> list[Step | None]:
    """Move the vectors in one call and divide nothing.

    None, and its vectors as they were, for a weight that is out of the ordinary.
    """
    if not weights:
        return []
    buffers, us, vs, shapes = _copies(weights)
    matrices = [as_read(w.weight, shape) for w, shape in zip(weights, shapes, strict=True)]
    sigmas = native.normalize(matrices, (us, vs), None, (plan.n_iter, plan.order), plan.rule)
    steps = [Step(*row) for row in zip(sigmas, us, vs, strict=True)]
    fits = [in_reach(each.sigma, plan.rule) for each in steps]
    fit = [i for i, fits_too in enumerate(fits) if fits_too]
    _store([weights[i] for i in fit], [buffers[i] for i in fit], [steps[i] for i in fit])
    return [each if fits[i] else None for i, each in enumerate(steps)]


def in_reach(sigma: float, rule: Rule) -> bool:
    """Whether products with the raw weight are as safe as with the divided one."""
    scale = factors(sigma, rule)[0] if 0 < sigma < math.inf else 0.0
    return 1 / _REACH < scale < _REACH


def normalize(weights: Sequence[Weight], plan: Plan) -> list[Row]:
    """Normalise in one call; with `plan.n_iter` > 0 the vectors are updated in place."""
    buffers, us, vs, shapes = _copies(weights)
    recorded = [torch.is_grad_enabled() and w.weight.requires_grad for w in weights]
    homes = [w.kept or Kept() if r else None for w, r in zip(weights, recorded, strict=True)]
    fresh = [_room(w.weight, home) for w, home in zip(weights, homes, strict=True)]
    sigmas = native.normalize(
        [as_read(w.weight, shape) for w, shape in zip(weights, shapes, strict=True)],
        (us, vs),
        [array.reshape(shape) for (array, _), shape in zip(fresh, shapes, strict=True)],
        (plan.n_iter, plan.order),
        plan.rule,
    )
    rows = []
    for i, sigma in enumerate(sigmas):
        out = fresh[i][1]
        scalar = torch.from_numpy(np.array(sigma, us[i].dtype))
        if not 0 < sigma < math.inf:
            w = weights[i]
            state = w.u, w.v, w.dim
            settled = by_torch(w.weight, state, plan.n_iter, plan.order, plan.rule)
            out, scalar, us[i], vs[i] = *settled[:2], settled[2].numpy(), settled[3].numpy()
            sigma = float(scalar)  # noqa: PLW2901 - what the other path made of it
        row = Row(out, scalar, us[i], vs[i])
        home = homes[i]
        if home is not None:
            out, scalar = _Divided.apply(weights[i].weight, row, (sigma, plan.rule, home))
            row = Row(out, scalar.detach(), us[i], vs[i])
        rows.append(row)
    if plan.n_iter > 0:
        _store(weights, buffers, rows)
    return rows


_Buffers = list[tuple["NDArray[Any]", "NDArray[Any]"]]


def _copies(weights: Sequence[Weight]) -> tuple[_Buffers, list[Any], list[Any], list[Any]]:
    """Return the vectors' own memory, copies of u and of v to move, and the matrices' shapes."""
    buffers = [(w.u.numpy(), w.v.numpy()) for w in weights]
    us, vs = [u.copy() for u, _ in buffers], [v.copy() for _, v in buffers]
    return buffers, us, vs, [(len(u), len(v)) for u, v in buffers]


def _room(weight: Tensor, home: Kept | None) -> tuple[NDArray[Any], Tensor]:
    """Return memory for a result: kept from the last step where a graph will hold it till then."""
    if home is not None:
        return home.take(weight)
    out = torch.empty_like(weight, requires_grad=False)
    return as_array(out), out


def _store(weights: Sequence[Weight], buffers: _Buffers, rows: Sequence[Row | Step]) -> None:
    """Write in place, so that whoever shares the buffers (DataParallel, EMA) sees the update."""
    for (u, v), row in zip(buffers, rows, strict=True):
        np.copyto(u, row.u)
        np.copyto(v, row.v)
    written = [x for w in weights for x in (w.u, w.v) if not x.is_inference()]
    torch.autograd.graph.increment_version(written)


class _Divided(Function):
    """W -> (Y, sigma), both computed already; differentiable twice, see `scaling`."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, row: Row, settings: tuple[float, Rule, Kept]
    ) -> tuple[Tensor, Tensor]:
        """Save the results and the vectors; never the weight."""
        ctx.vectors, ctx.settings = (row.u, row.v), settings
        ctx.origin = origin_of([weight], [row.out])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(row.out, row.sigma)
        return row.out, row.sigma

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
