"""Layers that divide what their weight gives, in place of the weight.

``(W / d) x`` is ``(W x) / d``. Where a batch is small beside the weight, a training step or an
evaluation then neither writes `W / d` nor reads it again, forward or backward. In the symbols of
`scaling`, with `D` the gradient of a layer's output `Y x`,

    dx = s W' D,    dW = s G - a <G, Y> u v',    G = D x',    <G, Y> = <dx, x> = <D, Y x>

The backward pass needs `W` as it was in the forward, and an optimizer may write to it before. What
is saved is a copy that torch makes only when somebody writes to either, see decision 0017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional
from torch.nn.utils import parametrize

from rsspecnorm.torch import recompute
from rsspecnorm.torch.layer import Layer
from rsspecnorm.torch.path import eager_open, in_transform
from rsspecnorm.torch.products import Pass, Product, product_of
from rsspecnorm.torch.scaling import Rule, divide_again

if TYPE_CHECKING:
    from rsspecnorm.torch.eager import Step
    from rsspecnorm.torch.memory import Kept
    from rsspecnorm.torch.parametrizations import SpectralNorm
    from rsspecnorm.torch.seat import Arrays

# Elements of the input and the output up to which it pays however small the weight.
FEW_ACTIVATIONS = 1 << 15
# Holders of a weight's memory that no other tensor shares: the weight, and the handle in hand.
_ALONE = 2
_DTYPES = (torch.float32, torch.float64)
# The layers, and the operator that each of them calls.
_PLAIN: dict[Any, str] = {
    nn.Linear: "linear",
    nn.Conv1d: "conv1d",
    nn.Conv2d: "conv2d",
    nn.Conv3d: "conv3d",
}


def _way(kind: Any) -> tuple[Any, ...]:
    """Return what a layer of this kind goes through, any part of which others may replace."""
    return kind.forward, getattr(kind, "_conv_forward", None), getattr(functional, _PLAIN[kind])


_WAYS = {kind: _way(kind) for kind in _PLAIN}


class _Node(NamedTuple):
    """What a node of the graph keeps beside tensors."""

    product: Product
    step: Step
    rule: Rule
    kept: Kept


def install(module: nn.Module, name: str) -> None:
    """Give a layer that was parametrized, and so has a class of its own, the other forward."""
    cls: Any = type(module)
    plain = cls.__bases__[0]
    if name != "weight" or plain not in _PLAIN or not _is_ours(_parametrizations(module)):
        return

    def forward(self: Any, input: Tensor) -> Tensor:  # noqa: A002 - as the layer names it
        listed = _parametrizations(self)
        is_torchs = plain.forward is _WAYS[plain][0]
        if listed is None or not (is_torchs and _is_ours(listed) and unwatched()):
            out: Tensor = plain.forward(self, input)
            return out
        found = scaled(self, listed, input) if _is_as_ever(self, plain, listed) else None
        return _divided(self, listed, input) if found is None else found

    cls.forward = forward
    listed = _parametrizations(module)
    listed[0].layer.own = listed.original


def _is_as_ever(module: nn.Module, kind: Any, listed: Any) -> bool:
    """Whether nobody has put a way of his own between a layer's weight and its output."""
    return (
        _way(kind) == _WAYS[kind]
        and "_conv_forward" not in module.__dict__
        and "forward" not in listed._modules["0"].__dict__
    )


def unwatched() -> bool:
    """Whether the core may be called, and none of torch's own ways to a weight is waited at."""
    return (
        eager_open()
        and not parametrize._cache_enabled
        and not nn.modules.module._has_any_global_hook()
    )


def _divided(module: nn.Module, listed: Any, x: Tensor) -> Tensor:
    """Do what the layer's own forward does, whose way to the weight is long."""
    weight = listed._modules["0"](raw_weight(listed))
    if isinstance(module, nn.Linear):
        return functional.linear(x, weight, module.bias)
    out: Tensor = module._conv_forward(x, weight, module.bias)
    return out


def scaled(module: nn.Module, listed: Any, x: Tensor) -> Tensor | None:
    """Return the layer's output, or None where it wants the divided weight."""
    member: SpectralNorm = listed._modules["0"]
    weight, layer = raw_weight(listed), member.layer
    if not (_is_own(weight, layer) and open_now() and _gains(x, weight)):
        return None
    product, bias = product_of(module, x, weight), module.bias
    if product is None or (bias is not None and bias.ndim > 1):
        return None
    step = member.step(weight)
    if step is None:
        return None
    if torch.is_grad_enabled():
        node = _Node(product, step, layer.options.rule, layer.kept)
        out: Tensor = _Scaled.apply(x, weight, bias, node)
        return out
    recompute.note(layer, step.u, step.v)
    return product.scaled(x, weight, bias, step.factors[0])


def _is_ours(listed: Any) -> bool:
    """Whether a weight's parametrization is ours, ours alone, and nobody waits for its call."""
    # By what it keeps: the module of its class needs this one.
    member = listed._modules.get("0")
    return (
        len(listed._modules) == 1
        and isinstance(member.__dict__.get("layer"), Layer)
        and "forward" not in listed.__dict__
        and not _is_watched(listed)
    )


def _parametrizations(module: nn.Module) -> Any:
    every: Any = module._modules.get("parametrizations")
    return None if every is None else every._modules.get("weight")


def raw_weight(listed: Any) -> Tensor:
    """Return what the parametrizations of a layer begin with."""
    # By its place: attributes of modules are slow to read.
    weight: Tensor | None = listed._parameters.get("original")
    return listed.original if weight is None else weight


