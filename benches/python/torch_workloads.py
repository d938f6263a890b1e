"""The torch adapter beside torch: what the same step costs with the one, the other, and neither.

What normalisation costs is the time of a training step with it less that of the step without it,
taken within one round.
"""

import copy
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations as torchs
from torch.nn.utils import parametrize
from torch.nn.utils import spectral_norm as torchs_hook

from harness import Engine
from rsspecnorm.torch import SpectralNormGroup, SpectralSphere, matrix_norm
from rsspecnorm.torch import spectral_norm as hook
from rsspecnorm.torch.parametrizations import spectral_norm

PLAIN, TORCH, OURS, GROUP, FLOOR = (
    "no normalisation",
    "torch",
    "rsspecnorm, per layer",
    "rsspecnorm, group",
    "torch, weight * 0.5 and no norm",
)
SIZES = (64, 128, 256, 512)
SMALL_SIZES = (32, 64, 96, 128)


class Workload(NamedTuple):
    """Engines that do one work; `baseline`, if any, is taken off the time of every other."""

    name: str
    title: str
    prepare: Callable[[bool], Sequence[Engine]]
    baseline: str | None = None
    rounds: int = 7


class Mixed(nn.Module):
    """As many Linear as 3x3 Conv layers of mixed sizes, each with an input of its own."""

    def __init__(self, each: int, sizes: Sequence[int] = SIZES) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(n, n) for n in sizes for _ in range(each))
        self.convs = nn.ModuleList(nn.Conv2d(n, n, 3) for n in sizes for _ in range(each))
        for layer in (*self.linears, *self.convs):
            size = layer.weight.shape[1]
            shape = (4, size) if isinstance(layer, nn.Linear) else (1, size, 3, 3)
            layer.register_buffer("x", torch.randn(shape), persistent=False)

    def forward(self) -> torch.Tensor:
        """Return a loss that needs every layer."""
        outs = [layer(layer.x).square().mean() for layer in (*self.linears, *self.convs)]
        return torch.stack(outs).sum()


class Perceptron(nn.Module):
    """Square layers with a batch."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.register_buffer("x", torch.randn(64, width), persistent=False)

    def forward(self) -> torch.Tensor:
        """Return a loss."""
        h = self.x
        for layer in self.layers:
            h = functional.relu(layer(h))
        return h.square().mean()


def wrap_each(apply: Callable[[nn.Module], Any]) -> Callable[[nn.Module], None]:
    """Apply to every layer by itself."""

    def run(model: nn.Module) -> None:
        for layer in list(model.modules()):
            if isinstance(layer, nn.Linear | nn.Conv2d):
                apply(layer)

    return run


class Half(nn.Module):
    """The least that a parametrization can do in torch: read and write a weight and a gradient."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return half the weight."""
        return weight * 0.5


WAYS: dict[str, Callable[[nn.Module], Any]] = {
    GROUP: SpectralNormGroup,
    TORCH: wrap_each(torchs.spectral_norm),
    OURS: wrap_each(spectral_norm),
    FLOOR: wrap_each(lambda layer: parametrize.register_parametrization(layer, "weight", Half())),
    PLAIN: lambda _: None,
}


def steps_of(model: nn.Module) -> list[Engine]:
    """A training step of the model in each way."""
    engines = []
    for name, way in WAYS.items():
        twin = copy.deepcopy(model)
        way(twin)
        engines.append(Engine(name, training_step(twin)))
    return engines


