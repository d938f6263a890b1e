"""Activation checkpointing in all its forms gives the plain gradient, and moves vectors once."""

import copy
import gc
import weakref
from contextlib import suppress
from functools import partial

import pytest
import torch
from torch import nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    checkpoint_sequential,
    create_selective_checkpoint_contexts,
)

from rsspecnorm.torch import SpectralNormGroup
from torch_fronts import FRONTS, LAYERS, sample_input

F64 = {"rtol": 1e-10, "atol": 1e-12}


def within(reentrant, x, function):
    return checkpoint(function, x, use_reentrant=reentrant)


def nested(outer, inner):
    """Run four parts as one region with a region in it."""

    def run(parts, x):
        first, second, *rest = parts
        return within(outer, x, lambda x: nn.Sequential(*rest)(within(inner, first(x), second)))

    return run


def thrice(outer, middle, inner):
    """Run four parts as regions, each in the next."""

    def run(parts, x):
        first, second, third, fourth = parts
        innermost = partial(within, inner, function=third)
        between = partial(within, middle, function=lambda x: fourth(innermost(x)))
        return within(outer, x, lambda x: between(second(first(x))))

    return run


def in_segments(reentrant):
    return lambda parts, x: checkpoint_sequential(parts, 2, x, use_reentrant=reentrant)


def selective(policy):
    def run(parts, x):
        context = partial(create_selective_checkpoint_contexts, lambda *_, **__: policy)
        return checkpoint(nn.Sequential(*parts), x, use_reentrant=False, context_fn=context)

    return run


BOTH = (True, False)
FORMS = {
    **{f"segments {r}": in_segments(r) for r in BOTH},
    **{f"{r} in {s}": nested(s, r) for r in BOTH for s in BOTH},
    **{f"{r} in {s} in {t}": thrice(t, s, r) for r in BOTH for s in BOTH for t in BOTH},
    **{policy.name: selective(policy) for policy in CheckpointPolicy},
}


def parts_of(kind):
    """Return four normalised parts, and what normalises them before each forward."""
    torch.manual_seed(5)
    layers = [nn.Linear(6, 6).double() for _ in range(4)]
    if kind in FRONTS:
        for layer in layers:
            FRONTS[kind].apply(layer)
        return [nn.Sequential(layer, nn.Tanh()) for layer in layers], lambda: None
    group = SpectralNormGroup(layers)
    return [nn.Sequential(layer, nn.Tanh()) for layer in layers], group.update


def plainly(parts, x):
    return nn.Sequential(*parts)(x)


def trained(kind, form, count, *, together):
    """Return gradients and vectors after so many forwards, before one backward or each its own."""
    parts, before = parts_of(kind)
    losses = []
    for i in range(count):
        x = torch.full((3, 6), 0.1 + i, dtype=torch.float64).requires_grad_()
        before()
        losses.append(form(parts, x).square().sum() * (i + 1))
    for loss in [sum(losses)] if together else losses:
        loss.backward()
    every = nn.Sequential(*parts)
    return [p.grad for p in every.parameters()], list(every.buffers())


