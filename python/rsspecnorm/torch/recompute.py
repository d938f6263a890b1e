"""Activation checkpointing: the second forward of a region sees the vectors of the first one.

`torch.utils.checkpoint` runs a region's forward again during the backward pass. A normalised weight
must then neither iterate once more nor read vectors that later forwards have moved on. What a
region used is noted on the object that torch keeps for it, and lives as long as that.

torch has no public name for that object; where it cannot be found, nothing is noted, and the second
forward reads the vectors as they are, without an iteration.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from rsspecnorm.torch.steps import Vector

_NOTES = "_rsspecnorm_notes"
_CHECKPOINT = torch.utils.checkpoint.__name__


class Used(NamedTuple):
    """What one read of a weight used; `share` is the result itself where a group made it."""

    u: Tensor
    v: Tensor
    share: Tensor | None = None


class _Notes:
    """What one region used, per owner in order of use; and how far a replay has come."""

    def __init__(self) -> None:
        self.used: dict[object, list[Used]] = defaultdict(list)
        self.replayed: dict[object, int] = defaultdict(int)
        self.task = -1

    def replay(self, owner: object, task: int) -> Used | None:
        if task != self.task:  # another backward pass over the same region
            self.task, self.replayed = task, defaultdict(int)
        turn = self.replayed[owner]
        self.replayed[owner] += 1
        used = self.used.get(owner, [])
        return used[turn] if turn < len(used) else None


def in_recomputation() -> bool:
    """Whether a backward pass is running: a forward now is a region's second one."""
    return (
        not torch.compiler.is_compiling()
        and torch._C._current_graph_task_id() != -1
        and torch.is_grad_enabled()
    )


def recall(owner: object) -> Used | None:
    """Return what `owner` used at this point of the region's first forward."""
    region = _region_of_backward()
    notes = getattr(region, _NOTES, None)
    if notes is None:
        return None
    found: Used | None = notes.replay(
        owner,
        torch._C._current_graph_task_id(),
    )
    return found


def note(owner: object, u: Vector, v: Vector, share: Tensor | None = None) -> None:
    """Keep what a read used for the second forward, if this is a region's first one.

    A share made outside the region is what the region saved, so the second forward must save it
    again; except with ``use_reentrant=True``, which differentiates the second forward by itself.
    """
    if torch.compiler.is_compiling():
        return
    region = _region_of_forward()
    if region is None:
        return
    notes = getattr(region, _NOTES, None)
    if notes is None:
        notes = _Notes()
        setattr(region, _NOTES, notes)
    kept = share if torch.is_grad_enabled() else None
    u, v = (torch.as_tensor(x).detach().clone() for x in (u, v))
    notes.used[owner].append(Used(u, v, kept))


def _region_of_forward() -> object | None:
    """Return the region that is running for the first time, if any."""
    if not torch.is_grad_enabled():
        return _local_of("forward", "ctx")  # use_reentrant=True runs without grad
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(False)
    if hooks is None:
        return None
    pack = hooks[0]
    names = getattr(getattr(pack, "__code__", None), "co_freevars", ())
    if pack.__module__ != _CHECKPOINT or "frame" not in names:
        return None
    region: object = pack.__closure__[names.index("frame")].cell_contents
    return region


def _region_of_backward() -> object | None:
    """Return the region that is running again."""
    return _local_of("unpack_hook", "frame") or _local_of("backward", "ctx")


def _local_of(function: str, name: str) -> object | None:
    """Return a local of the innermost call of that function of `torch.utils.checkpoint`."""
    for frame in _stack():
        code = frame.f_code
        if code.co_name == function and frame.f_globals.get("__name__") == _CHECKPOINT:
            return frame.f_locals.get(name)
    return None


def _stack() -> Iterator[Any]:
    frame: Any = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
