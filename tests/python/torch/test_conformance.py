"""The 31 properties that torch's own tests assert of its two layers, by their numbers."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from torch_fronts import HOOK, LAYERS, PARAMETRIZATION, assert_same_state, pair, sample_input

DOUBLE = torch.float64


@pytest.fixture(params=[True, False], ids=["grad", "frozen"])
def module(request, front):
    inner = nn.Linear(5, 7).to(DOUBLE)
    inner.weight.requires_grad_(request.param)
    return front.apply(inner)


@pytest.fixture
def wrapped(module):
    return nn.Sequential(nn.Linear(3, 5).to(DOUBLE), module)


def reset(front, module, saved):
    with torch.no_grad():
        for buffer, value in zip(front.vectors(module), saved, strict=True):
            buffer.copy_(value)


def frozen_vectors(front, module):
    return [x.clone() for x in front.vectors(module)]


def test_names_and_shapes(front, module):  # 1 to 5
    original = front.original(module)
    u, v = front.vectors(module)
    assert u.shape == (7,)
    assert v.shape == (5,)
    assert isinstance(original, nn.Parameter)
    assert "weight" not in dict(module.named_buffers())
    assert "weight" not in dict(module.named_parameters())
    weight = module.weight
    assert weight.size() == original.size()
    assert weight.stride() == original.stride()


def test_hook_weight_shares_storage_before_the_first_forward():  # 6
    module = HOOK.apply(nn.Linear(5, 7))
    assert module.weight.data_ptr() == module.weight_orig.data_ptr()


def test_removal_restores_a_parameter(front, module):  # 7
    original = front.original(module)
    front.remove(module)
    assert set(dict(module.named_parameters())) == {"weight", "bias"}
    assert not list(module.buffers())
    assert not hasattr(module, "parametrizations")
    assert not hasattr(module, "weight_orig")
    assert module.weight is original
    assert type(module) is nn.Linear


def test_second_hook_is_refused():  # 8
    for apply in (HOOK.apply, HOOK.reference):
        module = HOOK.apply(nn.Linear(5, 7))
        with pytest.raises(RuntimeError, match="register two spectral_norm hooks"):
            apply(module)


def test_parametrizations_stack_and_come_off_one_by_one():  # 9
    module = nn.Linear(5, 7)
    for _ in range(2):
        PARAMETRIZATION.apply(module)
    PARAMETRIZATION.apply(module, "bias")
    torch.testing.assert_close(module.bias.norm(), torch.tensor(1.0))
    assert len(module.parametrizations.weight) == 2
    PARAMETRIZATION.remove(module, "bias")
    assert parametrize.is_parametrized(module, "weight")
    assert not parametrize.is_parametrized(module, "bias")
    PARAMETRIZATION.remove(module)
    assert not parametrize.is_parametrized(module)
    assert type(module) is nn.Linear


def test_training_forward_moves_the_vectors(front, module, wrapped):  # 10
    if front.name == "parametrization":
        with torch.no_grad():
            front.original(module).add_(torch.randn(7, 5, dtype=DOUBLE))
    before = frozen_vectors(front, module)
    wrapped(torch.randn(3, 3, dtype=DOUBLE))
    for old, new in zip(before, front.vectors(module), strict=True):
        assert not torch.equal(old, new)


def test_gradient_reaches_the_original(front, module, wrapped):  # 11
    original = front.original(module)
    out = wrapped(torch.randn(3, 3, dtype=DOUBLE))
    if original.requires_grad:
        (grad,) = torch.autograd.grad(out.sum(), original)
        assert grad.abs().sum() > 0


def test_two_forwards_then_backward(front, module, wrapped):  # 12
    saved = frozen_vectors(front, module)
    x = torch.randn(3, 3, dtype=DOUBLE, requires_grad=True)
    loss = wrapped(x).square().sum() + wrapped(x + 1).square().sum()
    leaves = [p for p in wrapped.parameters() if p.requires_grad]
    assert all(g.isfinite().all() for g in torch.autograd.grad(loss, leaves))

    def run(x):
        reset(front, module, saved)
        return wrapped(x).sum() + wrapped(x * 2).square().sum()

    assert torch.autograd.gradcheck(run, (x,))


def test_removal_after_a_forward_keeps_the_output(front, module, wrapped):  # 13
    x = torch.randn(2, 3, dtype=DOUBLE)
    expected = wrapped(x)
    if front.name == "parametrization":
        module.eval()
    front.remove(module)
    torch.testing.assert_close(wrapped(x), expected)


def test_wrapping_again_and_removing_keeps_the_output(front, module, wrapped):  # 14
    x = torch.randn(2, 3, dtype=DOUBLE)
    module.eval()
    front.remove(module)
    module.train()
    front.apply(module)
    for _ in range(3):
        expected = wrapped(x)
    module.eval()
    front.remove(module)
    torch.testing.assert_close(wrapped(x), expected)


def test_eval_repeats_the_last_training_output(front, module, wrapped):  # 15, 16
    x = torch.randn(2, 3, dtype=DOUBLE)
    expected = wrapped(x)
    wrapped.eval()
    before = frozen_vectors(front, module)
    first, second = wrapped(x), wrapped(x)
    torch.testing.assert_close(first, expected)
    assert torch.equal(first, second)
    for old, new in zip(before, front.vectors(module), strict=True):
        assert torch.equal(old, new)


def test_gradcheck_over_a_mix_of_modes(front, module, wrapped):  # 17
    saved = frozen_vectors(front, module)

    def run(x):
        reset(front, module, saved)
        outs = []
        for training in (True, False, True, False):
            wrapped.train(training)
            outs.append(wrapped(x))
        return sum(outs)

    assert torch.autograd.gradcheck(run, (torch.randn(2, 3, dtype=DOUBLE, requires_grad=True),))


def test_gradcheck_reaches_the_original_in_eval(front, module):  # 18
    module.eval()
    weight = front.original(module)
    if not weight.requires_grad:
        return
    x = torch.randn(2, 5, dtype=DOUBLE)

    def run(weight):
        return torch.func.functional_call(module, {front.orig: weight}, (x,))

    assert torch.autograd.gradcheck(run, (weight.detach().requires_grad_(),))


def test_state_dict_keys_and_metadata(front, module):  # 20, 23
    state = module.state_dict()
    assert set(state) == {front.orig, "bias", front.u, front.v}
    if front.name == "hook":
        assert state._metadata[""]["spectral_norm"] == {"weight.version": 1}


def test_strict_load_refuses_an_extra_key(module):  # 21
    state = module.state_dict()
    state["nonsense"] = torch.zeros(())
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "nonsense"'):
        module.load_state_dict(state)


def test_lenient_load_takes_what_is_left(front, module):  # 22
    state = module.state_dict()
    for key in (front.orig, front.u, front.v, "bias"):
        state = copy.copy(state)
        del state[key]
        module.load_state_dict(state, strict=False)
        if hasattr(state, "_metadata"):
            del state._metadata
    state["weight"] = torch.zeros(7, 5, dtype=DOUBLE)
    module.load_state_dict(state, strict=False)


def outputs(wrapped, x):
    """Outputs of an eval, train, train, eval sequence."""
    results = []
    for training in (False, True, True, False):
        wrapped.train(training)
        results.append(wrapped(x).detach())
    return results


@pytest.mark.parametrize("activations", [0, 3])
def test_loading_reproduces_the_outputs(front, wrapped, activations):  # 25, 26, 27
    module, x = wrapped[1], torch.randn(2, 3, dtype=DOUBLE)
    for _ in range(activations):
        wrapped(x)
    state = copy.deepcopy(module.state_dict())
    plain = {key: value.clone() for key, value in state.items()}
    expected = outputs(wrapped, x)
    for saved in (state, plain):  # 25: without metadata it is read as current
        front.remove(module.eval())
        front.apply(module.train())
        module.load_state_dict(saved)
        for result, wanted in zip(outputs(wrapped, x), expected, strict=True):
            torch.testing.assert_close(result, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("activations", [0, 3])
def test_hook_loads_a_dict_without_version(activations):  # 24, 27
    torch.manual_seed(0)
    wrapped = nn.Sequential(nn.Linear(3, 5), HOOK.apply(nn.Linear(5, 7))).to(DOUBLE)
    module, x = wrapped[1], torch.randn(2, 3, dtype=DOUBLE)
    for _ in range(activations):
        wrapped(x)
    old = copy.deepcopy(module.state_dict())
    # Before version 1 the dict held the normalised weight and no v.
    old["weight"] = old["weight_orig"] / (old["weight_u"] @ old["weight_orig"] @ old["weight_v"])
    del old["weight_v"]
    del old._metadata[""]["spectral_norm"]
    expected = outputs(wrapped, x)
    module.load_state_dict(old)
    if activations:
        for result, wanted in zip(outputs(wrapped, x), expected, strict=True):
            torch.testing.assert_close(result, wanted)


def test_transposed_convolution_counts_outputs_on_axis_1(front):  # 28
    module = front.apply(nn.ConvTranspose2d(3, 4, (5, 6)))
    assert module(torch.randn(2, 3, 7, 7)).shape == (2, 4, 11, 12)
    assert front.vectors(module)[0].shape == (4,)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("k", [1, 3])
def test_one_step_is_that_of_torch(front, layer, k):  # 29, and 30 for torch's own start
    ours, theirs = pair(front, LAYERS[layer], n_power_iterations=k)
    assert_same_state(ours, theirs, rtol=1e-10, atol=1e-12)
    x = sample_input(ours)
    for training in (True, True, False):
        ours.train(training), theirs.train(training)
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-10, atol=1e-12)
        assert_same_state(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Complex modules")
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_diagonal_weight_is_exact_after_registration(dtype):  # 30
    module = nn.Linear(2, 2).to(dtype)
    x = torch.randn(2, dtype=dtype)
    with torch.no_grad():
        module.weight.copy_(torch.diag(x))
    PARAMETRIZATION.apply(module)
    expected = torch.diag(x / x.abs().max())
    torch.testing.assert_close(module.weight, expected, rtol=1e-3, atol=1e-3)


def test_hook_pickles():  # 31
    module = HOOK.apply(nn.Linear(5, 7))
    for _ in range(2):
        again = pickle.loads(pickle.dumps(module))  # noqa: S301 - our own bytes
        assert isinstance(again, nn.Linear)
        x = torch.randn(3, 5)
        assert torch.equal(again.eval()(x), module.eval()(x))
        module.train()(x)
