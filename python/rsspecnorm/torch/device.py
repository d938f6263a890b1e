"""The power iteration in plain torch: no host synchronisation, so a CUDA graph can hold it.

Works on a batch of operators of one shape, with u (B, M) and v (B, N). Nothing is decided on the
host: what depends on a value is a `torch.where`.

Vectors are used by direction only. A vector that is zero or not finite is *dead*: it is replaced by
a fixed one that has no zeros. The state that comes back is the old one wherever the matrix allowed
no step (a zero, a nan or an inf in it), so nothing that happens to a weight can kill it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from rsspecnorm.torch.layout import as_matrices, edges
from rsspecnorm.torch.scaling import real

if TYPE_CHECKING:
    from torch import Tensor

GOLDEN = 0.6180339887498949
# Iterations that bring a dead vector, or a fresh one, near the leading one; torch's number.
INITIAL_ITERATIONS = 15


class Step(NamedTuple):
    """The result of one call: sigma (B,), the vectors to store, the vectors of the gradient."""

    sigma: Tensor
    u: Tensor
    v: Tensor
    stored_u: Tensor
    stored_v: Tensor


class Operator(Protocol):
    """A batch of linear maps, as the iteration sees them."""

    def matvec(self, v: Tensor) -> Tensor:
        """Return A v, (B, M)."""

    def rmatvec(self, u: Tensor) -> Tensor:
        """Return A^H u, (B, N)."""

    def peak(self) -> Tensor:
        """Return the largest entry of each, (B,): nan if one is nan, else inf if one is inf."""

    def edges(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return factors whose product broadcasts to the gradient of Re(u^H A v)."""


