"""The tools under autocast, beside other tools, and on models that are normalised in part."""

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.nn.utils import parametrizations, prune
from torch.nn.utils import spectral_norm as torch_hook

from rsspecnorm import torch as adapter
from rsspecnorm.torch import (
    SpectralSphere,
    convert_state_dict,
    fold,
    matrix_norm,
    remove_spectral_norm,
)
from rsspecnorm.torch.parametrizations import spectral_norm


def sigma_of(weight):
    return torch.linalg.matrix_norm(weight.detach().double(), 2)


@pytest.mark.parametrize("take_off", [remove_spectral_norm, nn.utils.remove_spectral_norm, fold])
def test_a_hook_over_a_pruned_weight_comes_off(take_off):
    module = adapter.spectral_norm(nn.Linear(6, 5))
    prune.l1_unstructured(module, "weight_orig", 0.5)
    x = torch.randn(3, 6)
    expected = module.eval()(x)
    take_off(module)
    assert isinstance(module._parameters["weight"], nn.Parameter)
    torch.testing.assert_close(module(x), expected)
    assert "weight_u" not in module.state_dict()


@pytest.mark.parametrize("shape", [(200, 100), (64, 64), (20, 10)])
def test_autocast_rounds_no_norm(shape):
    torch.manual_seed(0)
    a = torch.randn(shape, requires_grad=True)
    expected = torch.linalg.matrix_norm(a, 2)
    (gradient,) = torch.autograd.grad(expected, a)
    with torch.autocast("cpu", torch.bfloat16):
        norm = matrix_norm(a)
        (found,) = torch.autograd.grad(norm, a)
    torch.testing.assert_close(norm, expected, rtol=2e-6, atol=0)
    torch.testing.assert_close(found, gradient, rtol=0, atol=2e-3)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")
def test_autocast_rounds_no_tangent():
    torch.manual_seed(1)
    a, tangent = torch.randn(200, 100), torch.randn(200, 100)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(a, tangent)
        expected = forward_ad.unpack_dual(torch.linalg.matrix_norm(dual, 2)).tangent
        with torch.autocast("cpu", torch.bfloat16):
            found = forward_ad.unpack_dual(matrix_norm(dual)).tangent
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)


def test_autocast_rounds_no_folded_weight_and_no_retraction():
    torch.manual_seed(2)
    layer = spectral_norm(nn.Linear(60, 50, bias=False))
    expected = convert_state_dict(layer.state_dict(), "plain")["weight"]
    weight = nn.Parameter(torch.randn(40, 3, 5, 5).to(memory_format=torch.channels_last))
    sphere = SpectralSphere([weight], n_power_iterations=60)
    with torch.autocast("cpu", torch.bfloat16):
        found = convert_state_dict(layer.state_dict(), "plain")["weight"]
        sphere.retract_()
    assert torch.equal(found, expected)
    assert float(sigma_of(weight.flatten(1))) == pytest.approx(1, abs=1e-5)


def test_matrix_norm_is_differentiated_after_a_write():
    a = nn.Parameter(torch.randn(5, 4, dtype=torch.float64))
    expected = torch.autograd.grad(torch.linalg.matrix_norm(a, 2), a)[0]
    norm, again = matrix_norm(a), matrix_norm(a)
    with torch.no_grad():
        a.add_(1)
    norm.backward()
    torch.testing.assert_close(a.grad, expected)
    with pytest.raises(RuntimeError, match="inplace"):
        torch.autograd.grad(again, a, create_graph=True)


@pytest.mark.parametrize("to", ["parametrization", "hook"])
def test_a_partly_normalised_model_says_which_weights_are(to):
    register = spectral_norm if to == "parametrization" else adapter.spectral_norm
    model = nn.Sequential(register(nn.Linear(5, 4)), nn.Linear(4, 2), nn.LSTM(2, 3))
    register(model[2], "weight_hh_l0")
    plain = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 2), nn.LSTM(2, 3))
    model.load_state_dict(convert_state_dict(plain.state_dict(), to, modules=model))
    raw = model[2].parametrizations.weight_hh_l0.original if to != "hook" else None
    assert torch.equal(model[2].weight_hh_l0_orig if raw is None else raw, plain[2].weight_hh_l0)
    assert torch.equal(model[1].weight, plain[1].weight)


@pytest.mark.parametrize(
    "register",
    [
        spectral_norm,
        adapter.spectral_norm,
        parametrizations.spectral_norm,
        torch_hook,
    ],
)
def test_the_model_says_along_which_axis_weights_are_normalised(register):
    torch.manual_seed(3)
    layer = register(nn.Linear(5, 5, bias=False), dim=1)
    for _ in range(20):
        layer(torch.ones(1, 5))
    layer.eval()(torch.ones(1, 5))
    found = convert_state_dict(layer.state_dict(), "plain", modules=layer)["weight"]
    torch.testing.assert_close(found, layer.weight.detach(), rtol=1e-4, atol=1e-5)


def test_the_model_says_to_which_norm_weights_are_normalised():
    layers = [
        spectral_norm(nn.Linear(7, 6), coefficient=3.0),
        spectral_norm(nn.Linear(7, 6), soft=True, coefficient=50.0),
    ]
    for layer in layers:
        layer.eval()
        found = convert_state_dict(layer.state_dict(), "plain", modules=layer)["weight"]
        torch.testing.assert_close(found, layer.weight.detach())


def test_sphere_takes_named_parameters_and_no_parts():
    layer = nn.Linear(6, 5)
    sphere = SpectralSphere(layer.named_parameters(), n_power_iterations=60)
    sphere.retract_()
    assert float(sigma_of(layer.weight)) == pytest.approx(1, abs=1e-5)
    part = nn.Parameter(torch.ones(3, 4))
    part.full_tensor = None  # what tells a DTensor
    with pytest.raises(TypeError, match="params must hold whole tensors"):
        SpectralSphere([part])
