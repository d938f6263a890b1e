"""Layers that divide their output: equal to those that divide their weight, and safe in between."""

import copy
import gc
import weakref
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations as torch_parametrizations
from torch.nn.utils import parametrize

from rsspecnorm.torch import SpectralNormGroup, eager, module_sigma, products, scaled
from rsspecnorm.torch.member import GroupMember
from rsspecnorm.torch.parametrizations import spectral_norm
from torch_fronts import small_batch

F64 = {"rtol": 1e-11, "atol": 1e-12}


@pytest.fixture(params=["small", "large", "by the core"])
def path(request, monkeypatch):
    """Layers of three sizes go about it in three ways: in place of all paths."""
    if request.param != "small":
        monkeypatch.setattr(products, "_SMALL", 0)
    if request.param == "by the core":
        monkeypatch.setattr(products, "_LEAST", 0)
        monkeypatch.setattr(products, "_IS_AMD", True)
        monkeypatch.setattr(products, "_THREADS", np.inf)
    return request.param


MAKERS = {
    "linear": (lambda: nn.Linear(200, 150), (3, 200)),
    "linear of many rows": (lambda: nn.Linear(200, 150), (40, 200)),
    "linear without bias": (lambda: nn.Linear(200, 150, bias=False), (2, 5, 200)),
    "conv of few places": (lambda: nn.Conv2d(40, 96, 3, stride=2, padding=1), (2, 40, 4, 3)),
    "conv of one place": (lambda: nn.Conv2d(40, 96, (3, 2)), (1, 40, 3, 2)),
    "conv dilated": (lambda: nn.Conv2d(40, 96, 3, dilation=2, padding=2), (1, 40, 5, 6)),
    "conv of more places": (lambda: nn.Conv2d(40, 96, 3, padding=1, bias=False), (1, 40, 9, 12)),
    "conv with groups": (lambda: nn.Conv2d(80, 160, 3, groups=2), (1, 80, 4, 5)),
    "conv in one dimension": (lambda: nn.Conv1d(80, 120, 3), (2, 80, 7)),
    "conv in three": (lambda: nn.Conv3d(24, 48, 3, padding=1), (1, 24, 3, 3, 4)),
}


def twins(make, **options):
    """Return equal layers in double precision: torch's and ours."""
    torch.manual_seed(0)
    base = make().double()
    pair = []
    for apply in (torch_parametrizations.spectral_norm, spectral_norm):
        torch.manual_seed(1)
        pair.append(apply(copy.deepcopy(base), **options))
    return pair


@pytest.mark.parametrize("through_x", [True, False])
@pytest.mark.parametrize("name", MAKERS)
def test_equals_torch_over_steps(name, through_x, taken):
    make, shape = MAKERS[name]
    found = []
    for layer in twins(make):
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        torch.manual_seed(2)
        x = torch.randn(shape, dtype=torch.float64, requires_grad=through_x)
        for _ in range(4):
            optimizer.zero_grad()
            x.grad = None
            out = layer(x)
            out.tanh().square().sum().backward()
            optimizer.step()
        grads = [p.grad for p in layer.parameters()]
        found.append([out, x.grad, *grads, *layer.parameters(), *layer.buffers()])
    assert len(taken) == 4
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **F64)


@pytest.mark.parametrize("name", MAKERS)
def test_second_derivative_equals_torch(name, taken):
    make, shape = MAKERS[name]
    found = []
    for layer in twins(make):
        torch.manual_seed(2)
        x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(layer(x).tanh().sum(), x, create_graph=True)
        (slope.square().sum() + slope.sum()).backward()
        found.append([slope, x.grad, *(p.grad for p in layer.parameters())])
    assert taken
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **F64)


