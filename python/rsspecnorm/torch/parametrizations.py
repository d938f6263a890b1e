"""Drop-in for `torch.nn.utils.parametrizations.spectral_norm`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rsspecnorm.torch import scaled
from rsspecnorm.torch.device import INITIAL_ITERATIONS, lengths
from rsspecnorm.torch.layer import Adjustable, Layer, keep_wide
from rsspecnorm.torch.layout import default_dim
from rsspecnorm.torch.operator_norm import convolution_of
from rsspecnorm.torch.options import Options, checked_options, start_vectors
from rsspecnorm.torch.scaling import accumulator, divisor, real

if TYPE_CHECKING:
    from collections.abc import Callable

    from rsspecnorm.torch.eager import Step
    from rsspecnorm.torch.operator_norm import Convolution, Norm
    from rsspecnorm.torch.options import Init, Seed

__all__ = ["spectral_norm"]

_OF_EVERY_CLASS = frozenset({"__dict__", "__weakref__"})


def spectral_norm(  # noqa: PLR0913 - the five of torch, then keywords
    module: nn.Module,
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
) -> nn.Module:
    """Divide a weight by its spectral norm, as a parametrization of the module.

    Takes the place of `torch.nn.utils.parametrizations.spectral_norm`: the same arguments,
    buffers, keys, order of updates, initial iterations, draws and errors.

    Parameters
    ----------
    module : torch.nn.Module
        The module that has the weight.
    name : str, optional
        Name of the parameter or buffer.
    n_power_iterations : int, optional
        Power iterations at each read of the weight in training mode.
    eps : float, optional
        Least norm that a 1-D weight is divided by, and that a start vector is. Iterations need
        no floor here.
    dim : int, optional
        Axis of the outputs. Default: 0, and 1 for transposed convolutions.
    coefficient : float, optional
        The spectral norm that the weight is given.
    soft : bool, optional
        Divide by ``max(1, sigma / coefficient)``: only what is above the coefficient shrinks.
    detach_sigma : bool, optional
        Take sigma as a constant in the backward pass.
    init : {"random", "deterministic"}, optional
        Where the vectors start: drawn as torch draws them, or from `name`, the shape and the seed
        alone, so that ranks of a distributed run agree; initial iterations are then made at the
        first forward.
    init_iterations : int, optional
        Iterations before the first use. Default: 15.
    norm : {"reshaped", "operator"}, optional
        The norm of the weight as a matrix, or of the convolution as it acts on inputs of
        `input_shape`.
    input_shape : tuple of int, optional
        Shape of an input without the batch axis, for ``norm="operator"``.
    generator : torch.Generator or int, optional
        Source of the random start; its seed is the seed of a deterministic one.

    Returns
    -------
    torch.nn.Module
        The module given.

    Raises
    ------
    ValueError
        If the module has no such parameter or buffer, or an option is out of range.
    IndexError
        If `dim` is not an axis of the weight.

    Notes
    -----
    Miyato et al., "Spectral normalization for generative adversarial networks", ICLR 2018.
    ``torch.nn.utils.parametrize.remove_parametrizations`` removes it.

    Examples
    --------
    >>> import torch
    >>> from rsspecnorm.torch.parametrizations import spectral_norm
    >>> layer = spectral_norm(torch.nn.Linear(20, 40))
    >>> sorted(layer.state_dict())[1:3]
    ['parametrizations.weight.0._u', 'parametrizations.weight.0._v']
    >>> bool(0.9 < torch.linalg.matrix_norm(layer.eval().weight, 2) < 1.1)
    True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        message = f"Module '{module}' has no parameter or buffer with name '{name}'"
        raise ValueError(message)
    options = checked_options(
        n_power_iterations,
        eps,
        order="uv",
        coefficient=coefficient,
        soft=soft,
        detach_sigma=detach_sigma,
        init=init,
        init_iterations=INITIAL_ITERATIONS if init_iterations is None else init_iterations,
        generator=generator,
    )
    convolution = convolution_of(module, norm, input_shape)
    made = SpectralNorm(
        weight, default_dim(module) if dim is None else dim, name, options, convolution
    )
    parametrize.register_parametrization(module, name, made)
    scaled.install(module, name)
    return module


