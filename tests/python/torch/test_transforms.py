"""torch.compile, torch.export, torch.func, traces, and the operator's own check."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import rsspecnorm.torch
from rsspecnorm.torch import SpectralNormGroup
from torch_fronts import HOOK, LAYERS, sample_input

# Warnings of torch about its own tools.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore:The .grad attribute of a Tensor that is not a leaf",
    "ignore:The tensor attribute .* was assigned during export",
    "ignore:While compiling, we found certain side effects",
    "ignore::torch.jit.TracerWarning",
)


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("n_iter", [0, 2])
def test_operator_passes_opcheck(path, dtype, n_iter):
    if path != "core":
        return  # there is one operator
    shapes = [(3, 4), (5, 2, 3), (2, 6)]
    weights = [torch.randn(*s, dtype=dtype).requires_grad_() for s in shapes]
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    us = [torch.randn(n, dtype=wide) for n in (3, 2, 2)]
    vs = [torch.randn(n, dtype=wide) for n in (4, 15, 6)]
    args = weights, us, vs, [0, 1, 0], n_iter, "uv", 1.5, False, False
    torch.library.opcheck(torch.ops.rsspecnorm.normalize.default, args, atol=1e-2, rtol=1e-2)
    with torch.no_grad():
        results = torch.ops.rsspecnorm.normalize(*args)
    columns = [results[i : i + 3] for i in range(0, 12, 3)]
    args = [torch.randn_like(x) for x in columns[0]], *columns, [0, 1, 0], 1.5, False, False
    torch.library.opcheck(torch.ops.rsspecnorm.normalize_backward.default, args)


@pytest.mark.parametrize("training", [True, False])
def test_compile_has_no_graph_break(front, training):
    module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), front.apply(nn.Linear(5, 4))).train(training)
    plain = copy.deepcopy(module)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for _ in range(3):
        x = torch.randn(2, 3)
        ours, expected = compiled(x), plain(x)
        torch.testing.assert_close(ours, expected)
        ours.square().sum().backward()
        expected.square().sum().backward()
    for a, b in zip(module.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    for a, b in zip(module.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(a, b)


def test_export_in_eval_is_made_of_torchs_operators(front):
    module = nn.Sequential(front.apply(nn.Linear(5, 4))).eval()
    x = torch.randn(2, 5)
    program = torch.export.export(module, (x,))
    torch.testing.assert_close(program.module()(x), module(x))
    assert "rsspecnorm" not in program.graph_module.code


@pytest.mark.parametrize("strict", [True, False])
def test_export_in_training_is_saved_and_moves_the_vectors(front, strict):
    module = nn.Sequential(front.apply(nn.Linear(5, 4)))
    x = torch.randn(2, 5)
    file = io.BytesIO()
    torch.export.save(torch.export.export(module, (x,), strict=strict), file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    for _ in range(3):
        torch.testing.assert_close(loaded(x), module(x))


@pytest.mark.parametrize("training", [True, False])
def test_compiled_group_has_no_graph_break(training):
    grouped, plain = (nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)) for _ in range(2))
    groups = [SpectralNormGroup(model) for model in (grouped, plain)]
    plain.load_state_dict(grouped.state_dict())
    compiled = torch.compile(grouped.train(training), fullgraph=True, backend="aot_eager")
    plain.train(training)
    for _ in range(3):
        x = torch.randn(2, 6)
        for model, run in ((grouped, compiled), (plain, plain)):
            model.zero_grad()
            run(x).square().sum().backward()
        for a, b in zip(grouped.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad)
            with torch.no_grad():
                a.sub_(0.1 * a.grad)
                b.sub_(0.1 * b.grad)
        torch.testing.assert_close(compiled(x), plain(x))
    torch.testing.assert_close(list(grouped.buffers()), list(plain.buffers()))
    torch.testing.assert_close(groups[0].sigma, groups[1].sigma)


def test_update_in_compiled_code_leaves_nothing_stale():
    layer = nn.Linear(6, 5)
    group = SpectralNormGroup([layer])
    twin = copy.deepcopy(layer)
    x = torch.randn(2, 6)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def step():
        group.update()
        return layer(x).square().sum()

    evaluate = torch.compile(lambda: layer(x).square().sum(), fullgraph=True, backend="aot_eager")
    for _ in range(2):
        step().backward()
        with torch.no_grad():
            layer.parametrizations.weight.original.mul_(1.1).add_(0.1)
    twin.load_state_dict(layer.state_dict())
    for run in (evaluate, lambda: layer(x).square().sum()):
        torch.testing.assert_close(run(), twin.eval()(x).square().sum())


def by_flag(out, leaf, grads):
    return torch.autograd.grad(out, leaf, grads, is_grads_batched=True, retain_graph=True)[0]


def by_vmap(out, leaf, grads):
    return torch.vmap(lambda g: torch.autograd.grad(out, leaf, g, retain_graph=True)[0])(grads)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("of", ["weight", "output"])
@pytest.mark.parametrize("batched", [by_flag, by_vmap])
def test_batched_gradients_equal_single_ones(front, layer, of, batched):
    module = front.apply(LAYERS[layer]().double())
    leaf = front.original(module)
    out = front.normalized(module) if of == "weight" else module(sample_input(module))
    grads = torch.randn(3, *out.shape, dtype=torch.float64)
    single = [torch.autograd.grad(out, leaf, g, retain_graph=True)[0] for g in grads]
    torch.testing.assert_close(batched(out, leaf, grads), torch.stack(single))


def test_trace_in_eval(front):
    module = front.apply(nn.Linear(5, 4)).eval()
    x = torch.randn(2, 5)
    traced = torch.jit.trace(module, (x,), check_trace=False)
    torch.testing.assert_close(traced(x), module(x))


@pytest.mark.parametrize("training", [True, False])
def test_functional_gradient_equals_autograd(front, training):
    module = front.apply(nn.Linear(5, 4).double()).train(training)
    x = sample_input(module)
    twin = copy.deepcopy(module)
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    grads = torch.func.grad(lambda p: torch.func.functional_call(module, p, (x,)).square().sum())(
        parameters
    )
    twin(x).square().sum().backward()
    for name, p in twin.named_parameters():
        torch.testing.assert_close(grads[name], p.grad)
    for ours, theirs in zip(front.vectors(module), front.vectors(twin), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("training", [True, False])
def test_ensemble_of_hook_modules_under_vmap(training):
    models = [HOOK.apply(nn.Linear(5, 4)).train(training) for _ in range(3)]
    parameters, buffers = torch.func.stack_module_state(models)
    base = copy.deepcopy(models[0])
    x = torch.randn(2, 5)

    def run(p, b):
        return torch.func.functional_call(base, (p, b), (x,))

    out = torch.func.vmap(run)(parameters, buffers)
    for row, model in zip(out, models, strict=True):
        torch.testing.assert_close(row, model(x))
    for name in ("weight_u", "weight_v"):
        for row, model in zip(buffers[name], models, strict=True):
            torch.testing.assert_close(row, getattr(model, name))


def test_inference_mode_evaluates(front):
    module = front.apply(nn.Linear(5, 4))
    x = torch.randn(2, 5)
    for training in (True, False):
        module.train(training)
        with torch.inference_mode():
            expected = module(x)
    torch.testing.assert_close(module(x), expected)
    module.train()(x).sum().backward()


def test_force_device_path_closes(path):
    if path == "core":
        from rsspecnorm.torch.path import core_serves

        weight = torch.ones(2, 2)
        with rsspecnorm.torch.force_device_path():
            assert not core_serves(weight)
        assert core_serves(weight)


def transformed(model, x):
    """Return what each transform of `torch.func` makes of a model over its parameters."""
    params = {name: p.detach() for name, p in model.named_parameters()}

    def call(params):
        return torch.func.functional_call(model, params, (x,))

    two = {name: torch.stack([p, 1.5 * p]) for name, p in params.items()}
    slopes = torch.func.grad(lambda params: call(params).square().sum())(params)
    return [
        *slopes.values(),
        torch.vmap(call, randomness="same")(two),
        torch.func.jvp(call, (params,), (params,))[1],
    ]


@pytest.mark.parametrize("rows", [2, 3000])
def test_group_is_transformed_over_its_parameters(rows):
    grouped = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    single = copy.deepcopy(grouped)
    SpectralNormGroup(grouped)
    for layer in (single[0], single[2]):
        rsspecnorm.torch.parametrizations.spectral_norm(layer)
    single.load_state_dict(grouped.state_dict())
    x = torch.randn(rows, 6, dtype=torch.float64)
    pair = [transformed(model.eval(), x) for model in (grouped, single)]
    for ours, expected in zip(*pair, strict=True):
        torch.testing.assert_close(ours, expected)


def exported(model, x):
    torch.export.export(model, (x,))


@pytest.mark.parametrize("use", [exported, transformed])
@pytest.mark.parametrize("kind", ["front", "group"])
def test_nothing_is_left_of_a_program_that_was_made(front, use, kind):
    layer = nn.Linear(6, 8)
    model = nn.Sequential(layer if kind == "group" else front.apply(layer)).eval()
    if kind == "group":
        SpectralNormGroup(model)
    x = torch.randn(3, 6)
    expected = model(x)
    sigma = float(rsspecnorm.torch.module_sigma(model[0]))
    use(model, x)
    assert float(rsspecnorm.torch.module_sigma(model[0])) == pytest.approx(sigma)
    torch.testing.assert_close(copy.deepcopy(model)(x), expected)
    if front is HOOK and kind == "front" and use is exported:
        torch.testing.assert_close(pickle.loads(pickle.dumps(model))(x), expected)  # noqa: S301


@pytest.mark.parametrize("kind", ["front", "group"])
def test_functionalized_model_takes_the_same_steps(front, kind):
    model = nn.Sequential(nn.Linear(6, 8) if kind == "group" else front.apply(nn.Linear(6, 8)))
    if kind == "group":
        SpectralNormGroup(model)
    twin, x = copy.deepcopy(model), torch.randn(2, 6)
    for _ in range(2):
        out = torch.func.functionalize(model)(x)
        torch.testing.assert_close(out, twin(x))
    for ours, expected in zip(model.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(ours, expected)
    copy.deepcopy(model)
    assert float(rsspecnorm.torch.module_sigma(model[0])) > 0
