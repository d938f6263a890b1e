"""Norms of tensors, the sphere, conversion of checkpoints, the monitor, operator norms."""

import copy

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.utils.checkpoint import checkpoint

from rsspecnorm.torch import (
    Monitor,
    SpectralSphere,
    convert_state_dict,
    matrix_norm,
    module_sigma,
)
from rsspecnorm.torch.norms import triplet
from torch_fronts import FRONTS, HOOK, PARAMETRIZATION

REAL = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
COMPLEX = [torch.complex64, torch.complex128]
SHAPES = [(7, 5), (1, 9), (3, 100, 70), (2, 3, 4, 5), (64, 300), (120, 120)]


@pytest.mark.parametrize("dtype", REAL + COMPLEX, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matrix_norm_equals_torchs(dtype, shape):
    a = torch.randn(shape, dtype=torch.complex128 if dtype.is_complex else torch.float64)
    a = a.to(dtype).requires_grad_()
    wide = a.detach().to(torch.complex128 if dtype.is_complex else torch.float64).requires_grad_()
    sigma, expected = matrix_norm(a), torch.linalg.matrix_norm(wide, 2)
    rtol = 1e-9 if dtype in {torch.float64, torch.complex128} else 2e-6
    torch.testing.assert_close(sigma.double(), expected, rtol=rtol, atol=0)
    sigma.sum().backward()
    expected.sum().backward()
    if dtype in {torch.float64, torch.complex128}:
        torch.testing.assert_close(a.grad, wide.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(40, 30), (3, 200, 150), (2100, 2050)], ids=str)
def test_matrix_norm_needs_no_gradient(shape):
    a = torch.randn(shape, requires_grad=True)
    sigma = matrix_norm(a)
    assert sigma.requires_grad
    for alone in (matrix_norm(a.detach()), torch.no_grad()(matrix_norm)(a)):
        assert not alone.requires_grad
        assert alone.dtype == sigma.dtype
        torch.testing.assert_close(alone, sigma.detach(), rtol=2e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_matrix_norm_passes_gradcheck(dtype):
    a = torch.randn(2, 4, 5, dtype=dtype, requires_grad=True)
    assert torch.autograd.gradcheck(matrix_norm, (a,))
    assert torch.autograd.gradgradcheck(matrix_norm, (a,))


# Of what torch loads for derivatives of the forward mode.
of_torch = pytest.mark.filterwarnings("ignore:.torch.jit.script. is:FutureWarning")


def torchs_norm(a):
    return torch.linalg.matrix_norm(a, 2)


@of_torch
@pytest.mark.parametrize("dtype", REAL + COMPLEX, ids=str)
@pytest.mark.parametrize("shape", [(7, 5), (3, 60, 70)], ids=str)
def test_matrix_norm_has_a_forward_derivative(dtype, shape):
    wide = torch.complex128 if dtype.is_complex else torch.float64
    a, da = (torch.randn(shape, dtype=wide).to(dtype) for _ in range(2))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(a, da)
        sigma, slope = forward_ad.unpack_dual(matrix_norm(dual))
        assert forward_ad.unpack_dual(matrix_norm(a)).tangent is None
    assert slope.dtype == sigma.dtype
    steps = [torchs_norm(a.to(wide) + h * da.to(wide)) for h in (1e-5, -1e-5)]
    rtol = 1e-4 if wide == dtype else 2e-2
    torch.testing.assert_close(slope.double(), (steps[0] - steps[1]) / 2e-5, rtol=rtol, atol=1e-3)
    torch.testing.assert_close(sigma, matrix_norm(a), rtol=2e-6, atol=0)


@of_torch
def test_matrix_norm_of_zero_has_no_forward_derivative():
    with forward_ad.dual_level():
        a = forward_ad.make_dual(torch.zeros(2, 3), torch.ones(2, 3))
        assert forward_ad.unpack_dual(matrix_norm(a)).tangent == 0


@of_torch
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_matrix_norm_passes_gradcheck_forward(dtype):
    a = torch.randn(2, 4, 5, dtype=dtype, requires_grad=True)
    assert torch.autograd.gradcheck(
        matrix_norm, (a,), check_forward_ad=True, check_batched_forward_grad=True
    )
    assert torch.autograd.gradgradcheck(matrix_norm, (a,), check_fwd_over_rev=True)


FUNCTIONAL = {
    "jacobian": (torch.autograd.functional.jacobian, {"vectorize": True}),
    "forward": (
        torch.autograd.functional.jacobian,
        {"vectorize": True, "strategy": "forward-mode"},
    ),
    "hessian": (torch.autograd.functional.hessian, {"vectorize": True}),
    "over": (
        torch.autograd.functional.hessian,
        {"vectorize": True, "outer_jacobian_strategy": "forward-mode"},
    ),
}


@of_torch
def test_matrix_norm_transforms_as_torchs():
    a, da = (torch.randn(4, 5, dtype=torch.float64) for _ in range(2))
    stack = torch.randn(3, 4, 5, dtype=torch.float64)
    ways = [lambda f, transform=t: transform(f)(a) for t in (grad, jacrev, jacfwd, hessian)]
    ways += [
        lambda f: vmap(f)(stack),
        lambda f: vmap(f, in_dims=1)(stack),
        lambda f: vmap(grad(f))(stack),
        lambda f: vmap(hessian(f))(stack),
        lambda f: jvp(f, (a,), (da,))[1],
        lambda f: vjp(f, a)[1](a.new_ones(()))[0],
        lambda f: jvp(grad(f), (a,), (da,))[1],
    ]
    ways += [
        lambda f, run=run, options=options: run(f, a, **options)
        for run, options in FUNCTIONAL.values()
    ]
    for way in ways:
        torch.testing.assert_close(way(matrix_norm), way(torchs_norm), rtol=1e-6, atol=1e-8)


def test_matrix_norm_serves_the_rest_of_a_bad_stack():
    a = torch.randn(5, 60, 70, dtype=torch.float64)
    a[1, 0, 0], a[2, 1, 1], a[3] = float("nan"), -float("inf"), 0
    a[4] *= 1e-200
    sigma = matrix_norm(a)
    assert sigma[1].isnan()
    assert sigma[2].isposinf()
    assert sigma[3] == 0
    exact = torch.linalg.matrix_norm(torch.stack([a[0], a[4] * 1e200]), 2)
    torch.testing.assert_close(sigma[[0, 4]] * torch.tensor([1, 1e200], dtype=torch.float64), exact)
    assert matrix_norm(torch.empty(3, 0, 4)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("a", "options"), [(torch.ones(3), {}), (torch.ones(2, 2), {"rtol": 0})])
def test_matrix_norm_names_what_is_wrong(a, options):
    with pytest.raises(ValueError, match="tensor must" if a.ndim == 1 else "rtol must"):
        matrix_norm(a, **options)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool], ids=str)
