"""The spectral norm of a tensor, with its derivative."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd import Function, forward_ad

import rsspecnorm
from rsspecnorm.torch.device import Dense, largest_entry, lengths, seed_like
from rsspecnorm.torch.layout import is_inexact
from rsspecnorm.torch.path import core_serves, in_transform
from rsspecnorm.torch.scaling import accumulator, over, real, without_autocast
from rsspecnorm.torch.views import as_read

if TYPE_CHECKING:
    from torch import Tensor

_MATRIX_NDIM = 2
# Below this many rows or columns a decomposition is quicker than a Krylov space.
_SMALL = 48
# Steps between looks at the error, and the most that are made before a decomposition.
_CHUNK, _MOST = 16, 192


def matrix_norm(tensor: Tensor, *, rtol: float | None = None) -> Tensor:
    """Largest singular value over the last two axes: ``torch.linalg.matrix_norm(tensor, 2)``.

    Parameters
    ----------
    tensor : Tensor, shape (..., M, N)
        A matrix or a stack of matrices: half, single or double precision, real or complex, on any
        device.
    rtol : float, optional
        Relative error of the result, at most. Default: 1e-6, and 1e-10 for double precision.

    Returns
    -------
    Tensor, shape (...)
        Sigma, not its square, in the real dtype of the tensor; float32 for half precision. A
        matrix with a nan has norm nan, else one with an inf has norm inf; an empty one has 0.

    Raises
    ------
    ValueError
        If the tensor has fewer than two axes, or `rtol` is not positive.
    TypeError
        If it holds integers or bools.

    Notes
    -----
    CPU tensors go to the core (see `rsspecnorm.leading_triplet`), others through a Lanczos process
    of torch matvecs on their device, which looks at its error every 16 steps. Where no gradient is
    asked for, the core looks for the value alone (see `rsspecnorm.spectral_norm`), which is quicker
    for large matrices and equal within `rtol`. The gradient is ``u v^H``, 0 where the norm is 0;
    forward-mode derivatives are made of the same vectors, and a second derivative goes through
    torch's decomposition. Inside transforms of `torch.func` and
    compiled graphs this is torch's own function.

    Examples
    --------
    >>> import torch
    >>> from rsspecnorm.torch import matrix_norm
    >>> a = torch.tensor([[3.0, 0.0], [4.0, 5.0]], requires_grad=True)
    >>> sigma = matrix_norm(a)
    >>> round(float(sigma.detach()), 4)
    6.7082
    >>> sigma.backward()
    >>> round(float((a.grad * a.detach()).sum()), 4)  # sigma is homogeneous
    6.7082
    """
    if tensor.ndim < _MATRIX_NDIM:
        message = f"tensor must have at least two axes, got shape {tuple(tensor.shape)}"
        raise ValueError(message)
    if not is_inexact(tensor):
        message = f"tensor must hold real or complex numbers, got {tensor.dtype}"
        raise TypeError(message)
    if rtol is not None and not rtol > 0:
        message = f"rtol must be positive, got {rtol}"
        raise ValueError(message)
    is_dual, is_recorded = _is_dual(tensor), torch.is_grad_enabled() and tensor.requires_grad
    # The derivative below takes u and v as constants, so that it has none of its own.
    is_second = is_dual and is_recorded
    if in_transform() or torch.compiler.is_compiling() or tensor.is_meta or is_second:
        return torch.linalg.matrix_norm(tensor.to(accumulator(tensor.dtype)), 2)
    sigma: Tensor = _Norm.apply(tensor, rtol, is_recorded or is_dual)
    return sigma


def _is_dual(tensor: Tensor) -> bool:
    """Whether a tensor carries a tangent of forward-mode differentiation."""
    if forward_ad._current_level < 0:
        return False
    return forward_ad.unpack_dual(tensor).tangent is not None


class _Norm(Function):
    """tensor -> sigma, differentiated by u v^H, backward and forward."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, rtol: float | None, is_derived: bool) -> Tensor:
        """Find the leading triplet, or the value alone where no derivative is asked for."""
        if core_serves(tensor) and not is_derived:
            return _value_by_core(tensor, rtol)
        sigma, u, v = triplet(tensor.detach(), rtol)
        # Not among the saved tensors, which may not be written to before the backward pass: the
        # first derivative does without it.
        ctx.tensor = tensor
        ctx.version = None if tensor.is_inference() else tensor._version
        ctx.save_for_backward(sigma, u, v)
        ctx.save_for_forward(sigma, u, v)
        return sigma

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        """Return Re(u^H dA v); 0 where the norm is 0."""
        sigma, u, v = ctx.saved_tensors
        with without_autocast(u.device.type):
            image = (tangents[0].to(u.dtype) @ v[..., None]).squeeze(-1)
            return torch.where(sigma == 0, 0.0, torch.linalg.vecdot(u, image).real)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Return g u v^H; through torch's decomposition where it is to be differentiated."""
        (grad,) = grads
        tensor, (sigma, u, v) = ctx.tensor, ctx.saved_tensors
        if torch.is_grad_enabled():
            if tensor._version != ctx.version:
                message = (
                    "tensor must not be modified by an inplace operation before the second "
                    "derivative of its norm is made"
                )
                raise RuntimeError(message)
            wide = torch.linalg.matrix_norm(tensor.to(accumulator(tensor.dtype)), 2)
            return *torch.autograd.grad(wide, tensor, grad, create_graph=True), None, None
        grad = torch.where(sigma == 0, 0.0, grad)
        left = u * grad[..., None]
        return (left[..., None] * v.conj()[..., None, :]).to(tensor.dtype), None, None


