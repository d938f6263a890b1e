"""Registration: torch's errors, messages, counts of iterations and draws, and what follows."""

import copy
import re

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from torch_fronts import HOOK, LAYERS, PARAMETRIZATION, assert_same_state, pair, sample_input


def both(front, make, *args, **options):
    """Return how ours and torch's fail."""
    raised = []
    for apply in (front.apply, front.reference):
        with pytest.raises(Exception) as info:  # noqa: PT011 - compared below
            apply(make(), *args, **options)
        raised.append(info.value)
    return raised


@pytest.mark.parametrize("k", [0, -1])
def test_iterations_must_be_positive(front, k):
    ours, theirs = both(front, lambda: nn.Linear(3, 4), n_power_iterations=k)
    assert (type(ours), str(ours)) == (type(theirs), str(theirs))


def test_iterations_must_be_an_integer(front):
    with pytest.raises(TypeError):
        front.apply(nn.Linear(3, 4), n_power_iterations=1.5)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: nn.Linear(3, 4), "nothing"),
        (lambda: nn.Linear(3, 4, bias=False), "bias"),
        (lambda: nn.LazyLinear(4), "weight"),
    ],
)
def test_missing_parameter_is_torchs_error(front, make, name):
    ours, theirs = both(front, make, name)
    assert (type(ours), str(ours)) == (type(theirs), str(theirs))


@pytest.mark.parametrize("dim", [2, -3])
def test_dim_out_of_range_is_named(front, dim):
    expected = re.escape(f"expected to be in range of [-2, 1] but got {dim}")
    with pytest.raises(IndexError, match=expected):
        front.apply(nn.Linear(3, 4), dim=dim)


def test_negative_dim_counts_from_the_end(front):
    module = front.apply(nn.Conv2d(2, 3, (4, 5)), dim=-1)
    assert front.vectors(module)[0].shape == (5,)


@pytest.mark.parametrize(
    "options",
    [
        {"coefficient": 0.0},
        {"coefficient": float("nan")},
        {"init": "fixed"},
        {"init_iterations": -1},
        {"norm": "bound"},
        {"norm": "operator"},
        {"norm": "operator", "input_shape": (3, 8)},
        {"norm": "operator", "input_shape": (4, 8, 8)},
    ],
)
def test_bad_option_is_a_value_error(front, options):
    module = nn.Conv2d(3, 4, 3)
    with pytest.raises(ValueError, match=next(reversed(options))):
        front.apply(module, **options)
    assert set(module.state_dict()) == {"weight", "bias"}
    assert type(module) is nn.Conv2d


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("k", [1, 3])
def test_registration_iterates_as_torch(front, training, k):
    """15 iterations, and k more for the read in training; the hook none."""
    ours, theirs = pair(front, lambda: nn.Linear(6, 8).train(training), n_power_iterations=k)
    assert_same_state(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_start_is_torchs_draw(front, layer, dtype):
    ours, theirs = pair(front, LAYERS[layer], dtype=dtype)
    assert_same_state(ours, theirs, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=1e-5)


def zero_linear():
    """No step can be taken on a weight of zeros, so that the draw itself is seen."""
    module = nn.utils.skip_init(nn.Linear, 3, 4)
    nn.init.zeros_(module.weight)
    return module


def test_generator_is_the_source_of_the_draw(front):
    before = torch.get_rng_state()
    seeds = (torch.Generator().manual_seed(5), 5, 6)
    made = [front.apply(zero_linear(), generator=seed) for seed in seeds]
    assert torch.equal(torch.get_rng_state(), before)
    first, second, third = (front.vectors(m)[0] for m in made)
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def settings(front, module):
    """Return what holds the arguments: the parametrization, or the hook."""
    if front.name == "hook":
        return next(iter(module._forward_pre_hooks.values()))
    return module.parametrizations.weight[0]


@pytest.mark.parametrize("count", [0, 5])
def test_iterations_set_later_are_made(front, count):
    twins = pair(front, lambda: nn.Linear(6, 8))
    x = torch.ones(2, 6, dtype=torch.float64)
    for module in twins:
        front.normalized(module, x)  # torch's hook begins with a step, as its signs may differ
        settings(front, module).n_power_iterations = count
        assert settings(front, module).n_power_iterations == count
        front.normalized(module, x)
    torch.testing.assert_close(twins[0](x), twins[1](x))
    assert_same_state(*twins, rtol=1e-10, atol=1e-12)
    for module in twins:
        module(x).square().sum().backward()
    grads = (front.original(module).grad for module in twins)
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_power_iterations", -1), ("eps", -1.0), ("eps", float("nan")), ("dim", 2)],
)
def test_bad_value_set_later_is_refused(front, name, value):
    module = front.apply(nn.Linear(6, 8))
    before = getattr(settings(front, module), name)
    with pytest.raises((ValueError, IndexError), match=name if name != "dim" else "range"):
        setattr(settings(front, module), name, value)
    assert getattr(settings(front, module), name) == before
    with pytest.raises(TypeError):
        settings(front, module).n_power_iterations = 1.5
    with pytest.raises(ValueError, match="dim must be an axis of length 8"):
        settings(front, module).dim = 1