def test_integers_have_no_norm(dtype):
    a = torch.ones(2, 3, dtype=dtype)
    with pytest.raises(TypeError, match="tensor must hold real or complex"):
        matrix_norm(a)
    weight = torch.randn(2, 3)
    SpectralSphere([a, weight]).retract_()
    assert torch.equal(a, torch.ones_like(a))


@pytest.mark.parametrize("radius", [1.0, 2.5, "mup"])
def test_sphere_holds_every_weight(radius):
    layers = [nn.Linear(30, 20), nn.Conv2d(3, 4, 3).double(), nn.Linear(30, 20), nn.Linear(8, 8)]
    layers[3].bfloat16()
    weights = [layer.weight for layer in layers]
    optimizer = torch.optim.SGD(weights, lr=0.01)
    sphere = SpectralSphere(weights, radius, n_power_iterations=40, optimizer=optimizer)
    versions = [w._version for w in weights]
    for w in weights:
        w.grad = torch.randn_like(w)
    optimizer.step()
    assert all(w._version > before for w, before in zip(weights, versions, strict=True))
    for w in weights:
        matrix = w.detach().flatten(1)
        wanted = (matrix.shape[0] / matrix.shape[1]) ** 0.5 if radius == "mup" else radius
        assert float(matrix_norm(matrix)) == pytest.approx(wanted, rel=1e-2)
    assert len(sphere.sigma) == 4
    again = SpectralSphere(weights, radius)
    again.load_state_dict(copy.deepcopy(sphere.state_dict()))
    again.retract_()
    sphere.remove()
    before = weights[0].detach().clone()
    optimizer.step()
    assert not torch.equal(before, weights[0])


def test_sphere_leaves_zero_and_spares_others_a_nan():
    weights = [torch.zeros(3, 4), torch.randn(3, 4), torch.randn(3, 4)]
    weights[1][0, 0] = float("nan")
    SpectralSphere(weights, n_power_iterations=30).retract_()
    assert torch.equal(weights[0], torch.zeros(3, 4))
    assert weights[1].isnan().any()
    assert float(matrix_norm(weights[2])) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("before", [torch.float32, torch.float64])
