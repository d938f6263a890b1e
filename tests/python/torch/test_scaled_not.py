"""What leaves outputs undivided: modes, hooks, and what others put in the place of torch's own."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from rsspecnorm.torch.parametrizations import spectral_norm
from torch_fronts import small_batch


@pytest.fixture
def path():
    """One path: what is asked is whether it is left."""


# What must be done on the way that divides the weight.
ELSEWHERE = {
    "a large batch": lambda layer: layer(torch.randn(300, 200)),
    "autocast": lambda layer: torch.autocast("cpu", torch.bfloat16)(layer)(small_batch()),
    "checkpoint": lambda layer: checkpoint(layer, small_batch(), use_reentrant=False),
    "cached": lambda layer: parametrize.cached()(layer)(small_batch()),
    "half precision": lambda layer: layer.bfloat16()(small_batch().bfloat16()),
    "frozen": lambda layer: layer.requires_grad_(False)(small_batch()),
    "vmap": lambda layer: torch.vmap(layer, randomness="same")(small_batch()[None]),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_is_left_to_the_other_way(name, taken):
    ELSEWHERE[name](spectral_norm(nn.Linear(200, 160)))
    assert not taken


HOOKS = ("forward", "forward_pre", "full_backward", "full_backward_pre")


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("kind", HOOKS)
@pytest.mark.parametrize("where", ["the parametrization", "the list", "anywhere"])
def test_hook_on_the_parametrization_is_called(kind, where, taken):
    layer = spectral_norm(nn.Linear(200, 160))
    listed, calls = layer.parametrizations.weight, []
    if where == "anywhere":
        register = getattr(nn.modules.module, f"register_module_{kind}_hook")
    else:
        watched = listed if where == "the list" else listed[0]
        register = getattr(watched, f"register_{kind}_hook")
    handle = register(lambda module, *_: calls.append(module))
    layer(small_batch()).sum().backward()
    handle.remove()
    assert (listed[0] if where == "the parametrization" else listed) in calls
    assert not taken
    layer(small_batch())
    assert taken


def test_subclass_with_a_forward_of_its_own_is_left_alone(taken):
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    layer = spectral_norm(Doubled(200, 160))
    x = small_batch()
    out = layer(x)
    torch.testing.assert_close(out, 2 * nn.functional.linear(x, layer.eval().weight, layer.bias))
    assert not taken


@pytest.mark.parametrize("training", [True, False])
def test_forward_that_somebody_put_in_the_place_of_torchs_is_called(training, monkeypatch, taken):
    layer = spectral_norm(nn.Linear(200, 160)).train(training)
    forward = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: 2 * forward(self, x))
    x = small_batch()
    out = layer(x)
    torch.testing.assert_close(out, 2 * nn.functional.linear(x, layer.eval().weight, layer.bias))
    assert not taken


def test_second_parametrization_is_applied(taken):
    layer = spectral_norm(nn.Linear(200, 160))
    parametrize.register_parametrization(layer, "weight", nn.Hardtanh(-1e-3, 1e-3))
    out = layer(small_batch())
    assert float(out.detach().abs().max()) < 5
    assert not taken


def replace_convolution(layer, monkeypatch):
    monkeypatch.setitem(layer.__dict__, "_conv_forward", lambda *_: torch.zeros(7))


def replace_convolutions(_, monkeypatch):
    monkeypatch.setattr(nn.Conv2d, "_conv_forward", lambda *_: torch.zeros(7))


def replace_operator(_, monkeypatch):
    monkeypatch.setattr(nn.functional, "conv2d", lambda *_: torch.zeros(7))


def replace_parametrization(layer, monkeypatch):
    member = layer.parametrizations.weight[0]
    monkeypatch.setitem(member.__dict__, "forward", lambda w: w.detach() * 0)


def replace_parametrizations(layer, monkeypatch):
    listed = layer.parametrizations.weight
    monkeypatch.setitem(listed.__dict__, "forward", lambda: listed.original.detach() * 0)


@pytest.mark.parametrize(
    "replace",
    [
        replace_convolution,
        replace_convolutions,
        replace_operator,
        replace_parametrization,
        replace_parametrizations,
    ],
)
@pytest.mark.parametrize("shape", [(1, 2, 5, 5), (9, 2, 99, 99)], ids=str)
def test_way_that_somebody_has_replaced_is_gone(replace, shape, monkeypatch, taken):
    layer = spectral_norm(nn.Conv2d(2, 3, 3, bias=False))
    layer(torch.ones(1, 2, 5, 5))
    assert len(taken) == 1
    replace(layer, monkeypatch)
    assert not layer(torch.ones(shape)).any()
    assert len(taken) == 1