@pytest.mark.parametrize("create_graph", [True, False])
@pytest.mark.parametrize("names", [("x",), ("weight",), ("bias",), ("weight", "bias")])
def test_derivatives_by_some_operands_alone(names, create_graph, taken):
    found = []
    for layer in twins(lambda: nn.Linear(200, 150)):
        torch.manual_seed(2)
        x = torch.randn(3, 200, dtype=torch.float64, requires_grad=True)
        leaf = layer.parametrizations.weight.original
        operands = {"x": x, "weight": leaf, "bias": layer.bias}
        inputs = [operands[name] for name in names]
        loss = layer(x).square().sum()
        found.append(torch.autograd.grad(loss, inputs, create_graph=create_graph))
    assert len(taken) == 1
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **F64)


def test_options_change_the_divisor_and_its_gradient(taken):
    x = torch.randn(3, 200, dtype=torch.float64)
    for options in (
        {"coefficient": 0.5},
        {"coefficient": 100.0, "soft": True},
        {"soft": True, "coefficient": 0.1},
        {"detach_sigma": True},
        {"n_power_iterations": 3},
    ):
        grads = []
        for is_open in (True, False):
            torch.manual_seed(0)
            layer = spectral_norm(nn.Linear(200, 150).double(), **options)
            with pytest.MonkeyPatch.context() as patch:
                if not is_open:
                    patch.setattr(scaled, "open_now", lambda: False)
                out = layer(x)
            out.square().sum().backward()
            grads.append([out, *(p.grad for p in layer.parameters()), *layer.buffers()])
        for ours, expected in zip(*grads, strict=True):
            torch.testing.assert_close(ours, expected, **F64)
    assert len(taken) == 5


def twice(layer, x):
    return layer(layer(x).relu())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("name", MAKERS)
def test_equals_torch_whatever_the_mode(name, grad, training, monkeypatch):
    make, shape = MAKERS[name]
    found, divided = [], []
    monkeypatch.setattr(scaled, "_divided", lambda *_: divided.append(1))
    for layer in twins(make):
        layer.train(training)
        torch.manual_seed(2)
        x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        with torch.set_grad_enabled(grad):
            outs = [layer(x) for _ in range(3)]
        if grad:
            sum(out.square().sum() for out in outs).backward()
        assert outs[0].requires_grad is grad
        found.append([*outs, x.grad, *(p.grad for p in layer.parameters()), *layer.buffers()])
    for theirs, ours in zip(*found, strict=True):
        if theirs is not None:
            torch.testing.assert_close(ours, theirs, **F64)
    assert not divided


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_evaluation_moves_nothing_and_shows_its_sigma(mode):
    layer = spectral_norm(nn.Linear(200, 160)).eval()
    before = [x.clone() for x in layer.buffers()]
    with mode():
        out = layer(small_batch())
        out += 1  # like any other output it can be written to
    assert all(map(torch.equal, layer.buffers(), before))
    weight = layer.parametrizations.weight.original.detach()
    expected = before[0] @ weight @ before[1]
    torch.testing.assert_close(module_sigma(layer), expected)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), 1e-30])
def test_evaluation_of_a_weight_out_of_the_ordinary(value):
    layer = spectral_norm(nn.Linear(200, 160)).eval()
    with torch.no_grad():
        layer.parametrizations.weight.original.fill_(value)
        x = small_batch()
        expected = nn.functional.linear(x, layer.weight, layer.bias)
        torch.testing.assert_close(layer(x), expected, equal_nan=True)


@pytest.mark.parametrize("grad", [True, False])
def test_group_evaluates_without_dividing(grad, monkeypatch):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(200, 160), nn.Linear(160, 120))
    group = SpectralNormGroup(net)
    net.eval()
    shares = []
    monkeypatch.setattr(GroupMember, "take_share", lambda self, *_: shares.append(self))
    before = [x.clone() for x in net.buffers()]
    x = small_batch()
    with torch.set_grad_enabled(grad):
        out = net(x)
    assert not shares
    assert out.requires_grad is grad
    assert all(map(torch.equal, net.buffers(), before))
    for layer in net:
        x = nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(out, x)
    assert set(group.sigma) == {"0.weight", "1.weight"}


