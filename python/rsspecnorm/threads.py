"""How many threads a call uses.

The narrowest setting wins: `num_threads=` of the call, `thread_limit`, `set_num_threads`, then the
environment: `RSSPECNORM_NUM_THREADS`, `RAYON_NUM_THREADS`, `OMP_NUM_THREADS`, and last the CPUs
that the process may run on.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from operator import index
from typing import TYPE_CHECKING

from rsspecnorm import _core

if TYPE_CHECKING:
    from collections.abc import Iterator

_COUNT_BITS = 64

_limit: ContextVar[int | None] = ContextVar("rsspecnorm_thread_limit", default=None)

limit_in_force = _limit.get
"""The innermost `thread_limit` of this context, or None; bound directly, as every call asks."""


def set_num_threads(n: int | None) -> None:
    """Set the number of threads of every later call in this process.

    Parameters
    ----------
    n : int or None
        A positive count, which may exceed the number of CPUs; None returns to the environment's
        choice.

    Raises
    ------
    TypeError
        If `n` is neither an int nor None.
    ValueError
        If `n` is not positive.

    Notes
    -----
    The number of threads changes how long a call takes and never what it returns. A call uses 256
    at most, or as many as there are CPUs where those are more.

    Examples
    --------
    >>> import rsspecnorm
    >>> rsspecnorm.set_num_threads(2)
    >>> rsspecnorm.get_num_threads()
    2
    >>> rsspecnorm.set_num_threads(None)
    """
    _core.set_num_threads(n)


def get_num_threads() -> int:
    """Return the number of threads of a call made here without `num_threads=`.

    Returns
    -------
    int
        The count that `thread_limit`, `set_num_threads`, the environment or the CPUs give, in this
        order. Environment variables that hold no positive number are passed over.

    Examples
    --------
    >>> import rsspecnorm
    >>> with rsspecnorm.thread_limit(3):
    ...     rsspecnorm.get_num_threads()
    3
    """
    limit = limit_in_force()
    return _core.num_threads() if limit is None else limit


@contextmanager
def thread_limit(n: int) -> Iterator[None]:
    """Set the number of threads of the calls inside a ``with`` block.

    The setting belongs to the current context: other threads, and other tasks of an event loop,
    do not see it. Blocks nest, the innermost wins.

    Parameters
    ----------
    n : int
        A positive count, which may exceed the number of CPUs.

    Raises
    ------
    TypeError
        If `n` is not an int.
    ValueError
        If `n` is not positive.

    Examples
    --------
    >>> import numpy as np, rsspecnorm
    >>> with rsspecnorm.thread_limit(1):
    ...     float(rsspecnorm.spectral_norm(np.diag([3.0, 4.0])))
    4.0
    """
    token = _limit.set(_positive(n))
    try:
        yield
    finally:
        _limit.reset(token)


def _positive(n: int) -> int:
    try:
        count = index(n)
    except TypeError:
        message = f"n must be an int, got {type(n).__name__}"
        raise TypeError(message) from None
    if not 0 < count < 2**_COUNT_BITS:
        must = "be positive" if count <= 0 else f"be below 2**{_COUNT_BITS}"
        message = f"n must {must}, got {count}"
        raise ValueError(message)
    return count
