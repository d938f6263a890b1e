"""Drop-in for the older `torch.nn.utils.spectral_norm`, which works by a forward pre-hook."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import (
    SpectralNorm,
    SpectralNormLoadStateDictPreHook,
    SpectralNormStateDictHook,
)

from rsspecnorm.torch.layer import Adjustable, Layer, keep_wide
from rsspecnorm.torch.layout import as_matrices, default_dim
from rsspecnorm.torch.operator_norm import convolution_of
from rsspecnorm.torch.options import checked_options, start_vectors
from rsspecnorm.torch.path import outlives_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rsspecnorm.torch.operator_norm import Norm
    from rsspecnorm.torch.options import Init, Seed

M = TypeVar("M", bound=nn.Module)
_ORDER = "vu"


def spectral_norm(  # noqa: PLR0913 - the five of torch, then keywords
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
    *,
    coefficient: float = 1.0,
    soft: bool = False,
    detach_sigma: bool = False,
    init: Init = "random",
    init_iterations: int | None = None,
    norm: Norm = "reshaped",
    input_shape: tuple[int, ...] | None = None,
    generator: Seed = None,
) -> M:
    """Divide a weight by its spectral norm, before every forward of the module.

    Takes the place of `torch.nn.utils.spectral_norm`: the same arguments, keys, order of updates,
    draws and errors. New code should take `rsspecnorm.torch.parametrizations.spectral_norm`.

    Parameters
    ----------
    module : torch.nn.Module
        The module that has the weight.
    name : str, optional
        Name of the parameter.
    n_power_iterations : int, optional
        Power iterations at each forward in training mode.
    eps : float, optional
        Least norm that a start vector is divided by. Iterations need no floor here.
    dim : int, optional
        Axis of the outputs. Default: 0, and 1 for transposed convolutions.
    coefficient, soft, detach_sigma, init, norm, input_shape, generator : optional
        As in `rsspecnorm.torch.parametrizations.spectral_norm`.
    init_iterations : int, optional
        Iterations before the first use. Default: 0, as torch.

    Returns
    -------
    torch.nn.Module
        The module given.

    Raises
    ------
    RuntimeError
        If the parameter is normalised by a hook already.
    KeyError
        If the module has no such parameter.
    ValueError
        If the parameter is None or not initialised, or an option is out of range.
    IndexError
        If `dim` is not an axis of the weight.

    See Also
    --------
    remove_spectral_norm : the way back.

    Examples
    --------
    >>> import torch
    >>> from rsspecnorm.torch import spectral_norm
    >>> layer = spectral_norm(torch.nn.Linear(20, 40))
    >>> layer.weight_u.size()
    torch.Size([40])
    """
    options = checked_options(
        n_power_iterations,
        eps,
        order=_ORDER,
        coefficient=coefficient,
        soft=soft,
        detach_sigma=detach_sigma,
        init=init,
        init_iterations=0 if init_iterations is None else init_iterations,
        generator=generator,
    )
    if any(hook.name == name for hook in _hooks_of(module, SpectralNorm)):
        message = f"Cannot register two spectral_norm hooks on the same parameter {name}"
        raise RuntimeError(message)
    weight = _checked_weight(module, name)
    convolution = convolution_of(module, norm, input_shape)
    dim = default_dim(module) if dim is None else dim
    hook = SpectralNormHook(name, Layer(options, dim, weight.shape, convolution))
    hook.attach(module, weight)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Take the hook off a module; the parameter keeps the normalised values.

    Parameters
    ----------
    module : torch.nn.Module
        A module that `spectral_norm` was applied to.
    name : str, optional
        Name of the parameter.

    Returns
    -------
    torch.nn.Module
        The module given. Its parameter is the object that it had before `spectral_norm`, so that
        an optimizer that holds it goes on training it.

    Raises
    ------
    ValueError
        If there is no such hook.

    Examples
    --------
    >>> import torch
    >>> from rsspecnorm.torch import remove_spectral_norm, spectral_norm
    >>> layer = remove_spectral_norm(spectral_norm(torch.nn.Linear(20, 40)))
    >>> sorted(layer.state_dict())
    ['bias', 'weight']
    """
    for key, hook in list(module._forward_pre_hooks.items()):
        if isinstance(hook, SpectralNormHook) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    message = f"spectral_norm of '{name}' not found in {module}"
    raise ValueError(message)