def test_copies_keep_the_way_and_removal_ends_it(taken):
    layer = spectral_norm(nn.Linear(200, 160))
    copy.deepcopy(layer)(small_batch())
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear
    layer(small_batch())
    assert len(taken) == 1


WRITES = {
    "in place": lambda weight: weight.mul_(3.0),
    "through data": lambda weight: weight.data.mul_(3.0),
    "by an optimizer": lambda weight: torch.optim.SGD([weight], lr=10.0).step(),
}


@pytest.mark.parametrize("name", WRITES)
def test_backward_sees_the_weight_of_its_forward(name, taken):
    grads = []
    for write in (WRITES[name], lambda _: None):
        torch.manual_seed(0)
        layer = spectral_norm(nn.Linear(200, 160))
        weight = layer.parametrizations.weight.original
        weight.grad = torch.ones_like(weight)
        x = small_batch().requires_grad_()
        loss = layer(x).square().sum()
        with torch.no_grad():
            write(weight)
        grads.append(torch.autograd.grad(loss, [x, weight]))
    assert len(taken) == 2
    for ours, expected in zip(*grads, strict=True):
        assert torch.equal(ours, expected)


def test_weight_is_never_copied_in_a_step(taken):
    layer = spectral_norm(nn.Linear(200, 160))
    weight = layer.parametrizations.weight.original
    optimizer = torch.optim.Adam(layer.parameters())
    place = weight.data_ptr()
    for _ in range(3):
        optimizer.zero_grad()
        # Two forwards: the second reads a weight that the first one's graph shares.
        (layer(small_batch()).sum() + layer(small_batch()).sum()).backward()
        assert torch._C._data_address(weight) == place
        optimizer.step()
        assert torch._C._data_address(weight) == place
    assert len(taken) == 6


def test_weight_in_foreign_memory(taken):
    values = np.random.default_rng(0).standard_normal((160, 200)).astype(np.float32)
    grads = []
    for own in (True, False):
        layer = nn.Linear(200, 160)
        layer.weight = nn.Parameter(torch.tensor(values) if own else torch.from_numpy(values))
        torch.manual_seed(0)
        layer = spectral_norm(layer)
        out = layer(small_batch())
        with torch.no_grad():
            layer.parametrizations.weight.original.zero_()
        out.sum().backward()
        grads.append(layer.parametrizations.weight.original.grad)
    assert len(taken) == 2
    assert torch.equal(*grads)


def test_layer_used_twice_is_differentiated_once_for_each(taken):
    found = []
    for layer in twins(lambda: nn.Linear(150, 150)):
        torch.manual_seed(2)
        x = torch.randn(2, 150, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(twice(layer, x).square().sum(), x, create_graph=True)
        slope.square().sum().backward()
        found.append([x.grad, *(p.grad for p in layer.parameters())])
    assert len(taken) == 2
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **F64)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_jacobian_by_batched_gradients(taken):
    layer = spectral_norm(nn.Linear(200, 150).double())
    x = torch.randn(1, 200, dtype=torch.float64, requires_grad=True)
    out = layer(x)
    basis = torch.eye(150, dtype=torch.float64)[:4, None]
    leaf = layer.parametrizations.weight.original
    batched = torch.autograd.grad(out, [x, leaf], basis, retain_graph=True, is_grads_batched=True)
    single = [torch.autograd.grad(out, [x, leaf], row, retain_graph=True) for row in basis]
    assert taken
    for ours, rows in zip(batched, zip(*single, strict=True), strict=True):
        torch.testing.assert_close(ours, torch.stack(rows), **F64)


def test_output_may_be_changed_in_place_and_its_gradient_be_expanded(taken):
    for make, shape in MAKERS.values():
        for through_x in (True, False):
            layer = spectral_norm(make())
            x = torch.randn(shape, requires_grad=through_x)
            layer(x).mul_(2.0).sum().backward()
    assert len(taken) == 2 * len(MAKERS)


