"""Many layers in one call: groups, and what they share with single layers."""

import copy
import gc
import threading
import weakref

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations as torchs
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from rsspecnorm.torch import SpectralNormGroup, apply_spectral_norm, fold, module_sigma
from rsspecnorm.torch.parametrizations import spectral_norm


class Net(nn.Module):
    def __init__(self, wrap=lambda layer: layer):
        super().__init__()
        torch.manual_seed(4)
        self.conv = wrap(nn.Conv2d(2, 4, 3))
        self.up = wrap(nn.ConvTranspose2d(4, 3, 2))
        self.head = wrap(nn.Linear(3 * 25, 8))
        self.same = wrap(nn.Linear(8, 8))
        self.also = wrap(nn.Linear(8, 8))

    def forward(self, x):
        h = torch.tanh(self.up(torch.tanh(self.conv(x))))
        return self.also(torch.tanh(self.same(torch.tanh(self.head(h.flatten(1))))))


def each_by_itself(model):
    for layer in model:
        spectral_norm(layer)


def pair():
    """Equal models, as a group and layer by layer, with equal vectors."""
    single = Net(spectral_norm).double()
    grouped = Net().double()
    group = SpectralNormGroup(grouped)
    grouped.load_state_dict(single.state_dict())
    return grouped, group, single


def images():
    return torch.randn(2, 2, 6, 6, dtype=torch.float64)


def test_group_trains_as_single_layers():
    grouped, group, single = pair()
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.1) for m in (grouped, single)]
    for _ in range(5):
        x = images()
        for model, optimizer in zip((grouped, single), optimizers, strict=True):
            optimizer.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
        for ours, theirs in zip(grouped.parameters(), single.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad)
    for ours, theirs in zip(grouped.state_dict().items(), single.state_dict().items(), strict=True):
        assert ours[0] == theirs[0]
        torch.testing.assert_close(ours[1], theirs[1])
    assert set(group.sigma) == {f"{n}.weight" for n in ("conv", "up", "head", "same", "also")}
    torch.testing.assert_close(group.sigma["up.weight"], module_sigma(single.up))


def test_two_forwards_and_a_second_derivative():
    grouped, _, single = pair()
    grads = []
    for model in (grouped, single):
        torch.manual_seed(8)
        x = images().requires_grad_()
        loss = model(x).sum() - model(x + 1).sum()
        (slope,) = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)
        (loss + slope.square().sum()).backward()
        grads.append([p.grad for p in model.parameters()])
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_reading_a_weight_moves_nothing():
    grouped, _, _ = pair()
    before = copy.deepcopy(grouped.state_dict())
    assert grouped.head.weight.shape == (8, 75)
    assert torch.equal(grouped.head.weight, grouped.head.weight)
    for key, value in grouped.state_dict().items():
        assert torch.equal(value, before[key])


def test_weight_read_twice_in_a_forward_is_one():
    model = nn.Linear(4, 4)
    group = SpectralNormGroup([model])
    u = model.parametrizations.weight[0]._u
    group.update()
    before = u.clone()
    assert torch.equal(model.weight, model.weight)
    assert torch.equal(u, before)
    group.update()
    assert not torch.equal(u, before)


def test_update_serves_one_backward_and_sees_writes():
    layer = nn.Linear(4, 4, bias=False).double()
    group = SpectralNormGroup([layer])
    x = torch.randn(2, 4, dtype=torch.float64)
    group.update()
    for _ in range(2):  # the second backward finds a graph of its own
        layer(x).square().sum().backward()
    group.update()
    with torch.no_grad():
        layer.parametrizations.weight.original.fill_(1.0)
        norm = torch.linalg.matrix_norm(layer.weight, 2)
        assert layer.weight.unique().numel() == 1
    assert norm.isfinite()
    with torch.no_grad():
        group.update()
    layer(x).sum().backward()  # a share made without grad is not read with it


def test_eval_leaves_the_vectors_and_equals_the_last_training_output():
    grouped, _, _ = pair()
    x = images()
    expected = grouped(x)
    before = [b.clone() for b in grouped.buffers()]
    grouped.eval()
    torch.testing.assert_close(grouped(x), expected)
    for old, new in zip(before, grouped.buffers(), strict=True):
        assert torch.equal(old, new)