def triplet(tensor: Tensor, rtol: float | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return sigma (...), u (..., M) and v (..., N), converged."""
    with without_autocast(tensor.device.type):
        return (_by_core if core_serves(tensor) else _by_torch)(tensor, rtol)


def _by_core(tensor: Tensor, rtol: float | None) -> tuple[Tensor, Tensor, Tensor]:
    top = rsspecnorm.leading_triplet(as_read(tensor), rtol=rtol)
    wide = accumulator(tensor.dtype)
    found = (torch.as_tensor(x, device="cpu") for x in (top.sigma, top.u, top.v))
    sigma, u, v = (x.to(wide) for x in found)
    return sigma, u, v


def _value_by_core(tensor: Tensor, rtol: float | None) -> Tensor:
    sigma = rsspecnorm.spectral_norm(as_read(tensor), rtol=rtol)
    return torch.as_tensor(sigma, device="cpu").to(accumulator(tensor.dtype))


def _by_torch(tensor: Tensor, rtol: float | None) -> tuple[Tensor, Tensor, Tensor]:
    """Find the triplets of a stack in plain torch."""
    wide, shape = tensor.to(accumulator(tensor.dtype)), tensor.shape[:-2]
    if tensor.numel() == 0:
        empty = wide.new_zeros(shape, dtype=real(wide.dtype))
        return empty, *(wide.new_zeros(*shape, n) for n in tensor.shape[-2:])
    if rtol is None:
        rtol = 1e-10 if real(wide.dtype) == torch.float64 else 1e-6
    batch = wide.reshape(-1, *tensor.shape[-2:])
    peak = largest_entry(batch)
    # A scale of its own keeps each matrix in range, and one that is not finite out of the others.
    good = peak.isfinite() & (peak > 0)
    unitized = torch.where(
        over(good, batch), batch / over(torch.where(good, peak, 1.0), batch), 0.0
    )
    sigma, u, v = _leading(unitized, rtol)
    sigma = torch.where(good, sigma * peak, peak)
    lost = torch.where(peak.isfinite(), torch.zeros_like(peak), torch.nan)[:, None]
    parts = (x.reshape((*shape, *x.shape[1:])) for x in (sigma, u + lost, v + lost))
    return tuple(parts)


def _leading(batch: Tensor, rtol: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the leading triplets of finite matrices of moderate size."""
    if min(batch.shape[-2:]) > _SMALL:
        found = _lanczos(Dense(batch, 0), seed_like(batch[:, 0, :]).expand_as(batch[:, 0, :]), rtol)
        if found is not None:
            return found
    u, s, vh = torch.linalg.svd(batch, full_matrices=False)
    return s[:, 0], u[:, :, 0], vh[:, 0].conj()


def _lanczos(operator: Dense, v: Tensor, rtol: float) -> tuple[Tensor, Tensor, Tensor] | None:
    """Golub-Kahan-Lanczos with full reorthogonalisation; None where it does not converge.

    A V = U B with B bidiagonal; sigma is the norm of B. The residual of the leading triplet is the
    last coefficient times the last entry of its left vector (Golub and Kahan, 1965).
    """
    source = torch.Generator("cpu").manual_seed(0)
    noise = torch.randn(v.shape, generator=source, dtype=real(v.dtype), device="cpu")
    v = v + (noise / v.shape[-1] ** 0.5).to(v.device, v.dtype)
    vs = [v / lengths(v)[:, None].to(v.dtype)]
    us: list[Tensor] = []
    alphas: list[Tensor] = []
    betas: list[Tensor] = []
    for step in range(1, min(_MOST, *operator.matrices.shape[-2:]) + 1):
        u, alpha = _orthogonal(operator.matvec(vs[-1]), us)
        us.append(u)
        v, beta = _orthogonal(operator.rmatvec(u), vs)
        alphas.append(alpha)
        betas.append(beta)
        if step % _CHUNK == 0:
            b = torch.diag_embed(torch.stack(alphas, 1))
            b = b + torch.diag_embed(torch.stack(betas[:-1], 1), 1)
            left, s, righth = torch.linalg.svd(b)
            residual = betas[-1] * left[:, -1, 0].abs()
            gap = (s[:, 0] - s[:, 1]).clamp(min=1e-3 * s[:, 0])
            # Quadratic in the residual, by Kato and Temple, where the second value is apart.
            error = torch.minimum(residual, residual.square() / gap)
            if bool((error <= 0.1 * rtol * s[:, 0]).all()):
                bases = (torch.stack(x, 2) for x in (us, vs))
                weights = (left[:, :, 0], righth[:, 0, :])
                found = [
                    torch.einsum("bnk,bk->bn", basis, w.to(basis.dtype))
                    for basis, w in zip(bases, weights, strict=True)
                ]
                return s[:, 0], found[0], found[1]
        vs.append(v)
    return None


def _orthogonal(x: Tensor, basis: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return x without its parts along a basis (taken out twice) as a unit vector; its length."""
    if basis:
        q = torch.stack(basis, 2)
        for _ in range(2):
            x = x - (q @ (q.mH @ x[..., None])).squeeze(-1)
    norm = lengths(x).to(real(x.dtype))
    return x / torch.where(norm == 0, 1.0, norm)[:, None].to(x.dtype), norm
