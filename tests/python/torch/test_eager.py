"""The short way to the core: equal to the registered operator, and safe in what it shares."""

import copy
import importlib.util
import pickle
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rsspecnorm import _core
from rsspecnorm.torch import SpectralNormGroup, force_device_path, scaled, steps
from rsspecnorm.torch.memory import Kept
from rsspecnorm.torch.scaling import Rule, factors, multipliers
from rsspecnorm.torch.views import as_read
from torch_fronts import sample_input

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.fixture
def path():
    """There is one short way: in place of both paths."""
    return "core"


def step_of(module):
    """Return the output, the gradient and the vectors of a step, and the loss's graph."""
    out = module(sample_input(module))
    out.square().sum().backward()
    return out.detach(), [p.grad for p in module.parameters()], list(module.buffers())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [lambda: nn.Linear(33, 20), lambda: nn.Conv2d(3, 20, 3)])
def test_short_way_equals_the_operator(front, dtype, make, monkeypatch):
    monkeypatch.setattr(scaled, "places_of", lambda *_: None)
    module = front.apply(make().to(dtype))
    twin = copy.deepcopy(module)
    for _ in range(2):
        torch.manual_seed(1)
        ours = step_of(module)
        torch.manual_seed(1)
        with monkeypatch.context() as patch:
            patch.setattr(steps, "eager_open", lambda: False)
            expected = step_of(twin)
        # the operator knows sigma as it was rounded
        torch.testing.assert_close(ours[1], expected[1])
        assert all(torch.equal(a, b) for a, b in zip(ours[2], expected[2], strict=True))
        assert torch.equal(ours[0], expected[0])


@pytest.mark.parametrize("sigma", [0.0, 0.3, 2.0, 1e-20, 1e20, float("inf"), float("nan")])
@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("detach", [True, False])
def test_factors_of_a_number_are_those_of_a_tensor(sigma, soft, detach):
    rule = Rule(1.5, soft, detach)
    expected = [float(x) for x in multipliers(torch.tensor(sigma, dtype=torch.float64), rule)]
    np.testing.assert_allclose(factors(sigma, rule), expected, rtol=1e-15)


def test_single_precision_gradient_is_that_of_double(front):
    module = front.apply(nn.Linear(300, 200, bias=False))
    wide = copy.deepcopy(module).double()
    grad = torch.randn(200, 300)
    for each in (module, wide):
        front.normalized(each.eval()).backward(grad.to(front.original(each).dtype))
    ours, expected = (front.original(each).grad.double() for each in (module, wide))
    assert float((ours - expected).abs().max()) <= 1e-6 * float(expected.abs().max())


@pytest.mark.parametrize("dtype", [*DTYPES, torch.complex64])
def test_array_to_read_from_begins_where_the_tensor_does(dtype):
    whole = torch.randn(4, 3, 5).to(dtype)
    torch._lazy_clone(whole)
    for part in (whole, whole[2], whole[1:, 1:, 2:], whole[3].t()):
        array = as_read(part)
        assert array.ctypes.data == part.data_ptr()
        assert np.array_equal(array.astype(complex), part.to(torch.complex64).numpy())


def test_layer_whose_weight_lies_within_other_memory(front):
    flat = torch.randn(7 + 200 * 160)
    grads = []
    for weight in (flat[7:].view(160, 200), flat[7:].view(160, 200).clone()):
        layer = nn.Linear(200, 160)
        layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(torch.zeros(160))
        torch.manual_seed(1)
        layer = front.apply(layer)
        out = layer(torch.ones(2, 200))
        out.square().sum().backward()
        grads.append((out, front.original(layer).grad))
    for ours, expected in zip(*grads, strict=True):
        torch.testing.assert_close(ours, expected)  # a product depends on where its operands lie


def test_memory_is_lent_again_only_when_nothing_holds_it():
    kept, like = Kept(), torch.empty(300, 500)
    _, first = kept.take(like)
    place = first.data_ptr()
    view = first.detach()[1:]
    del first
    _, second = kept.take(like)
    assert second.data_ptr() != place  # a view is a holder
    del view
    assert kept.take(like)[1].data_ptr() == place
    assert kept.tensor(like).data_ptr() == place
    assert kept.take(torch.empty(500, 300))[1].shape == (500, 300)
    assert kept.take(like.double())[1].dtype == torch.float64


def test_memory_of_small_weights_is_torch_s_own():
    kept, like = Kept(), nn.Parameter(torch.empty(3, 5))
    array, tensor = kept.take(like)
    array[1, 2] = 7.0
    assert tensor[1, 2] == 7.0
    for taken in (tensor, kept.tensor(like)):
        assert (taken.shape, taken.dtype, taken.requires_grad) == ((3, 5), torch.float32, False)