def says(layer, x):
    """Return the shape of a result, or the text of an error."""
    try:
        return layer(x).shape
    except RuntimeError as error:
        return str(error)


@pytest.mark.parametrize("shape", [(3, 199), (199,), (0, 200), (200,)])
def test_what_does_not_fit_is_torch_s_to_say(shape, taken):
    layer = spectral_norm(nn.Linear(200, 150))
    plain = nn.Linear(200, 150)
    x = torch.randn(shape)
    assert says(layer, x) == says(plain, x)
    assert not taken


@pytest.mark.parametrize("factor", [0.0, 1e-30, 1e30, float("nan"), float("inf")])
def test_weight_out_of_the_ordinary_takes_the_other_way(factor, taken):
    layer = spectral_norm(nn.Linear(200, 160))
    with torch.no_grad():
        layer.parametrizations.weight.original.mul_(factor)
    before = [b.clone() for b in layer.buffers()]
    out = layer(small_batch())
    assert not taken
    assert bool(torch.isfinite(out).all()) == (0 <= factor < np.inf)
    if not 0 < factor < np.inf:
        assert all(torch.equal(a, b) for a, b in zip(before, layer.buffers(), strict=True))


def test_sigma_is_a_tensor_of_the_weight_s_dtype():
    for dtype in (torch.float32, torch.float64):
        layer = spectral_norm(nn.Linear(200, 160).to(dtype))
        layer(small_batch().to(dtype))
        state = layer.parametrizations.weight[0].layer
        u, v = layer.parametrizations.weight[0].vectors()
        weight = layer.parametrizations.weight.original.detach()
        assert state.sigma.dtype == dtype
        torch.testing.assert_close(state.sigma, u @ (weight @ v))
        assert state.sigma is state.sigma


