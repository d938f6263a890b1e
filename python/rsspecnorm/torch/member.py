"""A layer of a group."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rsspecnorm.torch import recompute, scaled
from rsspecnorm.torch.layout import default_dim
from rsspecnorm.torch.parametrizations import SpectralNorm
from rsspecnorm.torch.path import in_transform
from rsspecnorm.torch.rows import Weight
from rsspecnorm.torch.views import storage_address

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


class Source(NamedTuple):
    """A weight as it was when something was made of it."""

    # Not by a weak reference: torch does not swap a parameter that has one.
    weight: Tensor | None
    version: int | None
    address: int

    @classmethod
    def of(cls, weight: Tensor) -> Source:
        """Take note of a weight as it is."""
        kept = None if torch.compiler.is_compiling() else weight
        return cls(kept, _version(weight), _address(weight))

    def is_now(self, weight: Tensor) -> bool:
        """Whether it was this weight, and nobody has written to it, or put other memory there."""
        version = _version(weight)
        if version is None or version != self.version:
            return False
        same = self.weight is weight and self.address == _address(weight)
        return version == _COMPILED or same


class Share(NamedTuple):
    """A divided weight that a group made for the reads to come."""

    out: Tensor
    u: Vector
    v: Vector
    source: Source
    # How often the result had been written to.
    version: int | None
    # The checkpointed regions that it was made in.
    regions: list[ReferenceType[object]]


class Turn:
    """What a layer's group made of its weight for one forward: a share, or only a step.

    Apart from the module, whose attributes are slow to set. A copy or a pickle starts anew.
    """

    def __init__(self) -> None:
        # Each in one piece: threads may share a model.
        self.share: Share | None = None
        self.step: tuple[Step, Source] | None = None
        # Whether the layer is expected to divide its output, and so to need no share.
        self.scales = True
        # Whether the group has left the layer to its own forward.
        self.alone = False

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return Turn, ()

    def drop(self) -> None:
        """Forget what was made: the forward it was for is over."""
        self.share = self.step = None
        self.alone = False


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

        That of a DTensor sees it whole; other parametrizations may come before; and a weight of one
        axis has no vectors.
        """
        weight = self.original()
        first = self._home[0]._modules["0"]
        return type(weight) not in _WHOLE or first is not self or weight.ndim <= 1

    def is_on(self, module: nn.Module, name: str) -> bool:
        """Whether the parametrization is still on the layer."""
        every: Any = module._modules.get("parametrizations")
        listed = None if every is None else every._modules.get(name)
        return listed is self._home[0] and self in listed._modules.values()

    def places(self, row: Weight) -> Arrays | None:
        """Return the arrays of a layer expected to divide its output, and so to need no share."""
        return scaled.places_of(row.weight, row.u, row.v, self) if self.turn.scales else None

    def take_step(self, step: Step, row: Weight, *, moved: bool) -> None:
        """Keep the group's step for the layer's forward."""
        self.turn.share, self.turn.step = None, (step, Source.of(row.weight))
        self.layer.stepped(step, row.u, row.v, moved=moved)

    def step(self, weight: Tensor) -> Step | None:
        """Return the group's step, if there is one of this weight; one is expected from now on."""
        self.turn.scales = True
        made = self.turn.step
        return made[0] if made is not None and made[1].is_now(weight) else None

    def take_share(self, out: Tensor, u: Tensor, v: Tensor) -> None:
        """Keep a result for the reads to come."""
        source = Source.of(self.original())
        share = Share(out, u, v, source, _version(out), recompute.regions_begun())
        self.turn.share, self.turn.step = share, None
        if out.requires_grad and not torch.compiler.is_compiling():
            out.register_hook(partial(_use_up, ref(self.turn)))

    def drop(self) -> None:
        """Forget what the group made: the forward it was for is over."""
        self.turn.drop()

    def forward(self, weight: Tensor) -> Tensor:
        """Return the share, or evaluate at the vectors as they are."""
        if weight.ndim <= 1:
            return super().forward(weight)
        turn = self.turn
        share = turn.share
        if turn.step is not None:  # the layer reads its weight after all
            turn.scales = False
        used = recompute.recall(self.layer) if recompute.in_recomputation() else None
        if used is not None and used.share is not None:
            return self._shared(used.u, used.v, used.share)
        u, v = self.vectors()
        if used is not None and not used.within:
            return self.layer.take(weight, used.u, used.v, 0)
        if share is None or not _fits(share, weight):
            # FSDP shows the group a part of the weight, and the layer's forward all of it.
            alone = turn.alone or (bool(self._home) and self.stands_alone())
            return self.layer(weight, u, v, training=self.training and alone)
        return self._shared(share.u, share.v, share.out, share.regions)

    def _shared(
        self, u: Vector, v: Vector, out: Tensor, regions: Sequence[ReferenceType[object]] = ()
    ) -> Tensor:
        """Hand out a share, and note it for the regions that this read is in."""
        recompute.note(self.layer, u, v, out, regions)
        return out


def _fits(share: Share, weight: Tensor) -> bool:
    """Whether a share is as it was made, of this weight, and can be differentiated if need be."""
    out = share.out
    differentiated = torch.is_grad_enabled() and weight.requires_grad
    return (
        share.version == _version(out)
        and out.dtype is weight.dtype
        and share.source.is_now(weight)
        and (out.requires_grad or not differentiated)
        and _may_be_saved(out)
    )


def _may_be_saved(out: Tensor) -> bool:
    """Whether a graph, if there is to be one, could hold a result."""
    if torch.compiler.is_compiling():
        return True
    return torch.is_inference_mode_enabled() or not out.is_inference()


def _use_up(turn: ReferenceType[Turn], _: Tensor) -> None:
    """The graph of a share serves one backward pass."""
    # By a weak reference: the share would keep whoever keeps it.
    found = turn()
    if found is not None:
        found.share = None


def _address(weight: Tensor) -> int:
    """Return where a weight's memory is, which `weight.data = other` changes; 0 if not known."""
    if torch.compiler.is_compiling() or in_transform():
        return 0
    has_one = weight.layout is torch.strided and (weight.is_cpu or weight.is_cuda)
    return storage_address(weight) if has_one else 0


def _version(weight: Tensor) -> int | None:
    """Return what changes when a weight is written to; None where nothing tells."""
    if torch.compiler.is_compiling():
        return _COMPILED
    return None if weight.is_inference() else weight._version