def take_off(module: nn.Module, name: str, *, leave_parametrized: bool = True) -> None:
    """Remove all parametrizations of a weight, as torch does, and leave copies of the module alone.

    torch takes the weight's property off the class that it made for the module, which copies share.
    """
    made: Any = type(module)
    own = {key: value for key, value in vars(made).items() if key not in _OF_EVERY_CLASS}
    module.__class__ = type(made)(made.__name__, made.__bases__, own)
    listed: Any = module.parametrizations[name]
    training = listed.training
    listed.eval()  # the values that stay are those of the last use: no further iteration
    parametrize.remove_parametrizations(module, name, leave_parametrized=leave_parametrized)
    listed.train(training)


class SpectralNorm(Adjustable, nn.Module):
    """The parametrization that `spectral_norm` registers.

    Parameters
    ----------
    weight : Tensor
        The weight to start from.
    dim : int
        Axis of its rows.
    name : str
        Name that a deterministic start depends on.
    options : Options
        The checked arguments of the front end.
    convolution : Convolution, optional
        The convolution whose operator norm is meant.
    """

    def __init__(
        self,
        weight: Tensor,
        dim: int,
        name: str,
        options: Options,
        convolution: Convolution | None = None,
    ) -> None:
        super().__init__()
        self.layer = Layer(options, dim, weight.shape, convolution)
        self.vector_dtype = weight.dtype
        self.registered = False
        if weight.ndim > 1:
            shape = self.layer.shape(weight)
            with torch.no_grad():
                self._start(weight.detach(), *start_vectors(weight, shape, name, options))

    def _start(self, weight: Tensor, u: Tensor, v: Tensor) -> None:
        options = self.layer.options
        self.register_buffer("_u", u)
        self.register_buffer("_v", v)
        self.layer.trust(u, v)
        if options.init == "deterministic":
            self.layer.pending = options.init_iterations
            # The read that registration makes is no forward: ranks may not agree yet.
            self.registered = True
        elif options.init_iterations:
            self.layer.take(weight, u, v, options.init_iterations)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the normalised weight; in training the vectors move."""
        if weight.ndim <= 1:
            return self._of_vector(weight)
        u, v = self.vectors()
        if self.registered:
            self.registered = False
            return self.layer.take(weight, u, v, 0)
        return self.layer(weight, u, v, training=self.training)

    def step(self, weight: Tensor) -> Step | None:
        """Do all that a read does but to divide, for a layer that divides its output.

        None where only a read will do.
        """
        u, v = self.vectors()
        places = None if self.registered else scaled.places_of(weight, u, v, self)
        return None if places is None else self.layer.step(places, u, v, training=self.training)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return u and v."""
        u, v = self._buffers["_u"], self._buffers["_v"]
        assert u is not None  # noqa: S101 - registered with the weight's own
        assert v is not None  # noqa: S101
        return u, v

    def _of_vector(self, weight: Tensor) -> Tensor:
        """The norm of a vector needs no iteration; no norm is below eps."""
        wide = accumulator(weight.dtype)
        sigma = lengths(weight.to(wide)).to(real(wide)).clamp(min=self.eps)
        self.layer.found(sigma.detach())
        rule = self.layer.options.rule
        used = sigma.detach() if rule.detach_sigma else sigma
        return (weight / divisor(used, rule)).to(weight.dtype)

    def right_inverse(self, value: Tensor) -> Tensor:
        """Store what is assigned as it is, as torch does."""
        return value

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SpectralNorm:
        before = {name: x for name, x in self._buffers.items() if x is not None}
        super()._apply(fn, recurse)
        if before:
            chosen, saved = keep_wide(self._buffers, before), self.vector_dtype
            # Of vectors that are wider than what is saved, `fn` does not see what torch's are.
            is_wider = saved != accumulator(saved)
            self.vector_dtype = fn(before["_u"].to(saved)).dtype if is_wider else chosen
            self.layer.trust(*self.vectors())
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Save the vectors in the weight's dtype, as torch has them."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in self._buffers:
            destination[prefix + name] = destination[prefix + name].to(self.vector_dtype)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)
        if any(prefix + name in state_dict for name in self._buffers):
            if local_metadata.get("assign_to_params_buffers", False):
                given = {name: x for name, x in self._buffers.items() if x is not None}
                self.vector_dtype = keep_wide(self._buffers, given)
            self.layer.loaded(*self.vectors())
