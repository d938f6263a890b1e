"""What must never happen to a module, whatever happens to its weight."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import rsspecnorm.torch
from torch_fronts import HOOK, LAYERS, PARAMETRIZATION, pair, sample_input

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def norm_of(weight):
    return float(torch.linalg.matrix_norm(weight.detach().double(), 2))


def trained(front, module, steps=40):
    for _ in range(steps):
        weight = front.normalized(module)
    return weight


def fill(front, module, value):
    with torch.no_grad():
        front.original(module).fill_(value)


def corrupt(front, module, value):
    with torch.no_grad():
        for x in front.vectors(module):
            x.fill_(value)


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_weight_gives_zero_and_recovers(front, dtype):
    module = front.apply(nn.Linear(6, 8, bias=False).to(dtype))
    front.normalized(module)
    raw = front.original(module).detach().clone()
    saved = [x.clone() for x in front.vectors(module)]
    fill(front, module, 0.0)
    weight = front.normalized(module)
    assert torch.equal(weight, torch.zeros_like(weight))
    (grad,) = torch.autograd.grad(weight.sum(), front.original(module))
    assert torch.equal(grad, torch.zeros_like(grad))
    for old, new in zip(saved, front.vectors(module), strict=True):
        assert torch.equal(old, new)
    with torch.no_grad():
        front.original(module).copy_(raw)
    assert norm_of(trained(front, module)) == pytest.approx(1.0, rel=1e-2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_entry_leaves_the_vectors(front, dtype, value):
    module = front.apply(nn.Linear(6, 8, bias=False).to(dtype))
    front.normalized(module)
    raw = front.original(module).detach().clone()
    saved = [x.clone() for x in front.vectors(module)]
    with torch.no_grad():
        front.original(module)[2, 3] = value
    for training in (True, False):
        weight = front.normalized(module.train(training)).detach()
        if value != value:  # noqa: PLR0124 - nan
            assert weight.isnan().all()
        else:  # IEEE: the finite over inf, and inf over inf
            assert weight[2, 3].isnan()
            assert weight.nansum() == 0
        for old, new in zip(saved, front.vectors(module), strict=True):
            assert torch.equal(old, new)
    with torch.no_grad():
        front.original(module).copy_(raw)
    assert norm_of(trained(front, module.train())) == pytest.approx(1.0, rel=1e-2)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-15, 1e-5, 1e10, 1e19, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_scale_does_not_matter(front, scale, dtype):
    module = nn.Linear(48, 64, bias=False).to(dtype)
    with torch.no_grad():
        module.weight.copy_(torch.randn(64, 48, dtype=torch.float64) * scale)
    front.apply(module)
    weight = trained(front, module, 150)
    assert norm_of(weight) == pytest.approx(1.0, rel=1e-2)
    (grad,) = torch.autograd.grad((weight * torch.randn_like(weight)).sum(), front.original(module))
    assert grad.isfinite().all() or scale < 1e-25  # where 1/sigma leaves the range of the dtype


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_dead_vectors_come_back_in_training(front, value):
    module = front.apply(nn.Linear(6, 8, bias=False))
    corrupt(front, module, value)
    assert front.normalized(module).isfinite().all()
    assert norm_of(trained(front, module)) == pytest.approx(1.0, rel=1e-3)
    for x in front.vectors(module):
        torch.testing.assert_close(x.norm(), torch.tensor(1.0))


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_dead_vectors_are_replaced_in_eval_but_not_stored(front, value):
    module = front.apply(nn.Linear(6, 8, bias=False)).eval()
    corrupt(front, module, value)
    before = [x.clone() for x in front.vectors(module)]
    first, second = front.normalized(module), front.normalized(module)
    assert norm_of(first) == pytest.approx(1.0, rel=0.1)
    assert torch.equal(first, second)
    for old, new in zip(before, front.vectors(module), strict=True):
        assert torch.equal(old, new) or (old.isnan().all() and new.isnan().all())


def test_dead_vectors_of_a_checkpoint_come_back(front):
    module = front.apply(nn.Linear(6, 8, bias=False))
    state = copy.deepcopy(module.state_dict())
    state[front.u].fill_(float("nan"))
    state[front.v].zero_()
    module.load_state_dict(state)
    assert norm_of(front.normalized(module)) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("factor", [1e-3, 0.97, 40.0])
def test_averaged_vectors_do_not_rescale_the_weight(front, factor):
    module = front.apply(nn.Linear(6, 8, bias=False).double()).eval()
    expected = front.normalized(module).detach()
    with torch.no_grad():
        for x in front.vectors(module):
            x.mul_(factor)
    torch.testing.assert_close(front.normalized(module).detach(), expected)


def test_start_in_the_null_space_is_left(front):
    module = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        module.weight.copy_(torch.diag(torch.tensor([1.0, 0.0])))
    front.apply(module)
    with torch.no_grad():
        for x in front.vectors(module):
            x.copy_(torch.tensor([0.0, 1.0]))
    for training in (False, True):
        weight = front.normalized(module.train(training)).detach()
        assert weight.isfinite().all()
        assert norm_of(weight) < 2
    assert norm_of(trained(front, module)) == pytest.approx(1.0, rel=1e-6)


def test_sigma_is_never_negative_before_training():
    for seed in range(40):
        torch.manual_seed(seed)
        module = HOOK.apply(nn.Linear(16, 16, bias=False)).eval()
        weight = HOOK.normalized(module).detach()
        assert float((weight * module.weight_orig.detach()).sum()) > 0
        assert rsspecnorm.torch.module_sigma(module) > 0


def test_hook_with_initial_iterations_is_right_in_eval():
    module = HOOK.apply(nn.Linear(64, 64, bias=False), init_iterations=30).eval()
    assert norm_of(HOOK.normalized(module)) < 1.1


def test_averages_in_half_precision_keep_vectors_wide(front):
    module = front.apply(nn.Linear(6, 8))
    for dtype in (torch.float16, torch.bfloat16):
        moved = copy.deepcopy(module).to(dtype)
        assert [x.dtype for x in front.vectors(moved)] == [torch.float32] * 2
        for old, new in zip(front.vectors(module), front.vectors(moved), strict=True):
            assert torch.equal(old, new)
        state = moved.state_dict()
        assert {state[key].dtype for key in (front.u, front.v, front.orig)} == {dtype}
        moved.load_state_dict(state)
        assert [x.dtype for x in front.vectors(moved)] == [torch.float32] * 2
    assert [x.dtype for x in front.vectors(module.double())] == [torch.float64] * 2


CASTS = {
    "half-cpu": lambda m: m.half().cpu(),
    "bfloat16-float": lambda m: m.bfloat16().float(),
    "half-double": lambda m: m.half().double(),
    "half-bfloat16-cpu": lambda m: m.half().bfloat16().to("cpu"),
    "to-twice": lambda m: m.to(torch.bfloat16).to(torch.bfloat16),
    "shared": lambda m: m.half().share_memory(),
    "empty": lambda m: m.half().to_empty(device="cpu"),
    "assigned": lambda m: m.load_state_dict(copy.deepcopy(m).half().state_dict(), assign=True),
    "assigned-wide": lambda m: m.half().load_state_dict(
        copy.deepcopy(m).float().state_dict(), assign=True
    ),
}


@pytest.mark.parametrize("cast", CASTS)
def test_what_is_saved_has_the_dtype_of_torchs(front, cast):
    ours, theirs = pair(front, lambda: nn.Linear(6, 8), dtype=torch.float32)
    single = PARAMETRIZATION.apply(nn.Linear(6, 8))
    rsspecnorm.torch.SpectralNormGroup(grouped := nn.Sequential(nn.Linear(6, 8)))
    for module in (ours, theirs, single, grouped):
        CASTS[cast](module)
    state = {key: x.dtype for key, x in ours.state_dict().items()}
    assert state == {key: x.dtype for key, x in theirs.state_dict().items()}
    assert {x.dtype for x in grouped.state_dict().values()} == set(state.values())
    for module in (ours, single, grouped[0]):
        assert all(x.dtype in {torch.float32, torch.float64} for x in module.buffers())
    if cast != "empty":
        x = sample_input(ours)
        expected = ours.eval()(x)
        theirs.load_state_dict(ours.state_dict())
        ours.load_state_dict(theirs.state_dict())
        torch.testing.assert_close(ours(x), expected, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_weight_is_divided_by_an_exact_sigma(front, dtype):
    module = front.apply(nn.Linear(96, 64, bias=False).to(dtype))
    weight = trained(front, module, 200).detach()
    sigma = rsspecnorm.torch.module_sigma(module)
    assert sigma.dtype == torch.float32
    original = front.original(module).detach()
    exact = torch.linalg.matrix_norm(original.double(), 2)
    torch.testing.assert_close(sigma.double(), exact, rtol=1e-4, atol=0)
    assert torch.equal(weight, (original.float() / sigma).to(dtype))


def test_backward_step_backward_gives_the_first_gradient(front):
    module = front.apply(nn.Linear(6, 8, bias=False).double())
    weight = front.normalized(module)
    loss = weight.square().sum().sqrt() + weight[0, 0]
    leaf = front.original(module)
    (first,) = torch.autograd.grad(loss, leaf, retain_graph=True)
    with torch.no_grad():
        leaf.sub_(first, alpha=0.3)
    (second,) = torch.autograd.grad(loss, leaf)
    assert torch.equal(first, second)


@pytest.mark.parametrize("modes", [(False, True), (True, False), (True, True), (False, False)])
def test_any_two_forwards_before_one_backward(front, modes):
    module = front.apply(nn.Linear(6, 8).double())
    x = torch.randn(3, 6, dtype=torch.float64)
    separate = copy.deepcopy(module)
    total = 0
    for training in modes:
        total = total + module.train(training)(x).square().sum()
    total.backward()
    for training in modes:
        separate.train(training)(x).square().sum().backward()
    torch.testing.assert_close(front.original(module).grad, front.original(separate).grad)


def run_checkpointed(module, xs, reentrant, separately):
    losses = [
        checkpoint(module, x, use_reentrant=reentrant).square().sum() * (i + 1)
        for i, x in enumerate(xs)
    ]
    if separately:
        for loss in losses:
            loss.backward()
    else:
        sum(losses).backward()


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("separately", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_checkpointing_gives_the_plain_gradient(front, reentrant, separately, count):
    module = nn.Sequential(
        front.apply(nn.Linear(6, 8).double()), nn.Tanh(), nn.Linear(8, 2).double()
    )
    plain = copy.deepcopy(module)
    xs = [torch.randn(3, 6, dtype=torch.float64, requires_grad=True) for _ in range(count)]
    run_checkpointed(module, xs, reentrant, separately)
    sum(plain(x).square().sum() * (i + 1) for i, x in enumerate(xs)).backward()
    for ours, theirs in zip(module.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(module.buffers(), plain.buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_checkpointing_twice_through_one_graph(front):
    module = front.apply(nn.Linear(6, 8).double())
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    loss = checkpoint(lambda x: module(module(x)[:, :6]), x, use_reentrant=False).square().sum()
    leaf = front.original(module)
    first = torch.autograd.grad(loss, leaf, retain_graph=True)[0]
    module(x)  # moves the vectors on
    assert torch.equal(first, torch.autograd.grad(loss, leaf)[0])


@pytest.mark.parametrize("layer", LAYERS)
def test_deepcopy_after_a_forward(front, layer):
    module = front.apply(LAYERS[layer]())
    x = sample_input(module)
    module(x)
    again = copy.deepcopy(module)
    assert type(again) is type(module) or front is PARAMETRIZATION
    assert torch.equal(again.eval()(x), module.eval()(x))
    for ours, theirs in zip(module.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.data_ptr() != theirs.data_ptr()
    again.train()(x)
    front.remove(again)
    assert list(again.state_dict())[-1] in {"weight", "bias"}


def test_removal_keeps_the_parameter_and_its_optimizer(front):
    module = front.apply(nn.Linear(6, 8))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    leaf = front.original(module)
    x = torch.randn(3, 6)
    module(x)
    front.remove(module.eval())
    assert module.weight is leaf
    before = module.weight.detach().clone()
    module(x).sum().backward()
    optimizer.step()
    assert not torch.equal(module.weight, before)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0)])
def test_empty_weight_is_no_error(front, shape):
    module = nn.Linear(3, 4, bias=False)
    module.weight = nn.Parameter(torch.empty(*shape))
    front.apply(module)
    weight = front.normalized(module, torch.randn(2, shape[1]))
    assert weight.shape == shape
    assert rsspecnorm.torch.module_sigma(module) == 0


def test_write_through_data_is_seen_in_eval(front):
    module = front.apply(nn.Linear(6, 8, bias=False).double()).eval()
    front.normalized(module)
    front.original(module).data[0, 0] += 5
    expected = front.original(module) / rsspecnorm.torch.module_sigma(copy.deepcopy(module))
    weight = front.normalized(module)
    assert not torch.equal(weight, expected)
    again = front.original(module) / rsspecnorm.torch.module_sigma(module)
    torch.testing.assert_close(weight, again)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_vector_weight_of_zeros_in_half_precision(dtype):
    module = nn.Linear(3, 4).to(dtype)
    nn.init.zeros_(module.bias)
    PARAMETRIZATION.apply(module, "bias")
    assert torch.equal(module.bias, torch.zeros(4, dtype=dtype))


def test_meta_weight_has_a_shape(front):
    module = front.apply(nn.Linear(6, 8, device="meta"))
    assert module(torch.empty(2, 6, device="meta")).shape == (2, 8)
