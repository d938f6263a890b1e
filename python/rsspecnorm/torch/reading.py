"""Looking at normalised weights without touching them, and taking them off for inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn.utils import parametrize

from rsspecnorm.torch.group import SpectralNormGroup
from rsspecnorm.torch.hook import SpectralNormHook, remove_spectral_norm
from rsspecnorm.torch.parametrizations import SpectralNorm, take_off

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from rsspecnorm.torch.layer import Layer


class Found(NamedTuple):
    """A normalised weight of a module."""

    module: nn.Module
    name: str
    layer: Layer
    weight: Tensor
    vectors: tuple[Tensor, Tensor] | None


def normalized_weights(module: nn.Module) -> Iterator[Found]:
    """Yield what is normalised in one module, its children left aside."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, SpectralNormHook):
            weight, u, v = hook.tensors(module)
            yield Found(module, hook.name, hook.layer, weight, (u, v))
    if parametrize.is_parametrized(module):
        for name, steps in module.parametrizations.items():
            for step in steps:
                if isinstance(step, SpectralNorm):
                    vectors = step.vectors() if steps.original.ndim > 1 else None
                    yield Found(module, name, step.layer, steps.original, vectors)


def module_sigma(module: nn.Module, name: str = "weight") -> Tensor:
    """Return the last sigma of a normalised weight, without an iteration.

    Parameters
    ----------
    module : torch.nn.Module
        A module that one of the front ends was applied to.
    name : str, optional
        Name of the weight.

    Returns
    -------
    Tensor
        Sigma, the estimate of the largest singular value that the weight was last divided by:
        0-d, detached, float32 for half precision weights. Before the first use it is evaluated
        at the vectors as they are, which stay as they are.

    Raises
    ------
    ValueError
        If the weight is not normalised by this package.

    Examples
    --------
    >>> import torch
    >>> from rsspecnorm.torch import module_sigma
    >>> from rsspecnorm.torch.parametrizations import spectral_norm
    >>> layer = torch.nn.Linear(2, 2)
    >>> _ = layer.weight.data.fill_(1.5)
    >>> float(module_sigma(spectral_norm(layer)))
    3.0
    """
    for found in normalized_weights(module):
        if found.name == name:
            if found.layer.sigma is None and found.vectors is not None:
                with torch.no_grad():
                    found.layer.take(found.weight.detach(), *found.vectors, 0)
            if found.layer.sigma is not None:
                return found.layer.sigma
    message = f"'{name}' of {type(module).__name__} is not normalised by rsspecnorm"
    raise ValueError(message)


def fold(model: nn.Module) -> nn.Module:
    """Replace every normalised weight of a model by its value, for inference or export.

    Parameters
    ----------
    model : torch.nn.Module
        The model; it is changed in place. Its vectors take no further iteration.

    Returns
    -------
    torch.nn.Module
        The model given, with plain parameters: the same objects as before.

    Examples
    --------
    >>> import torch
    >>> from rsspecnorm.torch import fold
    >>> from rsspecnorm.torch.parametrizations import spectral_norm
    >>> model = torch.nn.Sequential(spectral_norm(torch.nn.Linear(3, 4)))
    >>> list(fold(model).state_dict())
    ['0.bias', '0.weight']
    """
    for module in list(model.modules()):
        for found in list(normalized_weights(module)):
            if any(
                isinstance(h, SpectralNormHook) and h.name == found.name
                for h in module._forward_pre_hooks.values()
            ):
                remove_spectral_norm(module, found.name)
            elif parametrize.is_parametrized(module, found.name):
                take_off(module, found.name)
    for group in _groups_of(model):
        group._let_go()
    return model


def _groups_of(model: nn.Module) -> list[SpectralNormGroup]:
    """Return the groups that wait for forwards of a model, or of its parts."""
    hooks = [hook for module in model.modules() for hook in module._forward_pre_hooks.values()]
    owners = (getattr(hook, "__self__", None) for hook in hooks)
    return [owner for owner in owners if isinstance(owner, SpectralNormGroup)]
