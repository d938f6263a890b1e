"""Dividing a weight by its sigma, and the derivative of that: one formula for every path.

Symbols: `W` the weight, `Y = W / d(sigma)` the result, `E = u v^H` the gradient of sigma with
respect to `W`, `G` the gradient that comes back to `Y`. With ``s = 1/d`` and ``a = d'/d``

    dW = s G + (g_sigma - a Re<G, Y>) E

so the backward pass needs `Y`, `u`, `v` and sigma but not `W`, which an optimizer may have changed
by then. Everything here works on a batch: a leading axis over weights of one shape. The vectors
come as `left` and `right`, shaped so that ``left * right`` broadcasts to `E`.

Sigma is an output as well as an input: the second derivative flows through the saved output.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from rsspecnorm.torch.layout import edges
from rsspecnorm.torch.origin import origin_of, saved_or_none
from rsspecnorm.torch.path import in_forward_mode, in_transform

_REAL = {torch.complex64: torch.float32, torch.complex128: torch.float64}


class Rule(NamedTuple):
    """What a weight is divided by: sigma/c, or max(1, sigma/c) when `soft`."""

    coefficient: float = 1.0
    soft: bool = False
    detach_sigma: bool = False


def accumulator(dtype: torch.dtype) -> torch.dtype:
    """Dtype in which vectors and sigma of a weight are kept: float32 for the half precisions."""
    return torch.float32 if dtype in {torch.float16, torch.bfloat16} else dtype


def real(dtype: torch.dtype) -> torch.dtype:
    """Dtype of the modulus of an element."""
    return _REAL.get(dtype, dtype)  # `dtype.to_real` would break a compiled graph


def divisor(sigma: Tensor, rule: Rule) -> Tensor:
    """Return d(sigma), which is never zero: a zero weight stays zero."""
    if rule.soft:
        return (sigma / rule.coefficient).clamp(min=1.0)
    return torch.where(sigma == 0, 1.0, sigma) / rule.coefficient


def multipliers(sigma: Tensor, rule: Rule) -> tuple[Tensor, Tensor]:
    """Return s = 1/d and a = d'/d; both vanish for a hard division by a sigma of zero."""
    if rule.detach_sigma:
        sigma = sigma.detach()
    zero = sigma == 0
    safe = torch.where(zero, 1.0, sigma)
    shrinks = sigma > rule.coefficient if rule.soft else ~zero
    # Written so that a nan sigma gives nan, in both forms.
    hard = rule.coefficient / safe
    scale = torch.where(sigma <= rule.coefficient, 1.0, hard) if rule.soft else hard * ~zero
    slope = torch.where(shrinks | sigma.isnan(), 1.0 / safe, 0.0)
    return scale, torch.zeros_like(slope) if rule.detach_sigma else slope


def factors(sigma: float, rule: Rule) -> tuple[float, float]:
    """Return what `multipliers` returns, for a sigma known as a number."""
    shrinks = not (rule.soft and sigma <= rule.coefficient)
    scale = (rule.coefficient / sigma if sigma != 0 else 0.0) if shrinks else 1.0
    slope = 1.0 / sigma if shrinks and sigma != 0 and not rule.detach_sigma else 0.0
    return scale, slope


def divide(weight: Tensor, sigma: Tensor, rule: Rule) -> Tensor:
    """Return W / d(sigma) for a batch, rounded once, in the layout of the weight."""
    return (weight / over(divisor(sigma, rule), weight)).to(weight.dtype)


def over(values: Tensor, batch: Tensor) -> Tensor:
    """Shape one value per matrix so that it broadcasts over a batch."""
    return values.reshape(-1, *[1] * (batch.ndim - 1))


def weight_gradient(
    grad: Tensor | None, out: Tensor, edge: tuple[Tensor, Tensor], sigma: Tensor, rule: Rule
) -> Tensor:
    """Return the part of dW that comes back through `Y`: s G - a Re<G, Y> E."""
    if grad is None:
        return torch.zeros_like(out)
    left, right = edge
    wide = grad.to(left.dtype)
    scale, slope = multipliers(sigma, rule)
    pull = -slope * inner(wide, out.to(left.dtype))
    # In place, but for `vmap`, which has no rule for that.
    add = torch.addcmul if in_transform() else Tensor.addcmul_
    return add(wide * over(scale, wide), left * over(pull, left), right).to(grad.dtype)


