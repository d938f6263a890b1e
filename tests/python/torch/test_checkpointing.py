"""Activation checkpointing in all its forms gives the plain gradient, and moves vectors once."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    checkpoint_sequential,
    create_selective_checkpoint_contexts,
)

from rsspecnorm.torch import SpectralNormGroup
from torch_fronts import FRONTS

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