class Net(nn.Module):
    """Two layers, of which the first may be read as a weight instead."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(200, 160), nn.Linear(160, 140)
        self.reads = False

    def forward(self, x):
        h = x @ self.first.weight.t() + self.first.bias if self.reads else self.first(x)
        return self.second(h.relu())


def test_group_steps_for_layers_that_divide_their_output(monkeypatch):
    torch.manual_seed(0)
    net = Net().double()
    alone = copy.deepcopy(net)
    torch.manual_seed(1)
    group = SpectralNormGroup(net)
    torch.manual_seed(1)
    for layer in (alone.first, alone.second):
        spectral_norm(layer)
    for member, layer in zip(group._members.values(), (alone.first, alone.second), strict=True):
        for ours, theirs in zip(
            layer.parametrizations.weight[0].buffers(), member.buffers(), strict=True
        ):
            ours.copy_(theirs)
    calls = []
    step = eager.step
    monkeypatch.setattr(eager, "step", lambda *a: calls.append(len(a[0])) or step(*a))
    x = torch.randn(2, 200, dtype=torch.float64)
    for reads in (False, False, True, True, False, False):
        net.reads = alone.reads = reads
        for each in (net, alone):
            each.zero_grad()
            each(x).square().sum().backward()
        for ours, theirs in zip(net.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, **F64)
    grouped = [n for n in calls if n > 1]
    # The reads are noticed a forward late, and so is their end.
    assert grouped == [2, 2, 2, 2]
    assert sorted(group.sigma) == ["first.weight", "second.weight"]


def test_group_forward_under_checkpoint_divides_the_weight(taken):
    net = Net()
    SpectralNormGroup(net)
    for context in (nullcontext(), torch.autograd.graph.save_on_cpu()):
        with context:
            out = net(small_batch())
        out.sum().backward()
    assert len(taken) == 2


@pytest.mark.parametrize("share", ["numpy", "dlpack", "flat"])
def test_memory_that_others_hold_is_never_left_behind(share):
    layer = spectral_norm(nn.Linear(1024, 512))
    weight = layer.parametrizations.weight.original
    if share == "flat":
        flat = torch.nn.utils.parameters_to_vector([weight]).detach()
        torch.nn.utils.vector_to_parameters(flat, [weight])
        view = flat.numpy().reshape(weight.shape)
    else:
        view = (np.asarray if share == "numpy" else np.from_dlpack)(weight.detach())
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    loss = layer(torch.ones(2, 1024)).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    np.testing.assert_array_equal(view, weight.detach().numpy())
    loss.backward()
    del loss
    optimizer.step()
    np.testing.assert_array_equal(view, weight.detach().numpy())


BEFORE = {
    "identity": lambda m: parametrize.register_parametrization(m, "weight", nn.Identity()) or m,
    "orthogonal": torch_parametrizations.orthogonal,
    "weight_norm": torch_parametrizations.weight_norm,
}


@pytest.mark.parametrize("before", BEFORE)
def test_a_weight_that_was_parametrized_before_is_as_with_torch(before):
    torch.manual_seed(0)
    ours = BEFORE[before](nn.Linear(6, 5))
    theirs = copy.deepcopy(ours)
    for layer, apply in ((ours, spectral_norm), (theirs, torch_parametrizations.spectral_norm)):
        torch.manual_seed(1)
        apply(layer)
    x = torch.randn(3, 6)
    for _ in range(3):
        torch.testing.assert_close(ours(x), theirs(x))
    for layer in (ours, theirs):
        layer(x).square().sum().backward()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("after", BEFORE)
def test_another_parametrization_takes_the_place_of_ours(after):
    layer = spectral_norm(nn.Linear(6, 5))
    parametrize.register_parametrization(layer, "bias", nn.Identity())
    parametrize.remove_parametrizations(layer, "weight")
    BEFORE[after](layer)
    x = torch.randn(3, 6)
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


def test_sparse_gradients_of_an_embedding_come_back():
    layer = spectral_norm(nn.Embedding(5, 3, sparse=True))
    dense = copy.deepcopy(layer)
    dense.sparse = False
    for each in (layer, dense):
        each(torch.tensor([1, 3, 1])).square().sum().backward()
    grads = [each.parametrizations.weight.original.grad for each in (layer, dense)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("rows", [3, 100_000])
def test_weight_that_was_replaced_is_free(rows):
    layer = spectral_norm(nn.Linear(6, 5))
    gone = weakref.ref(layer.parametrizations.weight.original)
    state = {key: value.clone() for key, value in layer.state_dict().items()}
    layer.load_state_dict(state, assign=True)
    layer(torch.ones(rows, 6)).sum().backward()
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (2, 3)], ids=str)
def test_bias_of_any_shape_that_broadcasts(shape):
    grads = []
    for apply in (torch_parametrizations.spectral_norm, spectral_norm):
        torch.manual_seed(0)
        layer = nn.Linear(4, 3).double()
        layer.bias = nn.Parameter(torch.ones(shape, dtype=torch.float64))
        apply(layer)
        layer(torch.arange(8.0, dtype=torch.float64).view(2, 4)).square().sum().backward()
        grads.append([p.grad for p in layer.parameters()])
    for theirs, ours in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs, **F64)


def test_weight_of_one_axis():
    layer = nn.Linear(4, 1, bias=False)
    layer.weight = nn.Parameter(torch.tensor([3.0, 0.0, 4.0, 0.0]))
    torch.testing.assert_close(spectral_norm(layer)(torch.ones(3, 4)), torch.full((3,), 1.4))


@pytest.mark.parametrize("scale", [1e-14, 1e14])
def test_product_with_a_large_weight_does_not_overflow(scale):
    layer = spectral_norm(nn.Linear(6, 5, bias=False)).eval()
    with torch.no_grad():
        layer.parametrizations.weight.original.mul_(scale)
        x = torch.full((2, 6), 1e27 / scale**0.5)
        out = layer(x)
    torch.testing.assert_close(out, nn.functional.linear(x, layer.weight))
    assert out.isfinite().all()