@pytest.mark.parametrize("after", [*REAL, torch.complex64], ids=str)
@pytest.mark.filterwarnings("ignore:Complex modules", "ignore:Casting complex values")
def test_sphere_follows_a_cast_of_its_weights(before, after):
    layer = nn.Linear(6, 4).to(before)
    sphere = SpectralSphere([layer.weight], n_power_iterations=40)
    layer.to(after)
    sphere.retract_()
    wide = torch.complex128 if after.is_complex else torch.float64
    assert float(matrix_norm(layer.weight.detach().to(wide))) == pytest.approx(1.0, rel=2e-2)
    sigma = matrix_norm(layer.weight)
    assert sphere.sigma[0].dtype == sigma.dtype
    layer.to(before)
    sphere.retract_()
    assert sphere.u[0].dtype == before


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0, 2, 3)])
def test_sphere_takes_an_empty_weight(shape):
    weight = torch.empty(shape)
    sphere = SpectralSphere([weight, torch.ones(2, 2)])
    sphere.retract_()
    assert weight.shape == shape
    assert sphere.sigma[0] == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", REAL, ids=str)
def test_sphere_makes_a_weight_that_is_not_finite_nan(value, dtype):
    weight = torch.randn(3, 4).to(dtype)
    weight[1, 2] = value
    sphere = SpectralSphere([weight])
    u, v = sphere.u[0].clone(), sphere.v[0].clone()
    sphere.retract_()
    assert weight.isnan().all()
    torch.testing.assert_close(
        sphere.sigma[0].double(), torch.tensor(abs(value)).double(), equal_nan=True
    )
    assert torch.equal(u, sphere.u[0])
    assert torch.equal(v, sphere.v[0])


@pytest.mark.parametrize("radius", [0.0, float("inf"), "half"])
def test_sphere_names_a_bad_radius(radius):
    with pytest.raises(ValueError, match="radius must be"):
        SpectralSphere([torch.ones(2, 2)], radius)


def net(apply=lambda layer: layer):
    torch.manual_seed(6)
    layers = [nn.Linear(5, 6), nn.Unflatten(1, (6, 1, 1)), nn.ConvTranspose2d(6, 3, 2)]
    return nn.Sequential(apply(layers[0]), nn.BatchNorm1d(6), layers[1], apply(layers[2])).double()


@pytest.mark.parametrize("to", FRONTS)
@pytest.mark.parametrize("source", [*FRONTS, "old", "torch"])
def test_conversion_keeps_the_output(source, to):
    model = net(HOOK.reference if source == "torch" else FRONTS.get(source, HOOK).apply)
    x = torch.randn(3, 5, dtype=torch.float64)
    for _ in range(3):
        model(x)
    state = copy.deepcopy(model.state_dict())
    if source == "old":
        for stem in ("0.weight", "3.weight"):
            del state[stem + "_v"]
            state[stem] = model.get_submodule(stem[0]).weight.detach()
        del state._metadata["0"]["spectral_norm"]
    expected = model.eval()(x)
    for target in (FRONTS[to].apply, FRONTS[to].reference):
        other = net(target).eval()
        other.load_state_dict(convert_state_dict(state, to, dims={"3.weight": 1}))
        torch.testing.assert_close(other(x), expected)
    plain = net().eval()
    plain.load_state_dict(convert_state_dict(state, "plain", modules=plain))
    torch.testing.assert_close(plain(x), expected)


@pytest.mark.parametrize("to", FRONTS)
def test_plain_checkpoint_gets_converged_vectors(to):
    plain, model = net(), net(FRONTS[to].apply).eval()
    model.load_state_dict(convert_state_dict(plain.state_dict(), to, modules=plain))
    for i in (0, 3):
        shape = (2, 5) if i == 0 else (2, 6, 1, 1)
        weight = FRONTS[to].normalized(model[i], torch.randn(shape, dtype=torch.float64))
        norm = matrix_norm(weight.detach().movedim(1 if i else 0, 0).flatten(1))
        torch.testing.assert_close(norm, torch.ones_like(norm), rtol=1e-8, atol=0)