def training_step(model: nn.Module) -> Callable[[], float]:
    """A forward, a backward and an optimizer step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> float:
        optimizer.zero_grad()
        loss = model()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def mixed(quick: bool) -> Sequence[Engine]:
    torch.manual_seed(0)
    return steps_of(Mixed(1 if quick else 6))


def small(quick: bool) -> Sequence[Engine]:
    torch.manual_seed(0)
    return steps_of(Mixed(1 if quick else 6, SMALL_SIZES))


def perceptron(quick: bool) -> Sequence[Engine]:
    torch.manual_seed(0)
    return steps_of(Perceptron(2 if quick else 12, 64 if quick else 512))


# The two front ends on one layer, where all that costs is what surrounds the arithmetic.
FRONT_ENDS: dict[str, Callable[[nn.Module], Any]] = {
    OURS: spectral_norm,
    TORCH: torchs.spectral_norm,
    "rsspecnorm, hook": hook,
    "torch, hook": torchs_hook,
    PLAIN: lambda _: None,
}


def small_layer(
    quick: bool, training: bool, call: Callable[[nn.Module, torch.Tensor], Any]
) -> list[Engine]:
    """One small layer by each front end; torch's hook is deprecated, and says so."""
    engines = []
    for name, way in FRONT_ENDS.items():
        torch.manual_seed(0)
        layer, x = nn.Linear(64, 64), torch.randn(16, 64, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            way(layer)
        layer(x)  # a first step: vectors that were never moved are out of the ordinary
        layer.train(training)
        engines.append(Engine(name, partial(call, layer, x), 1 if quick else 100))
    return engines


def layer_trained(quick: bool) -> Sequence[Engine]:
    def step(layer: nn.Module, x: torch.Tensor) -> None:
        layer(x).sum().backward()

    return small_layer(quick, True, step)


def layer_evaluated(quick: bool) -> Sequence[Engine]:
    @torch.no_grad()
    def evaluate(layer: nn.Module, x: torch.Tensor) -> None:
        layer(x)

    return small_layer(quick, False, evaluate)


def sphere(quick: bool) -> Sequence[Engine]:
    torch.manual_seed(0)
    layers = Mixed(1 if quick else 6)
    weights = [p.detach() for p in layers.parameters() if p.ndim > 1]
    ours = SpectralSphere([w.clone() for w in weights])
    scaled = [w.clone() for w in weights]
    return [
        Engine("rsspecnorm", ours.retract_),
        Engine("torch, a loop", retraction_loop(weights)),
        Engine("torch, weight *= 1 and no norm", lambda: [w.mul_(1.0) for w in scaled]),
    ]


@torch.no_grad()
def retraction_loop(given: list[torch.Tensor]) -> Callable[[], None]:
    """What trainers do today: a warm power step of every weight, in a Python loop."""
    weights = [w.clone() for w in given]
    vectors = [functional.normalize(torch.randn(w[0].numel()), dim=0) for w in weights]

    @torch.no_grad()
    def run() -> None:
        for i, weight in enumerate(weights):
            matrix = weight.flatten(1)
            u = functional.normalize(matrix @ vectors[i], dim=0)
            vectors[i] = functional.normalize(matrix.T @ u, dim=0)
            weight.div_(u @ (matrix @ vectors[i]))

    return run


def norm(quick: bool) -> Sequence[Engine]:
    a = torch.randn(*(2 * (128 if quick else 2048,)), generator=torch.Generator().manual_seed(0))
    return [
        Engine("rsspecnorm", lambda: matrix_norm(a)),
        Engine("torch.linalg.matrix_norm(a, 2)", lambda: torch.linalg.matrix_norm(a, 2)),
    ]


WORKLOADS = (
    Workload("mixed", "48 layers of 64 to 512, Linear and 3x3 Conv: a training step", mixed, PLAIN),
    Workload("small", "48 layers of 32 to 128, Linear and 3x3 Conv: a training step", small, PLAIN),
    Workload("perceptron", "12 Linear layers of 512, batch 64: a training step", perceptron, PLAIN),
    Workload("trained", "One Linear layer of 64, batch 16: to and fro", layer_trained, PLAIN),
    Workload("evaluated", "The same layer: evaluated", layer_evaluated, PLAIN),
    Workload("sphere", "Retraction of the 48 weights", sphere),
    Workload("norm", "Norm of 2048 x 2048 float32", norm, rounds=3),
)
