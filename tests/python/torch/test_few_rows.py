"""Gradients of weights whose layer saw few rows of input, which the core writes."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations as torch_parametrizations

from rsspecnorm import _core
from rsspecnorm.torch import SpectralNormGroup, native, products, scaled
from rsspecnorm.torch.parametrizations import spectral_norm

TOLERANCES = {
    torch.float64: {"rtol": 1e-11, "atol": 1e-12},
    torch.float32: {"rtol": 1e-3, "atol": 1e-4},
}
# Of 2^16 elements and more, with and without tails.
LAYERS = {
    "linear": (lambda: nn.Linear(301, 223), (3, 301)),
    "linear at the limit": (lambda: nn.Linear(256, 256), (8, 256)),
    "linear without bias": (lambda: nn.Linear(512, 300, bias=False), (1, 512)),
    "linear of three axes": (lambda: nn.Linear(256, 384), (2, 3, 256)),
    "few outputs": (lambda: nn.Linear(30_001, 4), (3, 30_001)),
    "conv of patches": (lambda: nn.Conv2d(256, 256, 3, stride=2, padding=1), (1, 256, 4, 3)),
}


@pytest.fixture
def path(monkeypatch):
    """One path: every layer here is of a size that takes it, on any machine."""
    monkeypatch.setattr(products, "_IS_AMD", True)
    monkeypatch.setattr(products, "_THREADS", math.inf)


@pytest.fixture
def written(monkeypatch):
    """Return a list that gets the shape of every gradient that the core wrote."""
    shapes = []
    layer_gradient = native.layer_gradient

    def spy(grad, x, vectors, out, factors):
        shapes.append(out.shape)
        layer_gradient(grad, x, vectors, out, factors)

    monkeypatch.setattr(native, "layer_gradient", spy)
    return shapes


def twins(make, dtype):
    torch.manual_seed(0)
    base = make().to(dtype)
    pair = []
    for apply in (torch_parametrizations.spectral_norm, spectral_norm):
        torch.manual_seed(1)
        pair.append(apply(copy.deepcopy(base)))
    return pair


def gradients(layer, x):
    layer.zero_grad()
    x.grad = None
    layer(x).tanh().square().sum().backward()
    return [x.grad, *(p.grad for p in layer.parameters())]


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("through_x", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_equals_torch(name, through_x, dtype, written):
    make, shape = LAYERS[name]
    theirs, ours = twins(make, dtype)
    x = torch.randn(shape, dtype=dtype, requires_grad=through_x)
    for _ in range(3):
        for expected, found in zip(gradients(theirs, x), gradients(ours, x), strict=True):
            torch.testing.assert_close(found, expected, **TOLERANCES[dtype])
    assert written == [ours.parametrizations.weight.original.shape] * 3


@pytest.mark.parametrize("count", range(1, 11))
def test_up_to_eight_rows(count, written):
    theirs, ours = twins(lambda: nn.Linear(320, 230), torch.float64)
    x = torch.randn(count, 320, dtype=torch.float64, requires_grad=True)
    for expected, found in zip(gradients(theirs, x), gradients(ours, x), strict=True):
        torch.testing.assert_close(found, expected, **TOLERANCES[torch.float64])
    assert len(written) == (count <= 8)


def test_smaller_weights_are_torch_s(written):
    gradients(spectral_norm(nn.Linear(256, 255)), torch.randn(2, 256))
    assert not written


@pytest.mark.parametrize(
    ("threads", "is_amd", "sizes"),
    [
        (1, False, [False, True, True, True]),
        (2, False, [False, True, False, False]),
        (2, True, [False, True, True, True]),
        (3, True, [False, False, False, False]),
    ],
)
def test_who_writes_depends_on_size_threads_and_cpu(threads, is_amd, sizes, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(products, "_IS_AMD", is_amd)
    monkeypatch.setattr(products, "_THREADS", 2)
    found = [products._suits_core(n) for n in (65_535, 65_536, 1 << 19, 1 << 24)]
    assert found == sizes


@pytest.mark.parametrize(
    "options",
    [
        {"coefficient": 0.3},
        {"coefficient": 50.0, "soft": True},
        {"coefficient": 0.1, "soft": True},
        {"detach_sigma": True},
    ],
    ids=str,
)
def test_options_change_both_factors(options, written):
    found = []
    for is_open in (True, False):
        torch.manual_seed(0)
        layer = spectral_norm(nn.Linear(300, 250).double(), **options)
        x = torch.linspace(-1, 1, 600, dtype=torch.float64).view(2, 300).requires_grad_()
        with pytest.MonkeyPatch.context() as patch:
            if not is_open:
                patch.setattr(scaled, "open_now", lambda: False)
            found.append(gradients(layer, x))
    assert len(written) == 1
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, **TOLERANCES[torch.float64])


LOSSES = {
    "expanded": lambda out: out.sum(),
    "of one number": lambda out: out[1, 2],
    "turned": lambda out: (out.t() @ torch.ones(4, 3)).square().sum(),
    "of other strides": lambda out: out.t().reshape(2, -1).t().square().sum(),
    "of every other column": lambda out: out[:, ::2].square().sum(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_any_layout(name, written):
    grads = []
    for least in (products._LEAST, 1 << 30):
        torch.manual_seed(0)
        layer = spectral_norm(nn.Linear(320, 230))
        x = torch.randn(320, 4).t().requires_grad_()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(products, "_LEAST", least)
            LOSSES[name](layer(x)).backward()
        grads.append(layer.parametrizations.weight.original.grad)
    assert len(written) == 1
    torch.testing.assert_close(*grads)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_batches_of_gradients_are_torch_s(written):
    layer = spectral_norm(nn.Linear(320, 230).double())
    leaf = layer.parametrizations.weight.original
    out = layer(torch.randn(2, 320, dtype=torch.float64))
    basis = torch.eye(230, dtype=torch.float64)[:3, None].expand(3, 2, 230)
    (batched,) = torch.autograd.grad(out, leaf, basis, retain_graph=True, is_grads_batched=True)
    assert not written
    single = [torch.autograd.grad(out, leaf, row, retain_graph=True)[0] for row in basis]
    assert len(written) == 3
    torch.testing.assert_close(batched, torch.stack(single), **TOLERANCES[torch.float64])


def test_two_backward_passes_do_not_share_memory(written):
    layer = spectral_norm(nn.Linear(320, 230))
    leaf = layer.parametrizations.weight.original
    outs = [layer(torch.randn(2, 320)).square().sum() for _ in range(6)]
    grads = [torch.autograd.grad(out, leaf, retain_graph=True)[0] for out in outs]
    kept = [grad.clone() for grad in grads]
    again = [torch.autograd.grad(out, leaf)[0] for out in outs]
    assert len(written) == 12
    assert all(map(torch.equal, grads, kept))
    assert all(map(torch.equal, again, kept))


def test_layers_of_a_group(written):
    net = nn.Sequential(nn.Linear(320, 230), nn.Tanh(), nn.Linear(230, 300)).double()
    alone = copy.deepcopy(net)
    torch.manual_seed(1)
    SpectralNormGroup(net)
    torch.manual_seed(1)
    for layer in (alone[0], alone[2]):
        spectral_norm(layer)
    for ours, theirs in zip(net.buffers(), alone.buffers(), strict=True):
        theirs.copy_(ours)
    x = torch.randn(2, 320, dtype=torch.float64)
    for ours, theirs in zip(gradients(net, x)[1:], gradients(alone, x)[1:], strict=True):
        torch.testing.assert_close(ours, theirs, **TOLERANCES[torch.float64])
    assert len(written) == 4


@pytest.mark.parametrize("value", [float("nan"), 0.0])
def test_gradients_out_of_the_ordinary(value):
    theirs, ours = twins(lambda: nn.Linear(320, 230), torch.float32)
    x = torch.randn(2, 320)
    for layer in (theirs, ours):
        out = layer(x)
        grad = torch.ones_like(out)
        grad[1, 5] = value
        out.backward(grad)
    found = [layer.parametrizations.weight.original.grad for layer in (ours, theirs)]
    torch.testing.assert_close(*found, equal_nan=True, rtol=1e-3, atol=1e-5)


# --- The call itself ---


def given(dtype=np.float32, rows=3, shape=(130, 517)):
    rng = np.random.default_rng(0)
    sizes = (rows, shape[0]), (rows, shape[1]), shape[:1], shape[1:]
    return [rng.standard_normal(size).astype(dtype) for size in sizes]


@pytest.mark.parametrize("rows", [0, 1, 3, 8, 40])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(130, 517), (1, 1), (1, 9000), (9000, 1), (1031, 1027)], ids=str)
def test_writes_the_formula_with_the_same_bits_on_any_number_of_threads(shape, dtype, rows):
    grad, x, u, v = given(dtype, rows, shape)
    outs = [np.full(shape, np.nan, dtype) for _ in range(3)]
    for count, out in enumerate(outs, 1):
        _core.layer_gradient(grad, x, u, v, out, 0.5, -2.0, count)
    left, right = grad.astype(np.float64).T, x.astype(np.float64)
    expected = 0.5 * left @ right - 2.0 * np.outer(u.astype(np.float64), v)
    bound = (rows + 3) * np.finfo(dtype).eps
    scale = 0.5 * np.abs(left) @ np.abs(right) + 2.0 * np.abs(np.outer(u, v))
    assert (np.abs(outs[0] - expected) <= bound * scale).all()
    for out in outs[1:]:
        np.testing.assert_array_equal(out, outs[0])


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)], ids=str)
def test_nothing_to_write(shape):
    grad, x, u, v = given(shape=shape)
    _core.layer_gradient(grad, x, u, v, np.empty(shape, np.float32), 1.0, 1.0, None)


WRONG = {
    "grad": (0, lambda grad: grad[:, 1:].copy(), ValueError),
    "x": (1, lambda x: x[1:].copy(), ValueError),
    "out": (4, lambda out: out[:-1].copy(), ValueError),
    "float32 or float64": (0, lambda grad: grad.astype(np.float16), TypeError),
    "v has": (3, lambda v: v.astype(np.float64), TypeError),
    "contiguous": (1, lambda x: np.repeat(x, 2, axis=1)[:, ::2], TypeError),
    "writ": (4, lambda out: np.broadcast_to(out[:1], out.shape), ValueError),
}


@pytest.mark.parametrize("word", WRONG)
def test_says_what_does_not_fit_and_writes_nothing(word):
    out = np.zeros((130, 517), np.float32)
    arguments = [*given(), out]
    place, change, error = WRONG[word]
    arguments[place] = change(arguments[place])
    with pytest.raises(error, match=word):
        _core.layer_gradient(*arguments, 1.0, 1.0, None)
    assert not out.any()