@pytest.mark.parametrize("to", FRONTS)
@pytest.mark.parametrize("source", FRONTS)
@pytest.mark.parametrize("kind", ["apply", "reference"])
def test_conversion_of_a_vector_keeps_it(source, to, kind):
    first, second = (
        getattr(FRONTS[name], kind)(nn.LayerNorm(5, bias=False).double()) for name in (source, to)
    )
    x = torch.randn(2, 5, dtype=torch.float64)
    first(x)  # a fresh hook of torch may flip signs
    expected = first.eval()(x)
    second.eval().load_state_dict(convert_state_dict(first.state_dict(), to))
    torch.testing.assert_close(second(x), expected)
    plain = nn.LayerNorm(5, bias=False).double()
    plain.load_state_dict(convert_state_dict(first.state_dict(), "plain"))
    torch.testing.assert_close(plain(x), expected)
    second.load_state_dict(convert_state_dict(plain.state_dict(), to, dims={"weight": 0}))
    torch.testing.assert_close(second(x), expected)


@pytest.mark.parametrize("to", ["plain", *FRONTS])
def test_conversion_hands_on_what_is_no_weight(front, to):
    state = front.apply(nn.Linear(3, 4)).state_dict()
    rest = {"_extra_state": {"step": 3}, "name.weight": "text", "none": None, "0.weight": 1.5}
    state.update(rest)
    converted = convert_state_dict(state, to)
    assert {key: converted[key] for key in rest} == rest
    assert set(convert_state_dict(converted, "plain")) == {"weight", "bias", *rest}


def test_conversion_names_what_it_cannot_read():
    with pytest.raises(ValueError, match="to must be one of"):
        convert_state_dict({}, "hooks")
    stacked = PARAMETRIZATION.apply(PARAMETRIZATION.apply(nn.Linear(3, 4)))
    with pytest.raises(ValueError, match="one spectral norm and nothing else"):
        convert_state_dict(stacked.state_dict(), "plain")
    transposed = PARAMETRIZATION.apply(nn.ConvTranspose2d(3, 4, 2))
    with pytest.raises(ValueError, match="dims must name"):
        convert_state_dict(transposed.state_dict(), "plain")


def test_monitor_reports_the_last_step():
    model = nn.Linear(6, 4).double()
    monitor = Monitor(model, every=3)
    assert monitor.step() == {}
    assert monitor.step() == {}
    before = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(torch.randn_like(model.weight))
    row = monitor.step()
    after = model.weight.detach()
    sigma = float(torch.linalg.matrix_norm(after, 2))
    change = float(torch.linalg.matrix_norm(after - before, 2))
    assert row["weight/sigma"] == pytest.approx(sigma, rel=1e-4)
    assert row["weight/update_sigma"] == pytest.approx(change, rel=1e-4)
    assert row["weight/stable_rank"] == pytest.approx(float(after.norm() / sigma) ** 2, rel=1e-3)
    assert all(isinstance(value, float) for value in row.values())
    with pytest.raises(ValueError, match="every must be"):
        Monitor(model, every=0)


@pytest.mark.parametrize("options", [{}, {"init": "deterministic"}], ids=str)
def test_default_device_decides_nothing(front, options):
    weights = [torch.randn(n, 5) for n in (6, 70)]
    wide = torch.randn(80, 90, requires_grad=True)
    layers = nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 5))
    x = torch.randn(3, 5, requires_grad=True)
    with torch.device("meta"):
        for layer in layers:
            front.apply(layer, **options)
        checkpoint(layers, x, use_reentrant=False).sum().backward()
        loss = layers(x).sum() + matrix_norm(wide)
        loss.backward()
        sigmas = [module_sigma(layer) for layer in layers]
        sphere = SpectralSphere(weights, n_power_iterations=30)
        sphere.retract_()
        row = Monitor(layers, every=1).step()
        converted = convert_state_dict(nn.Linear(4, 3, device="cpu").state_dict())
    tensors = [*converted.values(), *sigmas, *sphere.sigma, *sphere.u, matrix_norm(wide.detach())]
    assert {t.device.type for t in tensors} == {"cpu"}
    assert all(value > 0 for key, value in row.items() if key.endswith("/sigma"))
    for weight in weights:
        assert float(torch.linalg.matrix_norm(weight, 2)) == pytest.approx(1.0, rel=1e-2)


@pytest.mark.parametrize("bad", [0, float("nan")])
def test_default_dtype_decides_nothing(bad):
    a = torch.randn(2, 60, 70, requires_grad=True)
    with torch.no_grad():
        a[0, 0, 0] += bad
    torch.set_default_dtype(torch.float64)
    try:
        sigma = matrix_norm(a)
        assert sigma.dtype == torch.float32
        sigma.sum().backward()
        assert [x.dtype for x in triplet(a.detach())] == [torch.float32] * 3
    finally:
        torch.set_default_dtype(torch.float32)


