"""The layers of a group: which they are, and its parametrization put on them and taken off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from rsspecnorm.torch import scaled
from rsspecnorm.torch.layout import TRANSPOSED
from rsspecnorm.torch.member import GroupMember
from rsspecnorm.torch.parametrizations import take_off

if TYPE_CHECKING:
    from rsspecnorm.torch.options import Options

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED, nn.Embedding)


def chosen(
    given: nn.Module | Iterable[nn.Module] | Mapping[str, nn.Module], name: str
) -> dict[str, nn.Module]:
    """Return the layers by name, each once; all of them can be normalised."""
    if isinstance(given, nn.Module):
        found = {
            key: module
            for key, module in given.named_modules()
            if isinstance(module, LAYERS)
            and not parametrize.is_parametrized(module, name)
            and isinstance(module._parameters.get(name), Tensor)
        }
    elif isinstance(given, Mapping):
        found = dict(given)
    else:
        found = {str(i): module for i, module in enumerate(given)}
    if not found:
        message = "modules_or_model must hold at least one layer, got none"
        raise ValueError(message)
    for module in found.values():
        if not isinstance(getattr(module, name, None), Tensor):
            message = f"Module '{module}' has no parameter or buffer with name '{name}'"
            raise ValueError(message)
    first = {id(module): key for key, module in reversed(found.items())}
    return {key: module for key, module in found.items() if first[id(module)] == key}


def registered(module: nn.Module, name: str, key: str, options: Options) -> GroupMember:
    """Register one layer's parametrization."""
    member = GroupMember(module, name, key, options)
    parametrize.register_parametrization(module, name, member)
    scaled.install(module, name)
    member._home.append(module.parametrizations[name])
    return member


def unregister(module: nn.Module, name: str, member: GroupMember, keep_values: bool) -> None:
    """Take one layer's parametrization off, and no other where the raw weight is to stay.

    Nothing, if somebody else has done so.
    """
    if not member.is_on(module, name):
        return
    listed: Any = module.parametrizations[name]
    if len(listed) == 1 or keep_values:
        take_off(module, name, leave_parametrized=keep_values)
    else:
        del listed[next(i for i, each in enumerate(listed) if each is member)]