def test_deepcopy_and_failed_forward_leave_no_share():
    grouped, _, _ = pair()
    x = images()
    grouped(x)
    again = copy.deepcopy(grouped)
    torch.testing.assert_close(again(x), grouped(x))
    with pytest.raises(RuntimeError):
        grouped(torch.randn(1))
    assert all(m.turn.share is None for m in grouped.modules() if hasattr(m, "turn"))
    again(x).sum().backward()


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_gives_the_plain_gradient(whole, reentrant):
    grouped, _, single = pair()
    xs = [images().requires_grad_() for _ in range(2)]
    if whole:
        losses = [checkpoint(grouped, x, use_reentrant=reentrant).square().sum() for x in xs]
    else:
        inner = grouped.head.forward
        grouped.head.forward = lambda h: checkpoint(inner, h, use_reentrant=reentrant)
        losses = [grouped(x).square().sum() for x in xs]
    sum(losses).backward()
    sum(single(x).square().sum() for x in xs).backward()
    for ours, theirs in zip(grouped.parameters(), single.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("normalized", [True, False])
def test_removal_restores_plain_weights(normalized):
    grouped, group, _ = pair()
    raw = grouped.head.parametrizations.weight.original.detach().clone()
    value = grouped.head.weight.detach().clone()
    group.remove(leave_normalized=normalized)
    assert set(grouped.state_dict()) == set(Net().state_dict())
    torch.testing.assert_close(grouped.head.weight, value if normalized else raw)
    grouped(images())


class Shifted(nn.Module):
    def forward(self, weight):
        return 0.5 * weight + 1


@pytest.mark.parametrize("training", [True, False])
def test_layer_that_is_parametrized_already_has_norm_one(training):
    layers = [nn.Linear(6, 8).double() for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", Shifted())
    group = SpectralNormGroup(layers[:1], n_power_iterations=20)
    spectral_norm(layers[1], n_power_iterations=20)
    layers[0].load_state_dict(layers[1].state_dict())
    for layer in layers:
        layer.train(training)
    group.update()
    x = torch.randn(3, 6, dtype=torch.float64)
    for layer in layers:
        layer(x).square().sum().backward()
    torch.testing.assert_close(layers[0].weight, layers[1].weight)
    norm = torch.linalg.matrix_norm(layers[0].weight, 2)
    torch.testing.assert_close(norm, torch.ones_like(norm), rtol=1e-6, atol=0)
    for ours, theirs in zip(*(layer.parameters() for layer in layers), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    group.remove()
    raw = layers[0].parametrizations.weight.original
    assert torch.equal(layers[0].weight, Shifted()(raw))


@pytest.mark.parametrize("training", [True, False])
def test_group_made_in_inference_mode(training):
    x = images()
    with torch.inference_mode():
        grouped, group, single = pair()
        torch.testing.assert_close(grouped.train(training)(x), single.train(training)(x))
        group.update()
        weight = grouped.head.parametrizations.weight.original
        weight.mul_(torch.rand_like(weight))
        single.load_state_dict(grouped.state_dict())
        torch.testing.assert_close(grouped.head.eval().weight, single.head.eval().weight)


def test_iterations_set_later_are_made_by_the_group_or_one_layer():
    grouped, group, single = pair()
    group.n_power_iterations = 3
    grouped.head.parametrizations.weight[0].n_power_iterations = 7
    assert group.n_power_iterations == 3
    for name in ("conv", "up", "head", "same", "also"):
        weight = single.get_submodule(name).parametrizations.weight
        weight[0].n_power_iterations = 7 if name == "head" else 3
    x = images()
    torch.testing.assert_close(grouped(x), single(x))
    for ours, theirs in zip(grouped.buffers(), single.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    with pytest.raises(ValueError, match="n_power_iterations"):
        group.n_power_iterations = -1


ORIGINAL = "parametrizations.weight.original"


@pytest.mark.parametrize("rows", [2, 4000])
def test_update_serves_the_weight_that_it_saw(rows):
    """Tensors put in its place may have been written to as often."""
    layer = nn.Linear(16, 16, bias=False)
    group = SpectralNormGroup([layer])
    x = torch.randn(rows, 16)
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    layer.load_state_dict(state, assign=True)
    group.update()
    negative = -layer.get_parameter(ORIGINAL).detach()
    swapped = torch.func.functional_call(layer, {ORIGINAL: negative}, (x,))
    group.update()
    expected = layer(x).detach()
    torch.testing.assert_close(swapped.sign(), -expected.sign())
    group.update()
    layer.load_state_dict({**layer.state_dict(), ORIGINAL: negative}, assign=True)
    torch.testing.assert_close(layer.eval()(x).sign(), -expected.sign())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_cast_between_update_and_forward(dtype):
    layer = nn.Linear(16, 16)
    group = SpectralNormGroup([layer])
    group.update()
    layer.to(dtype)
    assert layer(torch.randn(4000, 16, dtype=dtype)).dtype is dtype


def test_write_to_a_weight_that_was_read_stays_with_the_reader():
    grouped, group, _ = pair()
    group.update()
    for layer in (grouped.up, grouped.head, grouped.conv):
        before = layer.weight.detach().clone()
        with torch.no_grad():
            layer.weight.mul_(2)
        torch.testing.assert_close(layer.weight, before)


@pytest.mark.parametrize("rows", [2, 4000])
def test_update_without_a_backward_keeps_nothing_alive(rows):
    layers = [nn.Linear(64, 64), nn.ConvTranspose2d(3, 4, 3)]
    group = SpectralNormGroup(layers)
    for _ in range(2):
        group.update()
        layers[0](torch.randn(rows, 64))
    alive = [weakref.ref(layer.parametrizations.weight.original) for layer in layers]
    del layers, group
    gc.collect()
    assert [each() for each in alive] == [None, None]


def test_predicate_chooses_and_stacks_are_left_alone():
    model = Net()
    spectral_norm(model.same)
    group = apply_spectral_norm(model, lambda _, layer: isinstance(layer, nn.Linear))
    model(images().float())
    assert set(group.sigma) == {"head.weight", "also.weight"}
    assert len(model.same.parametrizations.weight) == 1


def test_nothing_to_normalize_is_an_error():
    with pytest.raises(ValueError, match="at least one layer"):
        SpectralNormGroup(nn.ReLU())


def test_fold_leaves_the_output_and_plain_parameters(front):
    model = Net(front.apply).double()
    model(images())
    x = images()
    expected = model.eval()(x)
    parameters = set(map(id, model.parameters()))
    fold(model.train())
    torch.testing.assert_close(model(x), expected)
    assert set(map(id, model.parameters())) == parameters
    assert set(model.state_dict()) == set(Net().state_dict())


def test_deterministic_group_starts_the_same():
    states = []
    for seed in range(2):
        torch.manual_seed(seed)
        torch.randn(seed + 3)
        model = Net()
        SpectralNormGroup(model, init="deterministic")
        model(torch.ones(1, 2, 6, 6))
        states.append(model.state_dict())
    for key in states[0]:
        assert torch.equal(states[0][key], states[1][key])


def test_vectors_start_where_torchs_do():
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(9, 7), nn.Linear(7, 5)).double()
    for training in (True, False):
        grouped, single = copy.deepcopy(base).train(training), copy.deepcopy(base).train(training)
        torch.manual_seed(1)
        SpectralNormGroup(grouped)
        torch.manual_seed(1)
        for layer in single:
            torchs.spectral_norm(layer)
        for ours, theirs in zip(grouped.buffers(), single.buffers(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


def test_evaluation_in_threads():
    net = nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 10))
    SpectralNormGroup(net)
    net.eval()
    x, errors = torch.randn(3000, 20), []
    with torch.no_grad():
        expected = net(x)

    def work():
        try:
            with torch.no_grad():
                for _ in range(200):
                    torch.testing.assert_close(net(x), expected)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must fail
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize("rows", [2, 20_000])
def test_other_memory_put_in_place_after_the_update(rows):
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    SpectralNormGroup(net)
    net.eval()
    others = {name: p.detach() * 3 + 0.3 for name, p in net.named_parameters()}
    x = torch.ones(rows, 6, dtype=torch.float64)

    def average(module, _):
        for name, p in module.named_parameters():
            p.data = others[name].clone()

    with torch.no_grad():
        net(x)
        handle = net.register_forward_pre_hook(average)
        got = net(x)
        handle.remove()
        torch.testing.assert_close(got, net(x))


def test_weight_of_one_axis_in_a_group():
    net = nn.Sequential(nn.Linear(4, 1, bias=False))
    net[0].weight = nn.Parameter(torch.tensor([3.0, 0.0, 4.0, 0.0]))
    group = SpectralNormGroup(net)
    assert net(torch.ones(3, 4)).shape == (3,)
    torch.testing.assert_close(net[0].weight.detach(), torch.tensor([0.6, 0.0, 0.8, 0.0]))
    assert float(group.sigma["0.weight"]) == 5
    net.half().float().load_state_dict(net.state_dict())
    fold(net)
    torch.testing.assert_close(net[0].weight.detach(), torch.tensor([0.6, 0.0, 0.8, 0.0]))


def test_share_made_in_inference_mode_is_not_differentiated():
    layer = nn.Linear(5, 4)
    group = SpectralNormGroup([layer])
    layer.requires_grad_(False).eval()
    x = torch.ones(5000, 5, requires_grad=True)
    layer(x)
    with torch.inference_mode():
        group.update()
    layer(x).sum().backward()
    expected = layer.weight.sum(0).expand_as(x)
    torch.testing.assert_close(x.grad, expected)


@pytest.mark.parametrize("apply", [SpectralNormGroup, each_by_itself])
@pytest.mark.parametrize("fold_copy", [True, False])
def test_folding_leaves_copies_as_they_are(apply, fold_copy):
    net = nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.Linear(7, 6))
    apply(net)
    net.eval()
    x = torch.ones(1, 3, 5, 5)
    expected = net(x)
    other = copy.deepcopy(net)
    folded, kept = (other, net) if fold_copy else (net, other)
    fold(folded)
    assert type(folded[0]) is nn.ConvTranspose2d
    for each in (folded, kept):
        torch.testing.assert_close(each(x), expected)
        assert each[0].weight.shape == (3, 4, 3, 3)
    fold(kept)
    torch.testing.assert_close(kept(x), expected)


def test_removing_a_group_leaves_copies_as_they_are():
    net = nn.Sequential(nn.Embedding(4, 3))
    group = SpectralNormGroup(net)
    other = copy.deepcopy(net)
    group.remove()
    assert other[0].weight.shape == net[0].weight.shape


class Half(nn.Module):
    def forward(self, weight):
        return weight * 0.5


def two_layers():
    return nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 3))


