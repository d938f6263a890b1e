"""Derivatives of first and second order, for every rule, real and complex."""

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call

import rsspecnorm.torch
from torch_fronts import LAYERS, pair, sample_input

# torch's own forward mode.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")

# Small, since a check differentiates by every entry twice.
SMALL = {
    "linear": lambda: nn.Linear(4, 3),
    "conv": lambda: nn.Conv2d(2, 3, (1, 2)),
    "conv-transposed": lambda: nn.ConvTranspose2d(2, 3, (2, 1)),
    "one-row": lambda: nn.Linear(5, 1),
}
RULES = [
    {},
    {"coefficient": 0.7},
    {"soft": True, "coefficient": 0.2},
    {"soft": True, "coefficient": 50.0},
]
MODES = {"forward": torch.func.jacfwd, "reverse": torch.func.jacrev}


class Reader(nn.Module):
    """Returns the normalised weight of a module as its output."""

    def __init__(self, front, inner):
        super().__init__()
        self.front, self.inner, self.x = front, inner, sample_input(inner)

    def forward(self):
        return self.front.normalized(self.inner, self.x)


def weight_function(front, module):
    """Return the normalised weight as a function of the original one, at fixed vectors."""
    reader = Reader(front, module).eval()
    return lambda weight: functional_call(reader, {"inner." + front.orig: weight})


@pytest.mark.parametrize("layer", SMALL)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_gradcheck_and_gradgradcheck(front, layer, rule):
    module = front.apply(SMALL[layer]().double(), **rule, init_iterations=5)
    run = weight_function(front, module)
    leaf = front.original(module).detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(run, (leaf,))
    assert torch.autograd.gradgradcheck(run, (leaf,))


@pytest.mark.parametrize("layer", SMALL)
@pytest.mark.parametrize("rule", [*RULES, {"detach_sigma": True}], ids=str)
def test_forward_mode_equals_reverse_mode(front, layer, rule):
    module = front.apply(SMALL[layer]().double(), **rule, init_iterations=5)
    run = weight_function(front, module)
    leaf = front.original(module).detach()
    reverse, forward = torch.func.jacrev(run)(leaf), torch.func.jacfwd(run)(leaf)
    torch.testing.assert_close(forward, reverse)
    tangent = torch.randn_like(leaf)
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(run(forward_ad.make_dual(leaf, tangent))).tangent
    torch.testing.assert_close(found, torch.tensordot(reverse, tangent, leaf.ndim))


def sum_of_cubes(front, module):
    run = weight_function(front, module)
    return lambda weight: run(weight).pow(3).sum()


@pytest.mark.parametrize("modes", [(a, b) for a in MODES for b in MODES], ids=str)
def test_second_derivatives_by_any_two_modes_equal_torch(front, modes):
    ours, theirs = pair(front, SMALL["linear"])
    outer, inner = (MODES[name] for name in modes)
    found, expected = (
        outer(inner(sum_of_cubes(front, module)))(front.original(module).detach())
        for module in (ours, theirs)
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("second", [True, False])
def test_result_may_be_written_to(front, layer, second):
    """As `nn.Embedding(max_norm=...)` does, before the backward pass asks for the result."""
    leaves, found = [], []
    for module in pair(front, LAYERS[layer]):
        weight, leaf = front.normalized(module), front.original(module)
        value = weight.detach().mul_(1.5)  # shares the memory
        weight.mul_(value.sin())
        grad = torch.autograd.grad(weight.pow(3).sum(), leaf, create_graph=second)[0]
        if second:
            grad = torch.autograd.grad(grad.square().sum(), leaf)[0]
        leaves.append(leaf)
        found.append(grad)
    torch.testing.assert_close(leaves[0], leaves[1])
    torch.testing.assert_close(*found)


def test_result_and_weight_written_to_is_an_error(front):
    module = front.apply(nn.ConvTranspose2d(2, 3, 2).double())
    weight = front.normalized(module)
    weight.mul_(2)
    loss = weight.square().sum()
    with torch.no_grad():
        front.original(module).mul_(2)
    with pytest.raises(RuntimeError, match="inplace operation"):
        loss.backward()


def test_embedding_with_a_largest_norm_trains_as_torch_s(front):
    ours, theirs = pair(front, lambda: nn.Embedding(6, 5, max_norm=0.3))
    for module in (ours, theirs):
        module(torch.tensor([0, 2, 2, 5])).pow(3).sum().backward()
    torch.testing.assert_close(front.original(ours).grad, front.original(theirs).grad)


@pytest.mark.filterwarnings("ignore:Complex modules")
@pytest.mark.parametrize("layer", ["linear", "conv-transposed"])
def test_gradcheck_of_complex_weights(front, layer):
    module = SMALL[layer]().to(torch.complex128)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn_like(p))
    front.apply(module, init_iterations=3)
    run = weight_function(front, module)
    leaf = front.original(module).detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(run, (leaf,))
    assert torch.autograd.gradgradcheck(run, (leaf,))


