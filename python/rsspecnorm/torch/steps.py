"""One call for a list of weights: take a step, divide, store the vectors.

The one door between the front ends and the two paths. A front end says which weights, which
vectors and how many iterations; it gets the normalised weights, and the vectors are updated.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch

from rsspecnorm.torch import eager, ops
from rsspecnorm.torch.device import Dense, power_step
from rsspecnorm.torch.path import core_serves, eager_open, in_transform
from rsspecnorm.torch.recompute import unseen
from rsspecnorm.torch.rows import Normalized
from rsspecnorm.torch.scaling import accumulator, divide_with_graph, real, without_autocast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from rsspecnorm.torch.device import Operator
    from rsspecnorm.torch.rows import Plan, Weight
    from rsspecnorm.torch.seat import Arrays


def normalize(weights: Sequence[Weight], plan: Plan) -> list[Normalized]:
    """Normalise every weight; with `plan.n_iter` > 0 also store the new vectors in place."""
    places = _places(weights) if eager_open() else []
    if places and len(places) == len(weights):  # as a rule there is nothing to sort
        return eager.normalize(weights, places, plan)
    results: list[Normalized | None] = [None] * len(weights)
    for (run, *_), members in _batches(weights).items():
        part = [weights[i] for i in members]
        for i, result in zip(members, run(part, plan), strict=True):
            results[i] = result
    return [result for result in results if result is not None]


def _places(weights: Sequence[Weight]) -> list[Arrays]:
    """Return the arrays of those weights that the core takes as they lie."""
    return [place for weight in weights if (place := eager.arrays_of(weight)) is not None]


def normalize_shortly(weight: Weight, plan: Plan) -> Normalized | None:
    """Do the same for one weight, with as little as can be; None where that will not do."""
    places = eager.arrays_of(weight) if eager_open() else None
    return None if places is None else eager.normalize_one(weight, places, plan)


def _batches(weights: Sequence[Weight]) -> dict[Any, list[int]]:
    """Group the weights that one call can serve: all that the core takes, else by shape.

    The first part of a key is what serves the group.
    """
    groups: defaultdict[Any, list[int]] = defaultdict(list)
    short = eager_open()
    for i, each in enumerate(weights):
        weight, u, v, dim, convolution, _ = each
        if short and eager.arrays_of(each) is not None:
            groups[_eager_batch,].append(i)
        elif convolution is None and core_serves(weight, u, v):
            groups[_core_batch,].append(i)
        else:
            lone = i if convolution else None
            kind = weight.shape, weight.dtype, weight.device, u.dtype
            groups[_device_batch, *kind, dim, lone].append(i)
    return groups


def _eager_batch(weights: Sequence[Weight], plan: Plan) -> list[Normalized]:
    """Normalise CPU weights of any shapes in one call of the core."""
    return eager.normalize(weights, _places(weights), plan)


def _core_batch(weights: Sequence[Weight], plan: Plan) -> list[Normalized]:
    """Do the same through the registered operator, of which graphs can be made."""
    tensors, us, vs, dims, *_ = (list(column) for column in zip(*weights, strict=True))
    results = ops.normalize(tensors, us, vs, dims, plan.n_iter, plan.order, *plan.rule)
    count = len(weights)
    outs, *rest = (results[i * count : (i + 1) * count] for i in range(4))
    sigmas, us, vs = ([x.detach() for x in column] for column in rest)
    with torch.no_grad(), unseen():
        _store_if_moved(weights, us, vs, plan)
    return [Normalized(*row) for row in zip(outs, sigmas, us, vs, strict=True)]


def _device_batch(weights: Sequence[Weight], plan: Plan) -> list[Normalized]:
    """Normalise weights of one shape in plain torch."""
    batch = _stacked([w.weight for w in weights])
    wide = accumulator(batch.dtype)
    with torch.no_grad(), without_autocast(batch.device.type), unseen():
        u = _stacked([w.u for w in weights]).to(wide)
        v = _stacked([w.v for w in weights]).to(wide)
        values = batch.detach().to(wide)
        operator = _operator(values, weights[0])
        step = power_step(operator, u, v, n_iter=plan.n_iter, order=plan.order, revive=plan.revive)
        left, right = operator.edges(step.u, step.v)
        us, vs = step.stored_u.unbind(), step.stored_v.unbind()
        # Here and not later: of a graph that is exported every part must have a result.
        _store_if_moved(weights, us, vs, plan)
    out, sigma = divide_with_graph(batch, left, right, step.sigma.to(real(wide)), plan.rule)
    # Only a lone view may be written to in place.
    outs = out.unbind() if len(weights) > 1 else [out.squeeze(0)]
    rows = zip(outs, sigma.detach().unbind(), us, vs, strict=True)
    return [Normalized(*row) for row in rows]


def _operator(values: Tensor, example: Weight) -> Operator:
    if example.convolution is None:
        return Dense(values, example.dim)
    return example.convolution.on(values)


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Stack without copying a lone tensor."""
    return tensors[0].unsqueeze(0) if len(tensors) == 1 else torch.stack(list(tensors))


def _store_if_moved(
    weights: Sequence[Weight], us: Sequence[Tensor], vs: Sequence[Tensor], plan: Plan
) -> None:
    """Store the vectors if any iteration was made."""
    if plan.n_iter > 0:
        _store([w.u for w in weights], us)
        _store([w.v for w in weights], vs)


def _store(buffers: list[Tensor], values: Sequence[Tensor]) -> None:
    """Write in place, so that whoever shares the buffers (DataParallel, EMA) sees the update."""
    if in_transform():
        for buffer, value in zip(buffers, values, strict=True):
            _store_in_transform(buffer, value)
    elif torch.compiler.is_compiling():
        for buffer, value in zip(buffers, values, strict=True):
            buffer.copy_(value)
    else:
        torch._foreach_copy_(buffers, values)


def _store_in_transform(buffer: Tensor, value: Tensor) -> None:
    # `functionalize` has its values behind others.
    if not torch.compiler.is_compiling() and torch._is_functional_tensor(value):
        torch._sync(value)
        value = torch._from_functional_tensor(value)
    # `vmap` has no rule for `out=`, and `grad` allows a captured tensor to be written no other way.
    if torch._C._functorch.is_batchedtensor(buffer):
        buffer.copy_(value)
    else:
        torch.mul(value.to(buffer.dtype), 1, out=buffer)