def open_now() -> bool:
    """Whether layers may divide outputs: nothing but autograd, if that, is at work on them."""
    return (
        not torch.is_autocast_enabled("cpu")
        and not torch._C._len_torch_function_stack()
        # Of activation checkpointing: what a region used is noted on the other way.
        and torch._C._autograd._top_saved_tensors_default_hooks(True) is None
        and torch._C._current_graph_task_id() == -1
    )


def places_of(weight: Tensor, u: Tensor, v: Tensor, member: SpectralNorm) -> Arrays | None:
    """Return the arrays of a weight that may stay undivided, whatever the input; else None."""
    layer = member.layer
    may = (
        _is_own(weight, layer)
        and weight.dtype in _DTYPES
        and (weight.requires_grad or not torch.is_grad_enabled())
        and layer.convolution is None
        and layer.dim == 0
        and not _is_watched(member)
    )
    return layer.kept.seat.arrays(weight, u, v) if may else None


def _is_watched(module: nn.Module) -> bool:
    """Whether a hook waits for a module's call or for its gradients."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def _is_own(weight: Tensor, layer: Layer) -> bool:
    """Whether the weight is the Parameter that the layer began with.

    In its place FSDP puts others, and it resizes their memory, which a late copy does not survive.
    """
    if weight is layer.own:
        return True
    if type(weight) is nn.Parameter:
        layer.own = None  # nor would it be free
    return False


def _gains(x: Tensor, weight: Tensor) -> bool:
    """Whether the input is plain, and small with the output, or beside the weight."""
    if type(x) is not Tensor or x.dtype is not weight.dtype or x.device.type != "cpu":
        return False
    if x.layout is not torch.strided or x.numel() == 0 or weight.numel() == 0 or weight.ndim == 1:
        return False
    places = x.numel() // weight.shape[1]
    activations = places * (weight.shape[0] + weight.shape[1])
    return activations <= max(weight.numel(), FEW_ACTIVATIONS)


def _snapshot(weight: Tensor) -> Tensor:
    """Return a copy that is made when either is written to.

    It is made at once for memory that is not torch's own, or that others hold too: a late one moves
    the weight to other memory, and who knows the old by its address would be left there.
    """
    if torch._C._storage_Use_Count(weight.untyped_storage()._cdata) > _ALONE:
        return weight.clone()
    try:
        return torch._lazy_clone(weight)
    except RuntimeError:
        return weight.clone()


class _Scaled(Function):
    """(x, W, bias) -> s W x + bias; differentiable twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, node: _Node) -> Tensor:
        """Save the input and the weight as it is now."""
        # The weight by reference: of it only the edge in the graph counts.
        ctx.node, ctx.weight = node, weight
        scale, snapshot = node.step.factors[0], _snapshot(weight)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(x, snapshot)
            return node.product.scaled(x, weight, bias, scale)
        # <D, Y x> stands in for <dx, x>, as no dx is wanted.
        image = node.product.scaled(x, weight, None, scale)
        ctx.save_for_backward(x, snapshot, image)
        return image.clone() if bias is None else image + node.product.spread(bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        """Apply the formulas at the head of this module."""
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        bias_grad = ctx.node.product.bias_gradient(grad) if wants_bias else None
        if not (wants_x or wants_weight):
            return None, None, bias_grad, None
        # A batch of gradients (`is_grads_batched`) has no storage of its own.
        special = torch.is_grad_enabled() or in_transform() or not torch._C._has_storage(grad)
        dx, dw = _with_graph(ctx, grad) if special else _without_graph(ctx, grad)
        return dx, dw, bias_grad, None


def _without_graph(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
    x, snapshot, *rest = ctx.saved_tensors
    product, step, _, kept = ctx.node
    image = rest[0] if rest else None
    vectors = step.u, step.v
    wants_weight = ctx.needs_input_grad[1]
    given = Pass(grad, x, snapshot, image, step.factors, vectors, wants_weight, kept)
    return product.gradients(given)


def _with_graph(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Differentiate the same product with a divided weight, which torch can do again."""
    x, snapshot, *_ = ctx.saved_tensors
    product, step, rule, _ = ctx.node
    with torch.enable_grad():
        # Nodes of their own: x may itself depend on the weight, and not by this product.
        operands = x.view_as(x), _AsItWas.apply(ctx.weight, snapshot)
        u, v = (torch.from_numpy(each) for each in (step.u, step.v))
        sigma = u.new_tensor(step.sigma)
        out = product.plain(operands[0], divide_again(operands[1], sigma, u, v, 0, rule=rule)[0])
    wanted = [
        each if wants else None for each, wants in zip(operands, ctx.needs_input_grad, strict=False)
    ]
    inputs = [each for each in wanted if each is not None]
    grads = iter(torch.autograd.grad(out, inputs, grad, create_graph=torch.is_grad_enabled()))
    dx, dw = (None if each is None else next(grads) for each in wanted)
    return dx, dw


class _AsItWas(Function):
    """(W, copy) -> the copy, in the place of W in the graph."""

    generate_vmap_rule = True

    @staticmethod
    def forward(_: Tensor, copy: Tensor) -> Tensor:
        """Return the copy."""
        return copy.view_as(copy)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Save nothing."""

    @staticmethod
    def backward(_: Any, grad: Tensor) -> Any:
        """Hand the gradient on."""
        return grad, None
