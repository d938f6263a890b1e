"""The core as one operator of torch: a list of CPU weights in, normalised weights out.

``rsspecnorm::normalize`` is functional (it returns new vectors and leaves the old ones to the
caller), so that autograd, `torch.compile` and fake tensors understand it.
``rsspecnorm::normalize_backward`` is its fused first derivative; a second derivative goes through
the same formula in plain torch, see `rsspecnorm.torch.scaling`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from rsspecnorm.torch import native
from rsspecnorm.torch.layout import as_matrices
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

    from torch import Tensor

_MATRIX_NDIM = 2
_RULE = "float coefficient, bool soft, bool detach_sigma"


@torch.library.custom_op(
    "rsspecnorm::normalize",
    mutates_args=(),
    schema=f"(Tensor[] weights, Tensor[] us, Tensor[] vs, int[] dims, int n_iter, str order, "
    f"{_RULE}) -> Tensor[]",
)
def normalize(
    weights: list[Tensor],
    us: list[Tensor],
    vs: list[Tensor],
    dims: list[int],
    n_iter: int,
    order: str,
    *rule: Any,
) -> list[Tensor]:
    """Return the normalised weights, then every sigma, then every u, then every v."""
    settings = Rule(*rule)
    new_us, new_vs = _copies(us, weights), _copies(vs, weights)
    outs, targets = _targets(weights, dims)
    sigmas = native.normalize(
        [as_read(a) if a is not b else as_array(a) for a, b in targets],
        ([as_array(u) for u in new_us], [as_array(v) for v in new_vs]),
        [as_array(target) for _, target in targets],
        (n_iter, order),
        settings,
    )
    scalars = [u.new_tensor(s) for s, u in zip(sigmas, new_us, strict=True)]
    for i, sigma in enumerate(sigmas):
        if not 0 < sigma < math.inf:
            state = us[i], vs[i], dims[i]
            row = by_torch(weights[i], state, n_iter, order, settings)
            outs[i], scalars[i], new_us[i], new_vs[i] = row
        elif targets[i][1].data_ptr() != outs[i].data_ptr():
            _from_matrix(targets[i][1], outs[i], dims[i])
    return [*outs, *scalars, *new_us, *new_vs]


def _copies(vectors: Sequence[Tensor], weights: Sequence[Tensor]) -> list[Tensor]:
    """Copy vectors in the precision that the core keeps them in."""
    memory = torch.contiguous_format
    return [
        x.to(accumulator(w.dtype), copy=True, memory_format=memory)
        for x, w in zip(vectors, weights, strict=True)
    ]


def _targets(
    weights: Sequence[Tensor], dims: Sequence[int]
) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
    """Return the results to fill, and for each weight a matrix to read and one to write.

    A weight that is no matrix as it lies in memory is copied, and normalised within the copy.
    """
    outs = [torch.empty_like(weight) for weight in weights]
    pairs = []
    for weight, out, dim in zip(weights, outs, dims, strict=True):
        if lies_as_matrix(weight, dim):
            pairs.append((_matrix(weight, dim), _matrix(out, dim)))
        else:
            copied = _matrix(weight, dim).clone(memory_format=torch.contiguous_format)
            pairs.append((copied, copied))
    return outs, pairs


def lies_as_matrix(weight: Tensor, dim: int) -> bool:
    """Whether the weight is, without a copy, a matrix that the core reads."""
    if weight.is_contiguous():
        return dim == 0 or weight.ndim == _MATRIX_NDIM
    return weight.ndim == _MATRIX_NDIM and weight.t().is_contiguous()


def _matrix(weight: Tensor, dim: int) -> Tensor:
    return as_matrices(weight.detach().unsqueeze(0), dim)[0]


def _from_matrix(matrix: Tensor, out: Tensor, dim: int) -> None:
    """Write a matrix back into the layout of its weight."""
    moved = out.movedim(dim, 0)
    moved.copy_(matrix.reshape(moved.shape))


@normalize.register_fake
def _(
    weights: list[Tensor],
    us: list[Tensor],
    vs: list[Tensor],
    *_: Any,
) -> list[Tensor]:
    wide = [accumulator(weight.dtype) for weight in weights]
    return [
        *(torch.empty_like(weight) for weight in weights),
        *(weight.new_empty((), dtype=t) for weight, t in zip(weights, wide, strict=True)),
        *(u.new_empty(u.shape, dtype=t) for u, t in zip(us, wide, strict=True)),
        *(v.new_empty(v.shape, dtype=t) for v, t in zip(vs, wide, strict=True)),
    ]


def _setup_context(ctx: Any, inputs: Any, output: list[Tensor]) -> None:
    ctx.dims, ctx.rule = inputs[3], Rule(*inputs[6:])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*output)
    ctx.origin = origin_of(inputs[0], output[: len(ctx.dims)])
    if ctx.origin is not None:
        ctx.state = [x.detach() for x in output[len(ctx.dims) :]]


def _made_again(ctx: Any) -> list[Tensor]:
    """Return the outputs as they were."""
    count = len(ctx.dims)
    columns = (ctx.state[i * count : (i + 1) * count] for i in range(3))
    rows = zip(ctx.origin.weights, *columns, ctx.dims, strict=True)
    outs, sigmas = zip(*(divide_again(*row, rule=ctx.rule) for row in rows), strict=True)
    return [*outs, *sigmas, *ctx.state[count:]]


def _backward(ctx: Any, grads: list[Tensor | None]) -> Any:
    count = len(ctx.dims)
    saved = saved_or_none(ctx) or _made_again(ctx)
    outs, sigmas, us, vs = (saved[i * count : (i + 1) * count] for i in range(4))
    used = [i for i in range(count) if grads[i] is not None]
    columns: list[list[Any]] = [
        [column[i] for i in used] for column in (grads, outs, sigmas, us, vs)
    ]
    columns[3], columns[4] = ([x.detach() for x in column] for column in columns[3:])
    dims = [ctx.dims[i] for i in used]
    results: list[Tensor | None] = [None] * count
    # A batch of gradients (`is_grads_batched`) is nothing that the other operator takes.
    if torch.is_grad_enabled() or in_transform() or not all(map(torch._C._has_storage, columns[0])):
        found = [plain_gradient(*row, rule=ctx.rule) for row in zip(*columns, dims, strict=True)]
    else:
        found = normalize_backward(*columns, dims, *ctx.rule) if used else []
    for i, result in zip(used, found, strict=True):
        results[i] = result
    for i, grad in enumerate(grads[count : 2 * count]):
        if grad is not None:
            results[i] = sigma_gradient(results[i], grad, (us[i], vs[i], ctx.dims[i]), outs[i])
    return results, [None] * count, [None] * count, *[None] * 6


normalize.register_autograd(_backward, setup_context=_setup_context)


@torch.library.custom_op(
    "rsspecnorm::normalize_backward",
    mutates_args=(),
    schema="(Tensor[] grads, Tensor[] outs, Tensor[] sigmas, Tensor[] us, Tensor[] vs, "
    f"int[] dims, {_RULE}) -> Tensor[]",
)
def normalize_backward(
    grads: list[Tensor],
    outs: list[Tensor],
    sigmas: list[Tensor],
    us: list[Tensor],
    vs: list[Tensor],
    dims: list[int],
    *rule: Any,
) -> list[Tensor]:
    """Return the gradients of the weights: a pass for <G, Y>, and one for s G - a <G, Y> u v'."""
    rows = zip(grads, outs, sigmas, us, vs, dims, strict=True)
    return [_gradient(row, Rule(*rule)) for row in rows]


def _gradient(row: tuple[Any, ...], rule: Rule) -> Tensor:
    grad, out, sigma, u, v, dim = row
    if dim != 0 or not (grad.is_contiguous() and out.is_contiguous()):
        return plain_gradient(*row, rule=rule)
    result = torch.empty_like(grad)
    arrays = as_read(grad), as_read(out), as_array(u), as_array(v), as_array(result)
    native.gradient([(*arrays, *factors(float(sigma), rule))])
    return result


@normalize_backward.register_fake
def _(grads: list[Tensor], *_: Any) -> list[Tensor]:
    return [torch.empty_like(grad) for grad in grads]