class SpectralNormHook(Adjustable, SpectralNorm):
    """The forward pre-hook; torch's own class by inheritance, so that its tools know it.

    Parameters
    ----------
    name : str
        Name of the parameter.
    layer : Layer
        The state of the weight beside its buffers.
    """

    def __init__(self, name: str, layer: Layer) -> None:
        self.layer = layer
        super().__init__(name, layer.options.n_power_iterations, layer.dim, layer.options.eps)

    def __call__(self, module: nn.Module, inputs: Any) -> None:  # noqa: ARG002 - torch's signature
        """Set the weight that the forward reads."""
        weight = self.layer(*self.tensors(module), training=module.training)
        if self._is_plain_attribute(module):  # the same, without a look at all that it is not
            module.__dict__[self.name] = weight
        else:
            setattr(module, self.name, weight)

    def _is_plain_attribute(self, module: nn.Module) -> bool:
        kind = type(module)
        return (
            kind.__setattr__ is nn.Module.__setattr__
            and self.name in module.__dict__
            and not hasattr(kind, self.name)
        )

    def compute_weight(self, module: nn.Module, do_power_iteration: bool) -> Tensor:
        """Return the normalised weight; torch's name for it."""
        n_iter = self.n_power_iterations if do_power_iteration else 0
        return self.layer.take(*self.tensors(module), n_iter)

    def reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        """Return the weight as a matrix; torch's name for it."""
        return as_matrices(weight.unsqueeze(0), self.layer.dim)[0]

    def attach(self, module: nn.Module, weight: Tensor) -> None:
        """Put the hooks and the buffers of one parameter on a module."""
        with torch.no_grad():
            shape = self.layer.shape(weight)
            u, v = start_vectors(weight.detach(), shape, self.name, self.layer.options)
        delattr(module, self.name)
        module.register_parameter(self.name + "_orig", weight)
        # The plain values, for whoever initialises the weight before the first forward.
        setattr(module, self.name, weight.data)
        module.register_buffer(self.name + "_u", u)
        module.register_buffer(self.name + "_v", v)
        self._start(weight, u, v)
        module.register_forward_pre_hook(self)
        module._register_state_dict_hook(_SaveHook(self))
        module._register_load_state_dict_pre_hook(SpectralNormLoadStateDictPreHook(self))
        module.register_load_state_dict_post_hook(_LoadedHook(self))
        # Instance attributes: both survive a pickle, and a subclass of the user's keeps its type.
        module.__dict__["_apply"] = partial(_apply_keeping_vectors, module)
        module.__dict__["__deepcopy__"] = partial(_deepcopy, module)

    def _start(self, weight: Tensor, u: Tensor, v: Tensor) -> None:
        options = self.layer.options
        self.layer.trust(u, v)
        if options.init == "deterministic":
            self.layer.pending = options.init_iterations
        elif options.init_iterations:
            with torch.no_grad():
                self.layer.take(weight.detach(), u, v, options.init_iterations)

    def remove(self, module: nn.Module) -> None:
        """Take everything off but the pre-hook itself, which torch's own removal deletes.

        The parameter, still the same object, then holds the normalised values; a new one, where the
        raw weight is no parameter but what another tool makes of its own.
        """
        weight, u, v = self.tensors(module)
        with torch.no_grad():
            values = self.layer.take(weight.detach(), u, v, 0)
            if isinstance(weight, nn.Parameter):
                weight.copy_(values)
        parameter = weight if isinstance(weight, nn.Parameter) else nn.Parameter(values.clone())
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, parameter)
        for hooks in (
            module._state_dict_hooks,
            module._load_state_dict_pre_hooks,
            module._load_state_dict_post_hooks,
        ):
            for key, hook in list(hooks.items()):
                # torch wraps the hooks that run before a load
                if getattr(getattr(hook, "hook", hook), "fn", None) is self:
                    del hooks[key]
        if all(hook is self for hook in _hooks_of(module, SpectralNormHook)):
            del module.__dict__["_apply"], module.__dict__["__deepcopy__"]

    def tensors(self, module: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
        """Return the raw weight, u and v."""
        name = self.name
        # From where they are registered, if they are: attributes of modules are slow to read.
        weight = module._parameters.get(name + "_orig")
        u, v = module._buffers.get(name + "_u"), module._buffers.get(name + "_v")
        return (
            getattr(module, name + "_orig") if weight is None else weight,
            getattr(module, name + "_u") if u is None else u,
            getattr(module, name + "_v") if v is None else v,
        )


class _SaveHook(SpectralNormStateDictHook):
    """Writes the version, and the vectors in the dtype of the weight, as torch has them."""

    def __call__(
        self, module: nn.Module, state_dict: Any, prefix: str, local_metadata: Any
    ) -> None:
        super().__call__(module, state_dict, prefix, local_metadata)
        name = prefix + self.fn.name
        for key in (name + "_u", name + "_v"):
            state_dict[key] = state_dict[key].to(getattr(module, self.fn.name + "_orig").dtype)


class _LoadedHook:
    """Looks at the vectors that a checkpoint brought."""

    def __init__(self, fn: SpectralNormHook) -> None:
        self.fn = fn

    def __call__(self, module: nn.Module, incompatible_keys: Any) -> None:  # noqa: ARG002
        keep_wide(module._buffers, _vectors_of(module))  # of vectors that were assigned
        _, u, v = self.fn.tensors(module)
        self.fn.layer.loaded(u, v)


H = TypeVar("H", bound=SpectralNorm)


def _hooks_of(module: nn.Module, kind: type[H]) -> Iterator[H]:
    return (hook for hook in list(module._forward_pre_hooks.values()) if isinstance(hook, kind))


def _checked_weight(module: nn.Module, name: str) -> nn.Parameter:
    """Return the parameter, or torch's own error."""
    weight = module._parameters[name]
    if weight is None:
        message = f"`SpectralNorm` cannot be applied as parameter `{name}` is None"
        raise ValueError(message)
    if isinstance(weight, nn.parameter.UninitializedParameter):
        message = (
            "The module passed to `SpectralNorm` can't have uninitialized parameters. "
            "Make sure to run the dummy forward before applying spectral normalization"
        )
        raise ValueError(message)
    return weight


def _vectors_of(module: nn.Module) -> dict[str, Tensor]:
    names = (hook.name + s for hook in _hooks_of(module, SpectralNormHook) for s in ("_u", "_v"))
    return {name: getattr(module, name) for name in names}


def _apply_keeping_vectors(
    module: nn.Module,
    fn: Callable[[Tensor], Tensor],
    recurse: bool = True,
) -> nn.Module:
    """`Module._apply` that leaves the vectors in float32 under `module.half()`."""
    before = _vectors_of(module)
    type(module)._apply(module, fn, recurse)
    keep_wide(module._buffers, before)
    for hook in _hooks_of(module, SpectralNormHook):
        hook.layer.trust(*hook.tensors(module)[1:])
    return module


def _detached(module: nn.Module, hook: SpectralNormHook) -> Tensor:
    """Return the weight of the last forward; the raw one, if that was under a transform."""
    weight: Tensor = module.__dict__[hook.name]
    return (weight if outlives_call(weight) else hook.tensors(module)[0]).detach()


def _deepcopy(module: nn.Module, memo: dict[int, Any]) -> Any:
    """Copy a module whose weight is the result of a computation, which autograd cannot copy."""
    own = {hook.name: module.__dict__[hook.name] for hook in _hooks_of(module, SpectralNormHook)}
    plain = {hook.name: _detached(module, hook) for hook in _hooks_of(module, SpectralNormHook)}
    custom = getattr(type(module), "__deepcopy__", None)
    if custom is not None:
        module.__dict__.update(plain)
        try:
            return custom(module, memo)
        finally:
            module.__dict__.update(own)
    kind: Any = type(module)
    replica = kind.__new__(kind)
    memo[id(module)] = replica
    replica.__dict__ = deepcopy({**module.__dict__, **plain}, memo)
    return replica