def test_eps_set_later_is_the_floor_of_a_vector():
    module = nn.Linear(3, 2)
    nn.init.constant_(module.bias, 1e-3)
    PARAMETRIZATION.apply(module, "bias")
    module.parametrizations.bias[0].eps = 0.1
    torch.testing.assert_close(module.bias.detach(), torch.full((2,), 1e-2))


def test_dim_set_later_turns_the_weight(front):
    ours, theirs = pair(front, lambda: nn.Linear(7, 7))
    for module in (ours, theirs):
        settings(front, module).dim = 1
        front.normalized(module, torch.ones(2, 7, dtype=torch.float64))
    assert_same_state(ours, theirs, rtol=1e-10, atol=1e-12)


def test_every_read_in_training_iterates_and_none_in_eval():
    module = PARAMETRIZATION.apply(nn.Linear(6, 8))
    u = PARAMETRIZATION.vectors(module)[0]
    before = u.clone()
    _ = module.weight
    assert not torch.equal(u, before)
    before = u.clone()
    _ = module.eval().weight
    assert torch.equal(u, before)


def test_cached_reads_once():
    module = PARAMETRIZATION.apply(nn.Linear(6, 8))
    with parametrize.cached():
        assert module.weight is module.weight


def test_assignment_stores_what_is_given():
    module = PARAMETRIZATION.apply(nn.Linear(6, 8))
    value = torch.randn(8, 6)
    module.weight = value
    assert torch.equal(PARAMETRIZATION.original(module), value)


def test_removal_can_leave_the_raw_weight():
    module = nn.Linear(6, 8)
    raw = module.weight.detach().clone()
    PARAMETRIZATION.apply(module)
    parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
    assert torch.equal(module.weight, raw)


def test_buffer_can_be_parametrized():
    module = nn.Module()
    module.register_buffer("table", torch.randn(5, 4))
    PARAMETRIZATION.apply(module, "table", n_power_iterations=50)
    torch.testing.assert_close(
        torch.linalg.matrix_norm(module.table, 2), torch.tensor(1.0), rtol=1e-4, atol=0
    )


def test_whole_parametrized_module_is_not_pickled():
    with pytest.raises(RuntimeError, match="state_dict"):
        copy.copy(PARAMETRIZATION.apply(nn.Linear(6, 8))).__getstate__()


def test_two_names_of_one_module(front):
    rnn = nn.LSTM(4, 5)
    for name in ("weight_hh_l0", "weight_ih_l0"):
        front.apply(rnn, name, n_power_iterations=30)
    rnn(torch.randn(2, 3, 4))
    for name in ("weight_hh_l0", "weight_ih_l0"):
        norm = torch.linalg.matrix_norm(getattr(rnn, name).detach(), 2)
        torch.testing.assert_close(norm, torch.tensor(1.0), rtol=1e-3, atol=0)
    front.remove(rnn, "weight_hh_l0")
    rnn(torch.randn(2, 3, 4))
    assert isinstance(rnn.weight_hh_l0, nn.Parameter)
    assert not isinstance(rnn.weight_ih_l0, nn.Parameter)


def test_attention_uses_the_normalized_weight(front):
    attention = nn.MultiheadAttention(8, 2)
    front.apply(attention, "in_proj_weight", n_power_iterations=20)
    x = torch.randn(3, 2, 8)
    out, _ = attention(x, x, x)
    out.sum().backward()
    assert next(attention.parameters()).grad is not None


def test_hooks_of_torch_can_remove_ours():
    module = HOOK.apply(nn.Linear(6, 8))
    nn.utils.remove_spectral_norm(module)
    module.load_state_dict(nn.Linear(6, 8).state_dict())


@pytest.mark.parametrize("name", ["weight_orig", "nothing"])
def test_removal_of_what_is_not_there_is_torchs_error(name):
    with pytest.raises(ValueError, match=f"spectral_norm of '{name}' not found in"):
        HOOK.remove(HOOK.apply(nn.Linear(6, 8)), name)


def test_plain_dict_loads_after_removal(front):
    module = front.remove(front.apply(nn.Linear(6, 8)).eval())
    module.load_state_dict(nn.Linear(6, 8).state_dict())


@pytest.mark.parametrize("layer", LAYERS)
def test_sigma_of_many_iterations_is_the_norm(front, layer):
    module = front.apply(LAYERS[layer]().double(), n_power_iterations=200)
    weight = front.normalized(module).detach()
    dim = 1 if isinstance(module, nn.ConvTranspose2d) else 0
    norm = torch.linalg.matrix_norm(weight.movedim(dim, 0).flatten(1), 2)
    torch.testing.assert_close(norm, torch.ones_like(norm), rtol=1e-6, atol=0)
    assert sample_input(module) is not None
