"""A layer of a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rsspecnorm.torch import recompute, scaled
from rsspecnorm.torch.layout import default_dim
from rsspecnorm.torch.parametrizations import SpectralNorm
from rsspecnorm.torch.steps import Weight

if TYPE_CHECKING:
    from rsspecnorm.torch.eager import Step
    from rsspecnorm.torch.options import Options


_WHOLE = frozenset({Tensor, nn.Parameter})


class Turn:
    """What a layer's group made of its weight for one forward: a share, or only a step.

    Apart from the module, whose attributes are slow to set. A copy or a pickle starts anew.
    """

    def __init__(self) -> None:
        self.share: Tensor | None = None
        self.step: Step | None = None
        self.vectors: tuple[Any, Any] = (None, None)
        self.version = -1
        # Whether the layer is expected to divide its output, and so to need no share.
        self.scales = True

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return Turn, ()


class GroupMember(SpectralNorm):
    """The parametrization of a layer whose group does the work.

    Parameters
    ----------
    module : torch.nn.Module
        The layer.
    name, key, options
        Name of the weight, name of the layer, options of the group.
    """

    def __init__(self, module: nn.Module, name: str, key: str, options: Options) -> None:
        weight = getattr(module, name)
        unstarted = options._replace(init_iterations=0)
        super().__init__(weight, default_dim(module), f"{key}.{name}", unstarted)
        self.turn = Turn()
        self._home: list[Any] = []  # in a list: a module here would become a child

    def original(self) -> Tensor:
        """Return the raw weight."""
        return scaled.raw_weight(self._home[0])

    def row(self) -> Weight:
        """Return the raw weight and its vectors as they are now."""
        return Weight(self.original(), *self.vectors(), self.layer.dim, kept=self.layer.kept)

    def stands_alone(self) -> bool:
        """Whether the weight is in a form (DTensor) that only its own forward sees whole."""
        return type(self.original()) not in _WHOLE

    def takes_step(self, row: Weight) -> bool:
        """Whether the layer is expected to divide its output, and so needs no share."""
        return self.turn.scales and scaled.serves(row.weight, row.u, row.v, self)

    def take_step(self, step: Step, row: Weight) -> None:
        """Keep the group's step for the layer's forward."""
        turn = self.turn
        turn.share, turn.step, turn.version = None, step, row.weight._version
        self.layer.stepped(step, row.u, row.v)

    def step(self, weight: Tensor) -> Step | None:
        """Return the group's step, if there is one of this weight; one is expected from now on."""
        turn = self.turn
        turn.scales = True
        return turn.step if self.training and turn.version == weight._version else None

    def take_share(self, out: Tensor, u: Tensor, v: Tensor) -> None:
        """Keep a result for the reads to come."""
        turn = self.turn
        turn.share, turn.step, turn.vectors = out, None, (u, v)
        turn.version = self.original()._version
        if out.requires_grad and not torch.compiler.is_compiling():
            out.register_hook(self._use_up)

    def drop(self) -> None:
        """Forget the share and the step: the forward they were for is over."""
        self.turn.share = self.turn.step = None

    def _use_up(self, _: Tensor) -> None:
        """The graph of a share serves one backward pass."""
        self.turn.share = None

    def forward(self, weight: Tensor) -> Tensor:
        """Return the share, or evaluate at the vectors as they are."""
        u, v = self.vectors()
        turn = self.turn
        if turn.step is not None:  # the layer reads its weight after all
            turn.scales = False
        if recompute.in_recomputation():
            used = recompute.recall(self)
            if used is not None:
                return self.layer.take(weight, *used[:2], 0) if used.share is None else used.share
        share = turn.share
        if share is None or not self._fits(share, weight):
            training = self.training and bool(self._home) and self.stands_alone()
            return self.layer(weight, u, v, training=training)
        if weight.requires_grad:
            recompute.note(self, *turn.vectors, share=share)
        return share

    def _fits(self, share: Tensor, weight: Tensor) -> bool:
        current = self.turn.version == weight._version
        return current and (
            share.requires_grad or not (torch.is_grad_enabled() and weight.requires_grad)
        )
