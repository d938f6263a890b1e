"""Results that somebody wrote to after the forward, as `nn.Embedding(max_norm=...)` does.

The backward pass uses the result and not the weight, which an optimizer may have changed by then.
Where it is the result that was changed, it is made again from the weight, if that is as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from rsspecnorm.torch.recompute import unseen

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN = (Tensor, nn.Parameter)


class Origin(NamedTuple):
    """The weights that results were made from, and their versions then.

    Where hooks take what is saved, torch does not tell that it was written to: `probes` do.
    """

    weights: list[Tensor]
    versions: list[int]
    probes: list[tuple[Tensor, int]]

    def is_unchanged(self) -> bool:
        """Whether nobody has written to the weights since."""
        return [weight._version for weight in self.weights] == self.versions

    def is_spoiled(self) -> bool:
        """Whether somebody has written to the results, as far as the probes tell."""
        return any(probe._version != version for probe, version in self.probes)


def origin_of(weights: Sequence[Tensor], results: Sequence[Tensor]) -> Origin | None:
    """Take note of weights, for `saved_or_none`; None where results are not written to in place."""
    if torch.compiler.is_compiling() or not all(type(x) in _PLAIN for x in weights):
        return None
    hooked = torch._C._autograd._top_saved_tensors_default_hooks(True) is not None
    probes = [_probe(x) for x in results] if hooked else []
    return Origin(list(weights), [weight._version for weight in weights], probes)


def _probe(result: Tensor) -> tuple[Tensor, int]:
    """Return an empty tensor that counts the writes to a result and keeps none of its memory."""
    with unseen():
        probe = result.detach()
        probe.data = result.new_empty(0)
    return probe, probe._version


def saved_or_none(ctx: Any) -> Any:
    """Return what a node has saved, or None if its results are to be made again.

    The node says by `ctx.origin` from what.
    """
    origin: Origin | None = getattr(ctx, "origin", None)
    if origin is not None and origin.is_spoiled():
        if not origin.is_unchanged():
            message = (
                "a normalised weight and the weight it was made of have both been modified by an "
                "inplace operation before the backward pass"
            )
            raise RuntimeError(message)
        return None
    try:
        return ctx.saved_tensors
    except RuntimeError as error:
        if "inplace operation" not in str(error) or origin is None or not origin.is_unchanged():
            raise
        return None
