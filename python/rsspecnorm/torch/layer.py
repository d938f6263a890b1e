"""What the two front ends have in common: one weight, its vectors, and when they move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rsspecnorm.torch import eager, recompute
from rsspecnorm.torch.layout import checked_dim, matrix_shape
from rsspecnorm.torch.memory import Kept
from rsspecnorm.torch.options import with_eps, with_iterations
from rsspecnorm.torch.path import outlives_call
from rsspecnorm.torch.rows import Plan, Weight
from rsspecnorm.torch.scaling import accumulator
from rsspecnorm.torch.steps import normalize, normalize_shortly

if TYPE_CHECKING:
    from torch import Tensor

    from rsspecnorm.torch.eager import Step
    from rsspecnorm.torch.operator_norm import Convolution
    from rsspecnorm.torch.options import Options
    from rsspecnorm.torch.rows import Sigma
    from rsspecnorm.torch.seat import Arrays


class Layer:
    """The state of one normalised weight beside its buffers; copied and pickled with its module.

    Attributes
    ----------
    pending : int
        Initial iterations that the next forward makes.
    axes : tuple of int
        Shape of the weight that the layer began with.
    own : Tensor or None
        The Parameter that the layer began with, where it may divide its output instead.
    """

    def __init__(
        self,
        options: Options,
        dim: int,
        shape: tuple[int, ...],
        convolution: Convolution | None = None,
    ) -> None:
        self.options = options
        self.axes = tuple(shape)
        self.dim = checked_dim(dim, len(shape))
        self.convolution = convolution
        self._sigma: Sigma | None = None
        self.pending = 0
        self.kept = Kept()
        self.own: Tensor | None = None
        self.trusted: tuple[int, int] | None = None

    @property
    def sigma(self) -> Tensor | None:
        """The last sigma, 0-d and detached; reading it changes nothing."""
        if isinstance(self._sigma, tuple):
            value, dtype = self._sigma
            self._sigma = torch.tensor(value, dtype=dtype, device="cpu")
        return self._sigma

    def found(self, sigma: Sigma) -> None:
        """Take note of a sigma; it becomes a tensor when somebody asks.

        One that belongs to a program being made, or transformed, means nothing afterwards.
        """
        if isinstance(sigma, tuple) or outlives_call(sigma):
            self._sigma = sigma

    def __call__(self, weight: Tensor, u: Tensor, v: Tensor, *, training: bool) -> Tensor:
        """Return the normalised weight; in training the vectors move."""
        if recompute.in_recomputation():
            used = recompute.recall(self)
            return self.take(weight, *((u, v) if used is None else used[:2]), 0)
        n_iter = self._iterations(training=training)
        self.pending = 0
        return self.take(weight, u, v, n_iter)

    def _iterations(self, *, training: bool) -> int:
        return self.pending + (self.options.n_power_iterations if training else 0)

    def take(self, weight: Tensor, u: Tensor, v: Tensor, n_iter: int) -> Tensor:
        """Take `n_iter` iterations, whatever the mode, and divide."""
        row = Weight(weight, u, v, self.dim, self.convolution, self.kept)
        plan = Plan(self.options.order, self.options.rule, n_iter)
        result = normalize_shortly(row, plan)
        if result is None:
            revive = n_iter == 0 and not self.trusts(u, v)
            result = normalize([row], plan._replace(revive=revive))[0]
        self.found(result.sigma)
        if n_iter > 0:
            self.trust(u, v)
        recompute.note(self, result.u, result.v)
        return result.out

    def step(self, places: Arrays, u: Tensor, v: Tensor, *, training: bool) -> Step | None:
        """Do all that a read does but to divide.

        None, with nothing changed, for a weight that is out of the ordinary.
        """
        n_iter = self._iterations(training=training)
        step = eager.step_one(places, Plan(self.options.order, self.options.rule, n_iter))
        if step is not None:
            self.stepped(step, u, v, moved=n_iter > 0)
        return step

    def stepped(self, step: Step, u: Tensor, v: Tensor, *, moved: bool) -> None:
        """Take note of a step that was made."""
        self.pending = 0
        self.found((step.sigma, u.dtype))
        if moved:
            self.trust(u, v)

    def turn(self, dim: int) -> None:
        """Take another axis for the rows; one of the same length, as the vectors stay."""
        wanted = checked_dim(dim, len(self.axes))
        if self.axes[wanted] != self.axes[self.dim]:
            message = (
                f"dim must be an axis of length {self.axes[self.dim]}, for which the vectors "
                f"were made, got {dim}, of length {self.axes[wanted]}"
            )
            raise ValueError(message)
        self.dim = wanted

    def shape(self, weight: Tensor) -> tuple[int, int]:
        """Return the lengths of u and v."""
        if self.convolution is not None:
            return self.convolution.lengths(weight)
        return matrix_shape(weight, self.dim)

    def trust(self, u: Tensor, v: Tensor) -> None:
        """Remember the vectors as they are now as alive."""
        self.trusted = _versions(u, v)

    def trusts(self, u: Tensor, v: Tensor) -> bool:
        """Whether nobody has written to the vectors since; without a look at their values."""
        return torch.compiler.is_compiling() or self.trusted == _versions(u, v)

    def loaded(self, u: Tensor, v: Tensor) -> None:
        """Look at vectors that a checkpoint brought: dead ones get initial iterations."""
        self.pending = 0 if alive(u) and alive(v) else max(self.options.init_iterations, 15)
        self.trust(u, v)


class Adjustable:
    """The arguments that torch lets its users change after registration."""

    layer: Layer

    @property
    def n_power_iterations(self) -> int:
        """Power iterations at each use in training mode."""
        return self.layer.options.n_power_iterations

    @n_power_iterations.setter
    def n_power_iterations(self, value: int) -> None:
        self.layer.options = with_iterations(self.layer.options, value)

    @property
    def eps(self) -> float:
        """Least norm that a 1-D weight of the parametrization is divided by."""
        return self.layer.options.eps

    @eps.setter
    def eps(self, value: float) -> None:
        self.layer.options = with_eps(self.layer.options, value)

    @property
    def dim(self) -> int:
        """Axis of the rows."""
        return self.layer.dim

    @dim.setter
    def dim(self, value: int) -> None:
        self.layer.turn(value)


def alive(x: Tensor) -> bool:
    """Whether a vector has a direction; waits for the device, so only where nothing is hot."""
    if x.is_meta:
        return True
    return bool(torch.isfinite(x).all()) and bool((x != 0).any() or x.numel() == 0)


def keep_wide(buffers: dict[str, Tensor | None], before: dict[str, Tensor]) -> torch.dtype:
    """Undo what `module.half()`, or a load, did to the precision of vectors; return its dtype."""
    chosen = torch.float32
    for name, old in before.items():
        new = buffers[name]
        chosen = old.dtype if new is None else new.dtype
        if chosen != accumulator(chosen):
            buffers[name] = old.to(old.device if new is None else new.device, accumulator(chosen))
    return chosen


def _versions(u: Tensor, v: Tensor) -> tuple[int, int] | None:
    try:
        return u._version, v._version
    except RuntimeError:  # inference tensors have none
        return None
