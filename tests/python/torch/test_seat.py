"""Arrays over a weight and its vectors, kept from call to call: never those of other memory."""

import copy
import gc
import pickle
import weakref

import pytest
import torch
from torch import nn

from rsspecnorm.torch import SpectralNormGroup, spectral_norm
from rsspecnorm.torch.parametrizations import spectral_norm as parametrized
from rsspecnorm.torch.seat import Seat


def made(dtype=torch.float32):
    wide = torch.float64 if dtype is torch.float64 else torch.float32
    weight = nn.Parameter(torch.randn(6, 2, 2).to(dtype))
    return weight, torch.randn(6, dtype=wide), torch.randn(4, dtype=wide)


def lies_at(arrays, weight, u, v):
    """Whether arrays are over the memory of these tensors."""
    places = [a.__array_interface__["data"][0] for a in arrays[:3]]
    return places == [x.data_ptr() for x in (weight, u, v)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_arrays_are_kept_while_nothing_moves(dtype):
    seat, tensors = Seat(), made(dtype)
    arrays = seat.arrays(*tensors)
    assert arrays.matrix.shape == (6, 4)
    assert lies_at(arrays, *tensors)
    with torch.no_grad():
        tensors[0].mul_(2.0)
    assert seat.arrays(*tensors) is arrays


MOVES = {
    "weight": lambda weight, u, v: (nn.Parameter(weight.detach().clone()), u, v),
    "u": lambda weight, u, v: (weight, u.clone(), v),
    "v": lambda weight, u, v: (weight, u, v.clone()),
}


@pytest.mark.parametrize("name", MOVES)
def test_other_tensors_have_other_arrays(name):
    seat, tensors = Seat(), made()
    seat.arrays(*tensors)
    moved = MOVES[name](*tensors)
    assert lies_at(seat.arrays(*moved), *moved)
    assert lies_at(seat.arrays(*tensors), *tensors)


def replaced(tensor, data):
    tensor.data = data


CHANGES = {
    "other memory of the weight": lambda t: replaced(t[0], t[0].detach().clone()),
    "another shape": lambda t: replaced(t[0], t[0].detach().view(6, 4, 1)),
    "a part of it": lambda t: replaced(t[0], torch.randn(7, 2, 2)[1:]),
    "other memory of a vector": lambda t: replaced(t[1], t[1].clone()),
    "part of a longer vector": lambda t: replaced(t[2], torch.randn(9)[3:7]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_same_tensors_elsewhere(name):
    seat, tensors = Seat(), made()
    seat.arrays(*tensors)
    CHANGES[name](tensors)
    assert lies_at(seat.arrays(*tensors), *tensors)


REFUSED = {
    "another order of the axes": lambda t: replaced(t[0], torch.randn(2, 2, 6).movedim(-1, 0)),
    "a negated view": lambda t: replaced(t[0], torch._neg_view(t[0].detach())),
    "a weight in double": lambda t: replaced(t[0], t[0].detach().double()),
    "a vector with gaps": lambda t: replaced(t[1], torch.randn(12)[::2]),
    "a vector that asks for a gradient": lambda t: t[1].requires_grad_(),
    "vectors in double": lambda t: replaced(t[2], t[2].double()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_core_does_not_take(name):
    seat, tensors = Seat(), made()
    assert seat.arrays(*tensors) is not None
    REFUSED[name](tensors)
    assert seat.arrays(*tensors) is None


def test_vector_that_begins_where_it_began_and_has_gaps():
    seat, (weight, _, v) = Seat(), made()
    memory = torch.randn(12)
    u = memory[:6]
    assert seat.arrays(weight, u, v) is not None
    u.data = memory[::2]
    assert seat.arrays(weight, u, v) is None


def test_copies_and_pickles_start_anew():
    seat, tensors = Seat(), made()
    seat.arrays(*tensors)
    for other in (copy.deepcopy(seat), pickle.loads(pickle.dumps(seat))):  # noqa: S301
        moved = copy.deepcopy(tensors)
        assert lies_at(other.arrays(*moved), *moved)


FRONTS = {
    "parametrization": parametrized,
    "hook": spectral_norm,
    "group": lambda layer: SpectralNormGroup(layer) and layer,
}


def raw(layer):
    return next(p for name, p in layer.named_parameters() if "orig" in name)


@pytest.mark.parametrize("front", FRONTS)
def test_layer_follows_its_weight_through_changes_of_memory(front):
    torch.manual_seed(0)
    layer = FRONTS[front](nn.Linear(40, 30))
    x = torch.randn(3, 40)
    layer(x)
    weight = raw(layer)
    weight.data = torch.eye(30, 40) * 5
    layer(x)
    layer.eval()
    expected = nn.functional.linear(x, torch.eye(30, 40), layer.bias)
    torch.testing.assert_close(layer(x), expected)
    layer.double()
    torch.testing.assert_close(layer(x.double()), expected.double())
    layer.load_state_dict({k: v.clone() for k, v in layer.state_dict().items()}, assign=True)
    torch.testing.assert_close(layer(x.double()), expected.double())


@pytest.mark.parametrize("front", FRONTS)
def test_weight_of_one_forward_is_not_held(front):
    layer = FRONTS[front](nn.Linear(40, 30))
    name = next(name for name, p in layer.named_parameters() if p is raw(layer))
    base = torch.randn(30, 40, requires_grad=True)
    other = base * 2
    torch.func.functional_call(layer, {name: other}, (torch.randn(3, 40),))
    gone = weakref.ref(other)
    del other
    gc.collect()
    if front == "hook":  # as torch's, the module holds the last weight with its graph
        layer(torch.randn(3, 40))
    assert gone() is None


@pytest.mark.parametrize("front", FRONTS)
def test_parameters_may_be_swapped(front):
    layer = FRONTS[front](nn.Linear(40, 30))
    x = torch.randn(3, 40)
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with torch.no_grad():  # a graph holds on to its parameters
            layer(x)
        layer.double()
        with torch.no_grad():
            assert layer(x.double()).dtype is torch.float64
        layer.float()
        assert layer(x).dtype is torch.float32
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