def test_weights_that_a_caller_keeps_stay_as_they_are(front):
    module = front.apply(nn.Linear(6, 8, bias=False))
    kept, values = [], []
    for _ in range(8):
        weight = front.normalized(module)
        kept.append(weight)
        values.append(weight.detach().clone())
        (grad,) = torch.autograd.grad(weight.sum(), front.original(module), retain_graph=True)
        kept.append(grad)
        values.append(grad.clone())
    assert all(torch.equal(a, b) for a, b in zip(kept, values, strict=True))
    assert len({x.data_ptr() for x in kept}) == len(kept)


def test_steps_use_the_memory_of_earlier_ones():
    model = nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 256))
    SpectralNormGroup(model)
    places = []
    for _ in range(6):
        model.zero_grad()
        model(torch.randn(2, 256)).sum().backward()
        places.append({p.grad.data_ptr() for p in model.parameters() if p.ndim > 1})
    assert len(set.union(*places[1:])) <= 4


def test_copies_and_pickles_do_not_share_memory(front):
    module = front.apply(nn.Linear(6, 8))
    module(torch.randn(2, 6)).sum().backward()
    layers = [module, copy.deepcopy(module)]
    if front.name == "hook":
        text = pickle.dumps(front.apply(nn.Linear(6, 8)))
        layers.append(pickle.loads(text))  # noqa: S301 - our own
    grads = []
    for layer in layers:
        layer.zero_grad()
        layer(torch.ones(2, 6)).sum().backward()
        grads.append(front.original(layer).grad.data_ptr())
    assert len(set(grads)) == len(grads)


def test_write_to_a_normalized_weight_is_noticed_by_its_backward(front):
    module = front.apply(nn.Linear(6, 8))
    weight = front.normalized(module)
    loss = weight.square().sum()
    with torch.no_grad():
        weight.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("batched", [True, False])
def test_jacobian_by_batched_gradients(front, batched):
    module = front.apply(nn.Linear(3, 2, bias=False).double()).eval()
    weight = front.normalized(module)
    basis = torch.eye(6, dtype=torch.float64).reshape(6, 2, 3)
    leaf = front.original(module)

    def row(grad):
        return torch.autograd.grad(weight, leaf, grad, retain_graph=True)[0]

    expected = torch.stack([row(grad) for grad in basis])
    if batched:
        (rows,) = torch.autograd.grad(weight, leaf, basis, retain_graph=True, is_grads_batched=True)
    else:
        rows = torch.vmap(row)(basis)
    torch.testing.assert_close(rows, expected)


def test_native_gradient_names_what_does_not_fit():
    grad, u, v = np.zeros((2, 3), np.float32), np.zeros(2, np.float32), np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="grad must"):
        _core.gradient([(grad, grad, u, v, grad.copy(), 1.0, 1.0)], None)
    with pytest.raises(TypeError):
        _core.gradient([(grad.astype(int), grad, u, v, grad.copy(), 1.0, 1.0)], None)
    with pytest.raises(ValueError, match="num_threads"):
        _core.gradient([], 0)


@pytest.mark.parametrize("shape", [(3, 5), (700, 900)])
def test_native_gradient_has_the_same_bits_on_any_threads(shape):
    rng = np.random.default_rng(0)
    grad, y = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    u, v = (rng.standard_normal(n).astype(np.float32) for n in shape)
    outs = [np.empty(shape, np.float32) for _ in range(3)]
    for out, threads in zip(outs, (1, 2, 5), strict=True):
        _core.gradient([(grad, y, u, v, out, 0.5, 0.25)], threads)
    inner = float(np.vdot(grad.astype(float), y.astype(float)))
    expected = 0.5 * grad - 0.25 * inner * np.outer(u.astype(float), v)
    np.testing.assert_allclose(outs[0], expected, rtol=1e-5, atol=1e-5 * abs(inner))
    assert all(np.array_equal(outs[0], out) for out in outs)


def test_example_trains(capsys, monkeypatch):
    source = Path(__file__).parents[3] / "examples" / "train_gan.py"
    spec = importlib.util.spec_from_file_location("train_gan", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr("sys.argv", ["train_gan.py", "--steps", "3"])
    module.main()
    assert "torch" in capsys.readouterr().out


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("coefficient", [1.0, 0.01])
def test_evaluation_at_vectors_of_a_negative_product(front, soft, coefficient):
    options = {"init_iterations": 0, "soft": soft, "coefficient": coefficient}
    x = torch.randn(3, 20, dtype=torch.float64, requires_grad=True)
    for seed in range(4):
        torch.manual_seed(seed)
        layer = front.apply(nn.Linear(20, 33).double(), **options).eval()
        u, v = front.vectors(layer)
        raw = next(p for p in layer.parameters() if p.ndim > 1)
        with torch.no_grad():
            u *= -torch.sign(u @ raw @ v)
        found = []
        for way in (nullcontext, force_device_path):
            with way():
                weight = front.normalized(layer)
                out = layer(x)
            params = list(layer.parameters())
            found.append([weight, out, *torch.autograd.grad(out.square().sum(), [x, *params])])
        for ours, expected in zip(*found, strict=True):
            torch.testing.assert_close(ours, expected)