@pytest.mark.filterwarnings("ignore:Complex modules")
def test_complex_weight_has_norm_one(front):
    module = nn.Linear(6, 8, bias=False).to(torch.complex128)
    with torch.no_grad():
        module.weight.copy_(torch.randn_like(module.weight))
    front.apply(module, n_power_iterations=200)
    norm = torch.linalg.matrix_norm(front.normalized(module).detach(), 2)
    torch.testing.assert_close(norm, torch.ones_like(norm), rtol=1e-9, atol=0)
    assert not rsspecnorm.torch.module_sigma(module).is_complex()


def test_detached_sigma_is_a_constant(front):
    module = front.apply(nn.Linear(6, 8, bias=False).double(), detach_sigma=True)
    weight = front.normalized(module)
    grad = torch.randn_like(weight)
    (result,) = torch.autograd.grad(weight, front.original(module), grad)
    torch.testing.assert_close(result, grad / rsspecnorm.torch.module_sigma(module))


@pytest.mark.parametrize("coefficient", [0.5, 3.0])
def test_soft_rule_only_shrinks(front, coefficient):
    module = nn.Linear(6, 8, bias=False).double()
    raw = module.weight.detach().clone()
    front.apply(module, soft=True, coefficient=coefficient, n_power_iterations=100)
    weight = front.normalized(module).detach()
    norm = torch.linalg.matrix_norm(raw, 2)
    expected = raw * min(1.0, float(coefficient / norm))
    torch.testing.assert_close(weight, expected, rtol=1e-8, atol=0)


def test_coefficient_is_the_norm(front):
    module = front.apply(nn.Linear(6, 8).double(), coefficient=2.5, n_power_iterations=100)
    norm = torch.linalg.matrix_norm(front.normalized(module).detach(), 2)
    torch.testing.assert_close(norm, torch.full_like(norm, 2.5), rtol=1e-8, atol=0)


def test_gradient_of_half_weight_is_that_of_float32(front):
    module = front.apply(nn.Linear(16, 8, bias=False).bfloat16())
    weight = front.normalized(module)
    (grad,) = torch.autograd.grad(weight.float().square().sum(), front.original(module))
    wide = front.original(module).detach().float().requires_grad_()
    u, v = front.vectors(module)
    ((wide / (u @ wide @ v)).square().sum()).backward()
    torch.testing.assert_close(grad.float(), wide.grad, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_round_the_vectors(front, dtype):
    module = front.apply(nn.Linear(64, 48))
    twin = front.apply(nn.Linear(64, 48))
    twin.load_state_dict(module.state_dict())
    x = sample_input(module)
    with torch.autocast("cpu", dtype=dtype):
        out = module(x)
        out.float().sum().backward()
    twin(x)
    for ours, theirs in zip(front.vectors(module), front.vectors(twin), strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, theirs)
    assert front.original(module).grad.isfinite().all()