def test_monitor_takes_complex_and_leaves_integers():
    model = nn.Module()
    model.w = nn.Parameter(torch.randn(3, 2, 2, dtype=torch.complex64))
    model.n = nn.Parameter(torch.ones(3, 4, dtype=torch.int64), requires_grad=False)
    model.lazy = nn.LazyLinear(3)
    row = Monitor(model, every=1).step()
    assert set(row) == {"w/sigma", "w/stable_rank", "w/update_sigma"}
    w = model.w.detach().flatten(1)
    sigma = float(torchs_norm(w))
    assert row["w/sigma"] == pytest.approx(sigma, rel=1e-4)
    assert row["w/stable_rank"] == pytest.approx(float(w.norm() / sigma) ** 2, rel=1e-3)


CONVOLUTIONS = [
    (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 5, 6)),
    (lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), (2, 6, 5)),
    (lambda: nn.Conv2d(2, 3, 3, padding="same", padding_mode="circular"), (2, 5, 5)),
    (lambda: nn.Conv1d(2, 3, 4, dilation=2), (2, 12)),
    (lambda: nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1), (2, 4, 4)),
]


@pytest.mark.parametrize(("make", "shape"), CONVOLUTIONS)
def test_operator_norm_is_that_of_the_dense_matrix(front, make, shape):
    module = make().double()
    front.apply(module, norm="operator", input_shape=shape, n_power_iterations=300)
    weight = front.normalized(module, torch.randn(1, *shape).double())
    with torch.no_grad():
        bias, module.bias = module.bias, None
        n = torch.Size(shape).numel()
        module.eval()
        dense = module(torch.eye(n).double().reshape(n, *shape)).flatten(1)
        module.bias = bias
    norm = torch.linalg.matrix_norm(dense, 2)
    torch.testing.assert_close(norm, torch.ones_like(norm), rtol=1e-4, atol=0)
    assert weight.shape == front.original(module).shape


def test_operator_norm_has_the_gradient_of_the_map(front):
    module = nn.Conv1d(2, 2, 2, padding=1).double()
    front.apply(module, norm="operator", input_shape=(2, 4), init_iterations=5)
    module.eval()
    u, v = (x.clone() for x in front.vectors(module))
    leaf = front.original(module).detach().clone().requires_grad_()

    def run(weight):
        image = torch.nn.functional.conv1d(v.reshape(1, 2, 4), weight, padding=1)
        return weight / (u @ image.flatten()).abs()

    weight = front.normalized(module, torch.randn(1, 2, 4).double())
    grad = torch.randn_like(weight)
    (ours,) = torch.autograd.grad(weight, front.original(module), grad)
    (expected,) = torch.autograd.grad(run(leaf), leaf, grad)
    torch.testing.assert_close(weight, run(leaf))
    torch.testing.assert_close(ours, expected)


def test_spectral_norm_over_a_weight_made_of_parts_is_refused():
    layer = PARAMETRIZATION.apply(torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)))
    for form in ("parametrization", "hook", "plain"):
        with pytest.raises(ValueError, match="must carry one spectral norm and nothing else"):
            convert_state_dict(layer.state_dict(), form)
    alone = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)).state_dict()
    assert list(convert_state_dict(alone, "plain")) == list(alone)


def test_sphere_leaves_weights_without_rows_alone():
    weights = [torch.empty(0, 3), torch.randn(3, 3)]
    SpectralSphere(weights, "mup", n_power_iterations=50).retract_()
    assert weights[0].shape == (0, 3)
    torch.testing.assert_close(torch.linalg.matrix_norm(weights[1], 2), torch.tensor(1.0))


def test_sphere_refuses_the_state_of_other_weights():
    sphere = SpectralSphere([torch.randn(3, 4)])
    state = SpectralSphere([torch.randn(1, 4)]).state_dict()
    with pytest.raises(ValueError, match="must hold vectors of the shapes"):
        sphere.load_state_dict(state)
    sphere.load_state_dict(SpectralSphere([torch.randn(3, 4)]).state_dict())


def test_monitor_of_a_parameter_that_has_grown():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 3))
    monitor = Monitor(model, every=2)
    monitor.step()
    model[0].weight = nn.Parameter(torch.randn(8, 4))
    report = monitor.step()
    assert "0.weight/sigma" in report
    assert "0.weight/update_sigma" not in report
    assert report["1.weight/update_sigma"] == 0
    with pytest.raises(TypeError):
        Monitor(model, every=1.5)
