"""The settings that every call takes, in the one tuple that the core reads."""

from __future__ import annotations

from operator import index
from typing import TypeAlias

import numpy as np

from rsspecnorm.threads import limit_in_force

Rng: TypeAlias = int | np.random.Generator | None

DEFAULT_SEED = 0
_SEED_BITS = 64
_DRAWN_BITS = 63  # what Generator.integers can return as a signed integer


def common(num_threads: int | None, check_finite: bool, rng: Rng) -> tuple[int, int | None, bool]:
    """Return `(seed, num_threads, check_finite)` with narrower settings before wider ones."""
    seed = DEFAULT_SEED if rng is None else seed_from(rng)
    return seed, threads_in_force(num_threads), check_finite


def threads_in_force(num_threads: int | None) -> int | None:
    """Return the number of threads of the call, or else that of the innermost `thread_limit`."""
    return limit_in_force() if num_threads is None else num_threads


def as_flag(value: object, name: str) -> bool:
    """Return `value`, which messages call `name` and which must be a bool."""
    if not isinstance(value, bool | np.bool_):
        message = f"{name} must be a bool, got {type(value).__name__}"
        raise TypeError(message)
    return bool(value)


def seed_from(rng: int | np.random.Generator) -> int:
    """Return the seed that an int is, or the one that a Generator draws."""
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**_DRAWN_BITS))
    try:
        seed = index(rng)
    except TypeError:
        message = f"rng must be None, an int or a numpy.random.Generator, got {type(rng).__name__}"
        raise TypeError(message) from None
    if not 0 <= seed < 2**_SEED_BITS:
        message = f"rng must be in [0, 2**{_SEED_BITS}) when it is an int, got {seed}"
        raise ValueError(message)
    return seed