class Dense:
    """A batch of weights as matrices (B, M, N), whose rows are the axis `dim` of each weight."""

    def __init__(self, batch: Tensor, dim: int) -> None:
        self.batch, self.dim = batch, dim
        self.matrices = as_matrices(batch, dim)

    def matvec(self, v: Tensor) -> Tensor:
        """Return A v."""
        return torch.bmm(self.matrices, v[..., None]).squeeze(-1)

    def rmatvec(self, u: Tensor) -> Tensor:
        """Return A^H u."""
        return torch.bmm(self.matrices.mH, u[..., None]).squeeze(-1)

    def peak(self) -> Tensor:
        """Return the largest entry of each matrix."""
        return largest_entry(self.batch)

    def edges(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two factors of ``u v^H`` in the layout of the weights."""
        return edges(u, v, self.batch, self.dim)


def power_step(
    operator: Operator, u: Tensor, v: Tensor, *, n_iter: int, order: str, revive: bool = False
) -> Step:
    """Take `n_iter` iterations, or evaluate sigma at u, v when `n_iter` is 0.

    `order` is "uv" (u from v first) or "vu". With `revive` dead vectors go through the initial
    iterations first; it costs that many reads of the matrices whether any is dead or not.
    """
    started = _alive(operator, u, v, order, revive=revive)
    if n_iter == 0:
        sigma, new_u, new_v = _evaluate(operator, *started)
    else:
        sigma, new_u, new_v = _iterate(operator, *started, n_iter, order)
    return _guarded(sigma, operator.peak(), (new_u, new_v), (u, v), update=n_iter > 0)


def lengths(x: Tensor) -> Tensor:
    """Euclidean norm over the last axis, where no square may overflow or vanish."""
    if x.shape[-1] == 0:
        return x.abs().sum(-1)
    if real(x.dtype) == torch.float32 and x.device.type != "mps":
        wide = torch.complex128 if x.is_complex() else torch.float64
        return torch.linalg.vector_norm(x, dim=-1, dtype=wide)
    peak = x.abs().amax(-1, keepdim=True)
    safe = torch.where((peak > 0) & peak.isfinite(), peak, 1.0)
    return torch.linalg.vector_norm(x / safe, dim=-1) * safe.squeeze(-1)


def unit(x: Tensor, fallback: Tensor) -> tuple[Tensor, Tensor]:
    """Return x / |x| and |x|; the fallback where that is not possible."""
    norm = lengths(x)
    good = (norm > 0) & norm.isfinite()
    safe = torch.where(good, norm, 1.0)
    return torch.where(good[..., None], (x / safe[..., None]).to(x.dtype), fallback), norm


def seed_like(x: Tensor) -> Tensor:
    """Return the unit vector that takes the place of a dead one: dense, the same on every rank.

    Fractional parts of multiples of the golden ratio, centred: spread evenly, so that it is not
    orthogonal to the constant or the alternating vectors that weights favour.
    """
    n = x.shape[-1]
    index = torch.arange(1, n + 1, dtype=real(x.dtype), device=x.device)
    spread = (index * GOLDEN).frac() - 0.4
    return (spread / lengths(spread)).to(x.dtype)


def largest_entry(batch: Tensor) -> Tensor:
    """Return the largest modulus of each item (its largest part if complex); nan wins."""
    if batch.numel() == 0:
        return batch.abs().flatten(1).sum(1)
    parts = torch.view_as_real(batch.resolve_conj()) if batch.is_complex() else batch
    low, high = torch.aminmax(parts.flatten(1), dim=1)
    return torch.maximum(high, -low)


def _alive(
    operator: Operator, u: Tensor, v: Tensor, order: str, *, revive: bool
) -> tuple[Tensor, Tensor]:
    """Return unit vectors: those stored, or what stands in for them."""
    seed_u, seed_v = seed_like(u).expand_as(u), seed_like(v).expand_as(v)
    (alive_u, norm_u), (alive_v, norm_v) = unit(u, seed_u), unit(v, seed_v)
    if not revive:
        return alive_u, alive_v
    _, revived_u, revived_v = _iterate(operator, alive_u, alive_v, INITIAL_ITERATIONS, order)
    live = (norm_u > 0) & norm_u.isfinite() & (norm_v > 0) & norm_v.isfinite()
    keep = live[..., None]
    return torch.where(keep, alive_u, revived_u), torch.where(keep, alive_v, revived_v)


def _iterate(
    operator: Operator, u: Tensor, v: Tensor, n_iter: int, order: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Miyato et al., arXiv:1802.05957, algorithm 1; sigma is the norm that the last half took."""
    norm = lengths(v)
    for _ in range(n_iter):
        if order == "uv":
            u, _ = unit(operator.matvec(v), u)
            v, norm = unit(operator.rmatvec(u), v)
        else:
            v, _ = unit(operator.rmatvec(u), v)
            u, norm = unit(operator.matvec(v), u)
    return norm, u, v


def _evaluate(operator: Operator, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return sigma = |Re u^H A v|, with u turned round where the product is negative.

    After a step u^H A v is real. A phase that a changed complex matrix has since given it is no
    part of sigma: u and v count as constants in derivatives of every order.
    """
    product = torch.linalg.vecdot(u, operator.matvec(v)).real
    return product.abs(), torch.where((product < 0)[..., None], -u, u), v


def _guarded(
    sigma: Tensor,
    peak: Tensor,
    new: tuple[Tensor, Tensor],
    old: tuple[Tensor, Tensor],
    *,
    update: bool,
) -> Step:
    """Settle what zeros, nan and inf mean for sigma and for the state."""
    sigma = sigma.to(peak.dtype)
    finite = peak.isfinite()
    # The start lay in the null space of a matrix that is not zero. Its largest entry is a lower
    # bound of its norm and serves for this once; the next step starts elsewhere.
    stuck = finite & (peak > 0) & (sigma == 0)
    healthy = finite & (sigma > 0) & sigma.isfinite()
    sigma = torch.where(finite & ~stuck, sigma, peak)
    u, v = (torch.where(stuck[..., None], 0.0, x) for x in new)
    if not update:
        return Step(sigma, u, v, *old)
    stored_u, stored_v = (
        torch.where(healthy[..., None], x, torch.where(stuck[..., None], seed_like(x), before))
        for x, before in zip(new, old, strict=True)
    )
    return Step(sigma, u, v, stored_u, stored_v)
