"""Keeping weights on a sphere of the spectral norm, after each optimizer step."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Literal

import torch

from rsspecnorm.stepping import normalize_arrays
from rsspecnorm.torch.device import INITIAL_ITERATIONS, Dense, power_step
from rsspecnorm.torch.layout import as_matrices, checked_dim, is_inexact, matrix_shape
from rsspecnorm.torch.native import EPS
from rsspecnorm.torch.ops import lies_as_matrix
from rsspecnorm.torch.path import core_serves
from rsspecnorm.torch.scaling import accumulator, over, without_autocast
from rsspecnorm.torch.views import as_array

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from torch import Tensor


class SpectralSphere:
    """Rescale every weight to a given spectral norm after each optimizer step.

    The retraction of MuonSphere (arXiv:2601.08393), and of the spectral condition of muP
    (arXiv:2310.17813): ``W <- R W / sigma(W)`` in place, with singular vectors kept warm per
    weight, for all weights in one call.

    Parameters
    ----------
    params : iterable of Tensor, or of tuples of a name and a Tensor
        The weights, as an optimizer takes them; those of fewer than two axes, and of integers, are
        left alone.
    radius : float or "mup", optional
        The spectral norm R of each weight; ``"mup"`` is ``sqrt(out / in)``, with the axis `dim`
        as the outputs and all others as the inputs.
    n_power_iterations : int, optional
        Power iterations per step.
    dim : int, optional
        Axis of the outputs.
    optimizer : torch.optim.Optimizer, optional
        Retract after each of its steps. Without it, call `retract_`.

    Attributes
    ----------
    sigma : list of Tensor
        The norm of each weight before the last retraction.

    Raises
    ------
    ValueError
        If there is no weight, or an option is out of range.
    TypeError
        If a weight is a DTensor, of which each process has a part.

    Examples
    --------
    >>> import torch
    >>> from rsspecnorm.torch import SpectralSphere
    >>> layer = torch.nn.Linear(64, 16)
    >>> optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    >>> sphere = SpectralSphere([layer.weight], radius="mup", optimizer=optimizer)
    >>> layer(torch.ones(2, 64)).sum().backward()
    >>> optimizer.step()
    >>> round(float(torch.linalg.matrix_norm(layer.weight.detach(), 2)), 2)
    0.5
    """

    def __init__(
        self,
        params: Iterable[Tensor | tuple[str, Tensor]],
        radius: float | Literal["mup"] = 1.0,
        *,
        n_power_iterations: int = 1,
        dim: int = 0,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        given = (_checked(p) for p in params)
        self.params = [p for p in given if p.ndim > 1 and is_inexact(p)]
        if not self.params:
            message = "params must hold at least one weight of two or more axes, got none"
            raise ValueError(message)
        if n_power_iterations <= 0:
            message = f"n_power_iterations must be positive, got {n_power_iterations}"
            raise ValueError(message)
        self.n_power_iterations = n_power_iterations
        self.dims = [checked_dim(dim, p.ndim) for p in self.params]
        self.radii = [_radius(p, d, radius) for p, d in zip(self.params, self.dims, strict=True)]
        self.sigma: list[Tensor] = []
        self._fresh = True
        starts = [
            _start(p, d, i) for i, (p, d) in enumerate(zip(self.params, self.dims, strict=True))
        ]
        self.u, self.v = [u for u, _ in starts], [v for _, v in starts]
        self._handle = None if optimizer is None else optimizer.register_step_post_hook(self._after)

    def _after(self, *_: object) -> None:
        self.retract_()

    @torch.no_grad()
    def retract_(self) -> None:
        """Rescale every weight in place.

        A weight of zeros stays; one with a nan or an inf becomes nan, and its vectors stay.
        """
        self._follow()
        n_iter = self.n_power_iterations + (INITIAL_ITERATIONS if self._fresh else 0)
        self._fresh = False
        groups: defaultdict[Any, list[int]] = defaultdict(list)
        sigma: dict[int, Tensor] = {}
        for i, p in enumerate(self.params):
            direct = core_serves(p) and lies_as_matrix(p, self.dims[i])
            key = None if direct else (p.shape, p.dtype, p.device, self.dims[i])
            groups[key].append(i)
        for key, members in groups.items():
            run = self._by_core if key is None else self._by_torch
            with without_autocast(self.params[members[0]].device.type):
                sigma.update(zip(members, run(members, n_iter), strict=True))
        self.sigma = [sigma[i] for i in range(len(self.params))]

    def _follow(self) -> None:
        """Move the vectors after weights that were cast or moved, as by `Module.to`."""
        for i, weight in enumerate(self.params):
            wanted = accumulator(weight.dtype)
            for vectors in (self.u, self.v):
                x = vectors[i]
                if x.dtype != wanted or x.device != weight.device:
                    x = x if wanted.is_complex or not x.is_complex() else x.real.contiguous()
                    vectors[i] = x.to(weight.device, wanted)

    def _by_core(self, members: list[int], n_iter: int) -> list[Tensor]:
        weights = [self.params[i] for i in members]
        matrices = [self._matrix(i) for i in members]
        sigmas = normalize_arrays(
            matrices,
            [self.u[i].numpy() for i in members],
            [self.v[i].numpy() for i in members],
            matrices,
            n_power_iterations=n_iter,
            eps=EPS,
            coefficient=[self.radii[i] for i in members],
        )
        torch.autograd.graph.increment_version(weights)
        found = zip(torch.from_numpy(sigmas), members, strict=True)
        return [sigma.to(self.u[i].dtype) for sigma, i in found]

    def _matrix(self, i: int) -> NDArray[Any]:
        """Return a weight as the matrix it is in memory."""
        weight = self.params[i].detach()
        if weight.is_contiguous() and self.dims[i] == 0:
            return as_array(weight).reshape(matrix_shape(weight, 0))
        return as_array(as_matrices(weight.unsqueeze(0), self.dims[i])[0])

    def _by_torch(self, members: list[int], n_iter: int) -> list[Tensor]:
        weights = [self.params[i] for i in members]
        batch = torch.stack([w.detach() for w in weights])
        u, v = (torch.stack([x[i] for i in members]) for x in (self.u, self.v))
        operator = Dense(batch.to(accumulator(batch.dtype)), self.dims[members[0]])
        step = power_step(operator, u, v, n_iter=n_iter, order="uv")
        divisor = step.sigma / step.sigma.new_tensor([self.radii[i] for i in members])
        # In place of `W / inf`, for which the core has no `W` left where it writes to it.
        divisor = torch.where(step.sigma.isfinite(), divisor, torch.nan)
        divisor = torch.where(step.sigma == 0, 1.0, divisor)
        scaled = (batch / over(divisor, batch)).to(batch.dtype)
        torch._foreach_copy_(weights, list(scaled.unbind()))
        torch._foreach_copy_([self.u[i] for i in members], list(step.stored_u.unbind()))
        torch._foreach_copy_([self.v[i] for i in members], list(step.stored_v.unbind()))
        return list(step.sigma.unbind())

    def state_dict(self) -> dict[str, Any]:
        """Return the vectors, so that a resumed run starts warm."""
        return {"u": self.u, "v": self.v, "fresh": self._fresh}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises
        ------
        ValueError
            If it is of other weights: the vectors are not as many, or not as long.
        """
        wanted = [[tuple(x.shape) for x in side] for side in (self.u, self.v)]
        given = [[tuple(x.shape) for x in state[side]] for side in ("u", "v")]
        if given != wanted:
            message = f"state must hold vectors of the shapes {wanted}, got {given}"
            raise ValueError(message)
        for mine, saved in ((self.u, state["u"]), (self.v, state["v"])):
            for x, value in zip(mine, saved, strict=True):
                x.copy_(value)
        self._fresh = bool(state["fresh"])

    def remove(self) -> None:
        """Let go of the optimizer."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None


def _checked(given: Tensor | tuple[str, Tensor]) -> Tensor:
    """Return a weight, without its name."""
    weight = given[1] if isinstance(given, tuple) else given
    if hasattr(weight, "full_tensor"):  # DTensor's own; to import the class takes a second
        message = f"params must hold whole tensors, got {type(weight).__name__}"
        raise TypeError(message)
    return weight


def _radius(weight: Tensor, dim: int, radius: float | str) -> float:
    if radius == "mup":
        nrows, ncols = matrix_shape(weight, dim)
        return math.sqrt(nrows / max(ncols, 1)) or 1.0  # an empty weight has nothing to rescale
    if isinstance(radius, str) or not (radius > 0 and math.isfinite(radius)):
        message = f'radius must be a positive number or "mup", got {radius!r}'
        raise ValueError(message)
    return float(radius)


def _start(weight: Tensor, dim: int, index: int) -> tuple[Tensor, Tensor]:
    """Draw vectors by the shape and the place in the list alone: the same on all ranks."""
    generator = torch.Generator("cpu").manual_seed(index)
    wide = accumulator(weight.dtype)
    u, v = (
        torch.randn(n, dtype=wide, generator=generator, device="cpu").to(weight.device)
        for n in matrix_shape(weight, dim)
    )
    return u, v