def test_folding_releases_the_model():
    net, x = two_layers().eval(), torch.randn(2, 6)
    group = SpectralNormGroup(net)
    expected = net(x)
    fold(net)
    assert not net._forward_pre_hooks
    assert not net._forward_hooks
    assert group.sigma == {}
    torch.testing.assert_close(net(x), expected)
    # Not even the shapes are the group's business any more.
    net[0].weight.data, net[0].bias.data = net[0].weight.data[:5], net[0].bias.data[:5]
    net[1].weight.data = net[1].weight.data[:, :5]
    assert net(x).shape == (2, 3)


def test_layers_that_lost_their_normalisation_are_forgotten():
    net, x = two_layers(), torch.randn(2, 6)
    group = SpectralNormGroup(net)
    fold(net[0])
    net(x)
    assert list(group.sigma) == ["1.weight"]
    parametrize.remove_parametrizations(net[1], "weight")
    net(x)
    assert group.sigma == {}
    assert not net._forward_pre_hooks


def test_removal_leaves_what_came_later():
    net = two_layers()
    group = SpectralNormGroup(net)
    fold(net)
    SpectralNormGroup(net[0])
    spectral_norm(net[1])
    parametrize.register_parametrization(net[1], "weight", Half())
    group.remove()
    assert [len(layer.parametrizations.weight) for layer in net] == [1, 2]


def test_removal_after_another_parametrization_makes_no_step():
    layer = nn.Linear(6, 5)
    parametrize.register_parametrization(layer, "weight", Half())
    group = SpectralNormGroup([layer], init_iterations=0)
    layer(torch.randn(2, 6))
    expected = layer.eval().weight.detach()
    layer.train()
    group.remove(leave_normalized=True)
    torch.testing.assert_close(layer.weight.detach(), expected)


def test_layers_are_looked_at_before_any_is_changed():
    layer = nn.Linear(6, 6)
    with pytest.raises(ValueError, match="has no parameter or buffer"):
        SpectralNormGroup([layer, nn.ReLU()])
    assert type(layer) is nn.Linear


def test_layer_given_twice_is_normalised_once():
    layer = nn.Linear(6, 6)
    group = SpectralNormGroup([layer, layer])
    assert len(layer.parametrizations.weight) == 1
    assert list(group.sigma) == ["0.weight"]
