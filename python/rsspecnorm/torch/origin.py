"""Results that somebody wrote to after the forward, as `nn.Embedding(max_norm=...)` does.

The backward pass uses the result and not the weight, which an optimizer may have changed by then.
Where it is the result that was changed, it is made again from the weight, if that is as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN = (Tensor, nn.Parameter)


class Origin(NamedTuple):
    """The weights that results were made from, and their versions then."""

    weights: list[Tensor]
    versions: list[int]

    def is_unchanged(self) -> bool:
        """Whether nobody has written to the weights since."""
        return [weight._version for weight in self.weights] == self.versions


def origin_of(weights: Sequence[Tensor]) -> Origin | None:
    """Take note of weights, for `saved_or_none`; None where results are not written to in place."""
    if torch.compiler.is_compiling() or not all(type(x) in _PLAIN for x in weights):
        return None
    return Origin(list(weights), [weight._version for weight in weights])


def saved_or_none(ctx: Any) -> Any:
    """Return what a node has saved, or None if its results are to be made again.

    The node says by `ctx.origin` from what.
    """
    try:
        return ctx.saved_tensors
    except RuntimeError as error:
        origin = getattr(ctx, "origin", None)
        if "inplace operation" not in str(error) or origin is None or not origin.is_unchanged():
            raise
        return None