@pytest.mark.parametrize("kind", [*FRONTS, "group"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize(("count", "together"), [(1, True), (2, True), (2, False)])
def test_regions_see_the_vectors_of_their_first_forward(kind, form, count, together):
    ours = trained(kind, FORMS[form], count, together=together)
    expected = trained(kind, plainly, count, together=together)
    torch.testing.assert_close(ours, expected, **F64)


def test_what_a_region_kept_is_found_beside_a_normalised_layer(front):
    """Selective checkpointing finds what it kept by how often an operator was called."""
    layer = front.apply(nn.Linear(6, 6).double())
    plain = copy.deepcopy(layer)

    def run(layer, x):
        h = layer(x).clone().mul(2).sum(1, keepdim=True)
        return torch.linalg.vector_norm(h * layer(x).clone(), dim=1)

    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    kept = partial(
        create_selective_checkpoint_contexts, lambda *_, **__: CheckpointPolicy.MUST_SAVE
    )
    ours = checkpoint(run, layer, x, use_reentrant=False, context_fn=kept)
    found = torch.autograd.grad(ours.sum(), [x, *layer.parameters()])
    expected = torch.autograd.grad(run(plain, x).sum(), [x, *plain.parameters()])
    torch.testing.assert_close(found, expected, **F64)


def in_region(run, *args):
    return checkpoint(run, *args, use_reentrant=False)


def saved_on_cpu(run, *args):
    with save_on_cpu():
        return run(*args)


def saved_by_hooks(run, *args):
    with saved_tensors_hooks(lambda x: x, lambda x: x):
        return run(*args)


SAVED = [in_region, saved_on_cpu, saved_by_hooks]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("how", SAVED)
@pytest.mark.parametrize("second", [True, False])
def test_result_written_to_where_hooks_save_tensors(front, layer, how, second):
    module = front.apply(LAYERS[layer]().double()).eval()
    leaf, x = front.original(module), sample_input(module)

    def run(x):
        weight = front.normalized(module, x)
        weight.mul_(weight.detach().sin())
        return weight.pow(3).sum()

    def derivative(loss):
        grad = torch.autograd.grad(loss, leaf, create_graph=second)[0]
        return torch.autograd.grad(grad.square().sum(), leaf)[0] if second else grad

    torch.testing.assert_close(derivative(how(run, x)), derivative(run(x)), **F64)


def test_both_written_to_where_hooks_save_tensors_is_an_error(front):
    module = front.apply(nn.Linear(6, 6).double())
    with save_on_cpu():
        weight = front.normalized(module)
        weight.mul_(2)
        loss = weight.square().sum()
    with torch.no_grad():
        front.original(module).mul_(2)
    with pytest.raises(RuntimeError, match="inplace operation"):
        loss.backward()


@pytest.mark.parametrize("how", SAVED)
def test_norm_of_an_operator_in_a_region(front, how):
    module = front.apply(
        nn.Conv2d(2, 3, 3, padding=1).double(), norm="operator", input_shape=(2, 5, 5)
    )
    plain = copy.deepcopy(module)
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    for _ in range(2):
        found = torch.autograd.grad(how(module, x).square().sum(), module.parameters())
        expected = torch.autograd.grad(plain(x).square().sum(), plain.parameters())
        torch.testing.assert_close(found, expected, **F64)
    torch.testing.assert_close(list(module.buffers()), list(plain.buffers()), **F64)


class Diverging(nn.Sequential):
    """Finds its result to be of no use when its layers have run."""

    def forward(self, x):
        super().forward(x)
        raise ArithmeticError


@pytest.mark.parametrize("kind", [nn.Sequential, Diverging])
def test_region_that_is_never_differentiated_is_freed(kind):
    model = kind(nn.Linear(40, 40))
    group = SpectralNormGroup(model)
    x = torch.randn(4, 40, requires_grad=True)
    for _ in range(3):
        with suppress(ArithmeticError):
            checkpoint(model, x, use_reentrant=False)
    alive = weakref.ref(model)
    del model, group
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("kind", [*FRONTS, "group"])
@pytest.mark.parametrize("reentrant", BOTH)
@pytest.mark.parametrize("rows", [2, 3000])
def test_frozen_layers_in_regions_give_the_plain_gradient(kind, reentrant, rows):
    found = []
    for call in (lambda layer, x: layer(x), partial(within_first, reentrant)):
        torch.manual_seed(0)
        layer = nn.Linear(6, 6).double()
        if kind == "group":
            SpectralNormGroup(layer, init_iterations=1)
        else:
            FRONTS[kind].apply(layer, init_iterations=1)
        layer.requires_grad_(False)
        x = torch.linspace(-1, 1, 6 * rows, dtype=torch.float64).view(rows, 6).requires_grad_()
        (call(layer, x).sin().sum() + call(layer, 2 * x).cos().sum()).backward()
        found.append(x.grad)
    torch.testing.assert_close(*found, **F64)


def within_first(reentrant, layer, x):
    return within(reentrant, x, layer)