def plain_gradient(
    grad: Tensor, out: Tensor, sigma: Tensor, u: Tensor, v: Tensor, dim: int, *, rule: Rule
) -> Tensor:
    """Return the gradient of one weight in plain torch, which can be differentiated again."""
    if grad.layout is not torch.strided:
        grad = grad.to_dense()
    batch = out.unsqueeze(0)
    edge = edges(u.unsqueeze(0), v.unsqueeze(0), batch, dim)
    with without_autocast(out.device.type):
        return weight_gradient(grad.unsqueeze(0), batch, edge, sigma.reshape(1), rule)[0]


def sigma_gradient(
    result: Tensor | None, grad: Tensor, edge: tuple[Tensor, Tensor, int], out: Tensor
) -> Tensor:
    """Add what comes back through sigma itself, as it does in a second derivative."""
    u, v, dim = edge
    left, right = edges(u.detach().unsqueeze(0), v.detach().unsqueeze(0), out.unsqueeze(0), dim)
    through = (left * over(grad, left) * right)[0].to(out.dtype)
    return through if result is None else result + through


def inner(x: Tensor, y: Tensor) -> Tensor:
    """Return Re<x, y> of each matrix of two batches, without a temporary of their size."""
    return torch.linalg.vecdot(x.reshape(len(x), -1), y.reshape(len(y), -1)).real


class Scale(Function):
    """(W, left, right, sigma) -> (Y, sigma) for a batch of weights of one shape."""

    @staticmethod
    def forward(
        weight: Tensor,
        left: Tensor,  # noqa: ARG004 - used by the backward pass
        right: Tensor,  # noqa: ARG004
        sigma: Tensor,
        rule: Rule,
    ) -> tuple[Tensor, Tensor]:
        """Divide."""
        return divide(weight, sigma, rule), sigma.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Save the results, the vectors and sigma; never the weight."""
        weight, left, right, sigma, rule = inputs
        ctx.rule = rule
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output, left, right)
        # Of one weight it is a view; a stack of several is not worth the memory.
        if weight._is_view():
            ctx.origin, ctx.inputs = origin_of([weight], output[:1]), (left, right, sigma)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Apply the formula at the head of this module."""
        grad, grad_sigma = grads
        saved = saved_or_none(ctx)
        if saved is None:
            left, right, sigma = ctx.inputs
            weight = ctx.origin.weights[0]
            out, sigma = divide_with_graph(weight, left, right, sigma, ctx.rule)
        else:
            out, sigma, left, right = saved
        with without_autocast(out.device.type):
            result = weight_gradient(grad, out, (left, right), sigma, ctx.rule)
            if grad_sigma is not None:
                result = result + (left * over(grad_sigma, left) * right).to(result.dtype)
        return result, None, None, None, None


def divide_with_graph(
    batch: Tensor, left: Tensor, right: Tensor, sigma: Tensor, rule: Rule
) -> tuple[Tensor, Tensor]:
    """Divide a batch so that it can be differentiated; return sigma with its derivative too."""
    by = _divide_by_formula if in_transform() or in_forward_mode() else Scale.apply
    result: tuple[Tensor, Tensor] = by(batch, left, right, sigma, rule)
    return result


def _divide_by_formula(
    batch: Tensor, left: Tensor, right: Tensor, sigma: Tensor, rule: Rule
) -> tuple[Tensor, Tensor]:
    """Do it in operators that every transform and forward mode know.

    torch takes the `jvp` of a custom function for constant where it is differentiated by forward
    mode once more, without a word.
    """
    found = inner(left * right, batch.to(left.dtype))
    # The value of the step, with the derivative <E, dW>.
    sigma = torch.where(found.isfinite(), sigma + (found - found.detach()), sigma)
    out = divide(batch, sigma.detach() if rule.detach_sigma else sigma, rule)
    return out if rule.soft else torch.where(over(sigma == 0, out), out.detach(), out), sigma


def divide_again(
    weight: Tensor, sigma: Tensor, u: Tensor, v: Tensor, dim: int, *, rule: Rule
) -> tuple[Tensor, Tensor]:
    """Divide one weight by a sigma found before, in a node of its own; return that sigma too."""
    batch = weight.unsqueeze(0)
    edge = edges(u.unsqueeze(0), v.unsqueeze(0), batch, dim)
    out, sigma = divide_with_graph(batch, *edge, sigma.reshape(1), rule)
    return out[0], sigma[0]


def without_autocast(device_type: str) -> torch.autocast:
    """Keep an enclosing autocast from rounding the arithmetic to half precision."""
    kind = device_type if torch.amp.is_autocast_available(device_type) else "cpu"
    return torch.autocast(kind, enabled=False)
