"""What a weight means that the core reports as out of the ordinary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsspecnorm.torch.device import Dense, power_step
from rsspecnorm.torch.scaling import Rule, accumulator, divide, without_autocast

if TYPE_CHECKING:
    from torch import Tensor


def by_torch(
    weight: Tensor, state: tuple[Tensor, Tensor, int], n_iter: int, order: str, rule: Rule
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Settle a weight that is zero, not finite or out of reach of its vectors on the other path."""
    u, v, dim = state
    wide = accumulator(weight.dtype)
    batch = weight.detach().unsqueeze(0)
    vectors = (x.to(wide, copy=True).unsqueeze(0) for x in (u, v))
    with without_autocast(weight.device.type):
        step = power_step(Dense(batch.to(wide), dim), *vectors, n_iter=n_iter, order=order)
    out = divide(batch, step.sigma, rule)[0].clone()  # a view could not be written to
    # The caller stores the vectors of an iteration, and differentiates with those of an evaluation.
    after = (step.stored_u, step.stored_v) if n_iter > 0 else (step.u, step.v)
    return out, step.sigma[0].clone(), after[0][0].clone(), after[1][0].clone()
