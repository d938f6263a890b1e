"""The arguments that every front end takes, checked once."""

from __future__ import annotations

import math
import zlib
from operator import index
from typing import Literal, NamedTuple, TypeAlias

import torch

from rsspecnorm.torch.scaling import Rule, accumulator

Init: TypeAlias = Literal["random", "deterministic"]
Seed: TypeAlias = torch.Generator | int | None


class Options(NamedTuple):
    """What a layer keeps of its front end's arguments."""

    n_power_iterations: int
    eps: float
    order: str
    rule: Rule
    init: Init = "random"
    init_iterations: int = 0
    generator: Seed = None


def checked_options(
    n_power_iterations: int,
    eps: float,
    *,
    order: str,
    coefficient: float,
    soft: bool,
    detach_sigma: bool,
    init: Init,
    init_iterations: int,
    generator: Seed,
) -> Options:
    """Reject what cannot be meant, naming the argument and what came."""
    if index(n_power_iterations) <= 0:
        message = (
            "Expected n_power_iterations to be positive, but "
            f"got n_power_iterations={n_power_iterations}"
        )
        raise ValueError(message)
    if index(init_iterations) < 0:
        message = f"init_iterations must be at least 0, got {init_iterations}"
        raise ValueError(message)
    if not (coefficient > 0 and math.isfinite(coefficient)):
        message = f"coefficient must be positive and finite, got {coefficient}"
        raise ValueError(message)
    _check_eps(eps)
    if init not in {"random", "deterministic"}:
        message = f'init must be "random" or "deterministic", got {init!r}'
        raise ValueError(message)
    rule = Rule(float(coefficient), bool(soft), bool(detach_sigma))
    return Options(n_power_iterations, float(eps), order, rule, init, init_iterations, generator)


def with_iterations(options: Options, n_power_iterations: int) -> Options:
    """Return the options with another number of iterations; none at all keep the vectors still."""
    if index(n_power_iterations) < 0:
        message = f"n_power_iterations must be at least 0, got {n_power_iterations}"
        raise ValueError(message)
    return options._replace(n_power_iterations=n_power_iterations)


def with_eps(options: Options, eps: float) -> Options:
    """Return the options with another floor of norms, checked as at registration."""
    _check_eps(eps)
    return options._replace(eps=float(eps))


def _check_eps(eps: float) -> None:
    if not eps >= 0:
        message = f"eps must be at least 0, got {eps}"
        raise ValueError(message)


def start_vectors(
    weight: torch.Tensor, shape: tuple[int, int], name: str, options: Options
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return unit u, v to start from: drawn as torch draws them, or fixed by name and shape.

    The draw is in the dtype of the weight, u before v, so that a seed gives torch's own start.
    """
    if options.init == "deterministic":
        drawn = _fixed_normals(weight, shape, name, options.generator)
    else:
        source = _generator(weight.device, options.generator)
        drawn = [weight.new_empty(n).normal_(0, 1, generator=source) for n in shape]
    return _unit(drawn[0], options.eps), _unit(drawn[1], options.eps)


def _unit(x: torch.Tensor, eps: float) -> torch.Tensor:
    return torch.nn.functional.normalize(x.to(accumulator(x.dtype)), dim=0, eps=eps)


def _generator(device: torch.device, source: Seed) -> torch.Generator | None:
    if isinstance(source, int):
        return torch.Generator(device).manual_seed(source)
    return source


def _fixed_normals(
    weight: torch.Tensor, shape: tuple[int, int], name: str, source: Seed
) -> list[torch.Tensor]:
    """Draw on the CPU from a seed of the name, the shape and the caller's seed, nothing else."""
    seed = source.initial_seed() if isinstance(source, torch.Generator) else source or 0
    text = f"{name} {tuple(weight.shape)} {seed}"
    generator = torch.Generator("cpu").manual_seed(zlib.crc32(text.encode()))
    wide = torch.complex128 if weight.is_complex() else torch.float64
    drawn = [torch.randn(n, dtype=wide, generator=generator, device="cpu") for n in shape]
    return [x.to(weight.device, weight.dtype) for x in drawn]
