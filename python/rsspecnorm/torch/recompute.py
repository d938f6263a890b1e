"""Activation checkpointing: the second forward of a region sees the vectors of the first one.

`torch.utils.checkpoint` runs a region's forward again during the backward pass. A normalised weight
must then neither iterate once more nor read vectors that later forwards have moved on. What a
region used is noted on the object that torch keeps for it, and lives as long as that.

Regions may lie within regions. What runs again is the innermost that does, and its notes count; a
region begun within it is a new object, which will run again too and so gets notes of its own.

torch has no public name for that object; where it cannot be found, nothing is noted, and the second
forward reads the vectors as they are, without an iteration.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

import torch
from torch.utils import _python_dispatch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from weakref import ReferenceType

    from torch import Tensor

    from rsspecnorm.torch.rows import Vector

_NOTES = "_rsspecnorm_notes"
_CHECKPOINT = torch.utils.checkpoint.__name__
_GLOBALS = torch.utils.checkpoint.__dict__
# Functions of `torch.utils.checkpoint` and their locals that hold a region which runs again.
_AGAIN = {"unpack_hook": "frame", "backward": "ctx"}


class Used(NamedTuple):
    """What one read of a weight used.

    `share` is the result itself where a group made it outside of the region; where it did so
    `within`, the second forward makes one too.
    """

    u: Tensor
    v: Tensor
    share: Tensor | None = None
    within: bool = False


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


class _Regions(NamedTuple):
    """The region that runs again, if any, and those within it that run for the first time."""

    again: object | None
    first: list[object]


def in_recomputation() -> bool:
    """Whether a forward now, in a backward pass, is a region's second one."""
    if torch.compiler.is_compiling() or torch._C._current_graph_task_id() == -1:
        return False
    # Without grad it may be a region with `use_reentrant=True`, within one that runs again.
    return torch.is_grad_enabled() or _regions().again is not None


def recall(owner: object) -> Used | None:
    """Return what `owner` used at this point of the region's first forward."""
    notes = getattr(_regions().again, _NOTES, None)
    if notes is None:
        return None
    found: Used | None = notes.replay(owner, torch._C._current_graph_task_id())
    return found


def note(
    owner: object,
    u: Vector,
    v: Vector,
    share: Tensor | None = None,
    made_in: Sequence[ReferenceType[object]] = (),
) -> None:
    """Keep what a read used for the second forward of every region that it is in.

    A share made outside the region is what the region saved, so the second forward must save it
    again; except with ``use_reentrant=True``, which differentiates the second forward by itself.
    One that was `made_in` the region is not kept: its graph holds the region, without end.
    """
    regions = _first_forwards()
    if not regions:
        return
    kept = share if torch.is_grad_enabled() else None
    with unseen():
        # Not `as_tensor`, which would move them to the default device.
        u, v = (x if isinstance(x, torch.Tensor) else torch.from_numpy(x) for x in (u, v))
        used = Used(u.detach().clone(), v.detach().clone(), kept)
    for region in regions:
        within = share is not None and any(ref() is region for ref in made_in)
        notes = getattr(region, _NOTES, None)
        if notes is None:
            notes = _Notes()
            setattr(region, _NOTES, notes)
        notes.used[owner].append(used._replace(share=None, within=True) if within else used)


def in_first_forward() -> bool:
    """Whether `note` would keep anything."""
    return bool(_first_forwards())


def _first_forwards() -> list[object]:
    """Return the regions that the calls on the stack belong to and that run for the first time."""
    if torch.compiler.is_compiling():
        return []
    # One that runs takes grad away, or hooks in.
    may_be = _top_hooks() if torch.is_grad_enabled() else _calls_of_checkpoint()
    return _regions().first if may_be else []


def regions_begun() -> list[ReferenceType[object]]:
    """Return the regions that now run for the first time and will save what they compute."""
    if torch.compiler.is_compiling() or not torch.is_grad_enabled() or _top_hooks() is None:
        return []
    return [ref(region) for region in _regions().first]


def unseen() -> AbstractContextManager[Any]:
    """Keep selective checkpointing from counting operators that the second forward does not run."""
    if torch.compiler.is_compiling() or not torch._C._len_torch_dispatch_stack():
        return nullcontext()
    mode = _python_dispatch._get_current_dispatch_mode()
    if type(mode).__module__ != _CHECKPOINT:
        return nullcontext()
    return _python_dispatch._pop_mode_temporarily()


def _regions() -> _Regions:
    """Return the regions that the calls on the stack belong to."""
    found = {id(region): region for region in [_region_of_hooks()] if region is not None}
    for code, variables in _calls_of_checkpoint():
        name = _AGAIN.get(code)
        if name is not None and name in variables:
            return _Regions(variables[name], list(found.values()))
        region = variables.get("ctx") if code == "forward" else _region_of_generator(variables)
        if region is not None:
            found[id(region)] = region
    return _Regions(None, list(found.values()))


def _region_of_generator(variables: Any) -> object | None:
    """Return the region of a generator which a call keeps that runs a region's first forward."""
    frame = getattr(variables.get("gen"), "gi_frame", None)
    region: object | None = None if frame is None else frame.f_locals.get("new_frame")
    return region


def _region_of_hooks() -> object | None:
    """Return the innermost region of which saved tensors are held back, whoever runs it."""
    hooks = _top_hooks() if torch.is_grad_enabled() else None
    pack: Any = None if hooks is None else hooks[0]
    names = getattr(getattr(pack, "__code__", None), "co_freevars", ())
    if getattr(pack, "__module__", None) != _CHECKPOINT or "frame" not in names:
        return None
    region: object = pack.__closure__[names.index("frame")].cell_contents
    return region


def _top_hooks() -> Any:
    return torch._C._autograd._top_saved_tensors_default_hooks(False)


def _calls_of_checkpoint() -> list[tuple[str, Any]]:
    """Return name and locals of the calls of `torch.utils.checkpoint`, the innermost first."""
    calls: list[tuple[str, Any]] = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_globals is _GLOBALS:
            calls.append((frame.f_code.co_name, frame.f_locals))
        frame = frame.f_back
    return calls
