"""A layer of a group."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rsspecnorm.torch import recompute, scaled
from rsspecnorm.torch.layout import default_dim
from rsspecnorm.torch.parametrizations import SpectralNorm
from rsspecnorm.torch.rows import Weight

if TYPE_CHECKING:
    from collections.abc import Sequence
    from weakref import ReferenceType

    from rsspecnorm.torch.eager import Step
    from rsspecnorm.torch.options import Options
    from rsspecnorm.torch.rows import Vector
    from rsspecnorm.torch.seat import Arrays


# What stands for the version of a weight in compiled code, where a share lives for one forward.
_COMPILED = -1
_WHOLE = frozenset({Tensor, nn.Parameter})


class Turn:
    """What a layer's group made of its weight for one forward: a share, or only a step.

    Apart from the module, whose attributes are slow to set. A copy or a pickle starts anew.
    """

    def __init__(self) -> None:
        self.share: Tensor | None = None
        self.step: Step | None = None
        self.vectors: tuple[Any, Any] = (None, None)
        # Of which weight, and after how many writes to it and to the share.
        # Not by a weak reference: torch does not swap a parameter that has one.
        self.weight: Tensor | None = None
        self.version: int | None = None
        self.written: int | None = None
        # The checkpointed regions that the share was made in.
        self.regions: list[ReferenceType[object]] = []
        # Whether the layer is expected to divide its output, and so to need no share.
        self.scales = True

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return Turn, ()

    def note(self, weight: Tensor) -> None:
        """Take note of the weight as it is."""
        self.weight = None if torch.compiler.is_compiling() else weight
        self.version = _version(weight)

    def drop(self) -> None:
        """Forget the share and the step: the forward they were for is over."""
        self.share = self.step = self.weight = None

    def is_of(self, weight: Tensor) -> bool:
        """Whether that was this weight, as it is now."""
        version = _version(weight)
        if version is None or version != self.version:
            return False
        return version == _COMPILED or self.weight is weight


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
        if not parametrize.is_parametrized(module, name):
            options = options._replace(init_iterations=0)  # the group makes them
        super().__init__(weight, default_dim(module), f"{key}.{name}", options)
        self.turn = Turn()
        self._home: list[Any] = []  # in a list: a module here would become a child

    def original(self) -> Tensor:
        """Return the raw weight."""
        return scaled.raw_weight(self._home[0])

    def row(self) -> Weight:
        """Return the raw weight and its vectors as they are now."""
        return Weight(self.original(), *self.vectors(), self.layer.dim, kept=self.layer.kept)

    def stands_alone(self) -> bool:
        """Whether only its own forward sees the weight that is to be divided.

        That of a DTensor sees it whole; and other parametrizations may come before.
        """
        return type(self.original()) not in _WHOLE or self._home[0]._modules["0"] is not self

    def places(self, row: Weight) -> Arrays | None:
        """Return the arrays of a layer expected to divide its output, and so to need no share."""
        return scaled.places_of(row.weight, row.u, row.v, self) if self.turn.scales else None

    def take_step(self, step: Step, row: Weight, *, moved: bool) -> None:
        """Keep the group's step for the layer's forward."""
        turn = self.turn
        turn.share, turn.step = None, step
        turn.note(row.weight)
        self.layer.stepped(step, row.u, row.v, moved=moved)

    def step(self, weight: Tensor) -> Step | None:
        """Return the group's step, if there is one of this weight; one is expected from now on."""
        turn = self.turn
        turn.scales = True
        return turn.step if turn.is_of(weight) else None

    def take_share(self, out: Tensor, u: Tensor, v: Tensor) -> None:
        """Keep a result for the reads to come."""
        turn = self.turn
        turn.share, turn.step, turn.vectors = out, None, (u, v)
        turn.note(self.original())
        turn.written, turn.regions = _version(out), recompute.regions_begun()
        if out.requires_grad and not torch.compiler.is_compiling():
            out.register_hook(partial(_use_up, ref(turn)))

    def drop(self) -> None:
        """Forget what the group made: the forward it was for is over."""
        self.turn.drop()

    def forward(self, weight: Tensor) -> Tensor:
        """Return the share, or evaluate at the vectors as they are."""
        u, v = self.vectors()
        turn = self.turn
        if turn.step is not None:  # the layer reads its weight after all
            turn.scales = False
        used = recompute.recall(self.layer) if recompute.in_recomputation() else None
        if used is not None and used.share is not None:
            return self._shared(weight, used.u, used.v, used.share)
        if used is not None and not used.within:
            return self.layer.take(weight, used.u, used.v, 0)
        if turn.share is None or not self._fits(turn.share, weight):
            training = self.training and bool(self._home) and self.stands_alone()
            return self.layer(weight, u, v, training=training)
        return self._shared(weight, *turn.vectors, turn.share, turn.regions)

    def _shared(
        self,
        weight: Tensor,
        u: Vector,
        v: Vector,
        share: Tensor,
        regions: Sequence[ReferenceType[object]] = (),
    ) -> Tensor:
        """Hand out a share, and note it for the regions that this read is in."""
        if weight.requires_grad:
            recompute.note(self.layer, u, v, share, regions)
        return share

    def _fits(self, share: Tensor, weight: Tensor) -> bool:
        as_made = self.turn.written == _version(share) and share.dtype is weight.dtype
        return (
            as_made
            and self.turn.is_of(weight)
            and (share.requires_grad or not (torch.is_grad_enabled() and weight.requires_grad))
        )


def _use_up(turn: ReferenceType[Turn], _: Tensor) -> None:
    """The graph of a share serves one backward pass."""
    # By a weak reference: the share would keep whoever keeps it.
    found = turn()
    if found is not None:
        found.share = found.weight = None


def _version(weight: Tensor) -> int | None:
    """Return what changes when a weight is written to; None where nothing tells."""
    if torch.compiler.is_compiling():
        return _COMPILED
    return None if weight.is_inference() else weight._version
