"""What the calls that return more than a number return.

Both are named tuples, as NumPy's own results are: fields by name or by position. Take them by name
where the code must outlive this version, since later versions may append fields.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = np.float64 | NDArray[np.float64]
"""A scalar for one matrix, an array of the batch shape for a stack."""

Vectors: TypeAlias = NDArray[np.float64] | NDArray[np.complex128]
"""complex128 for complex matrices."""

Ints: TypeAlias = np.int64 | NDArray[np.int64]
Bools: TypeAlias = np.bool_ | NDArray[np.bool_]
Names: TypeAlias = str | NDArray[np.str_]


class LeadingTriplet(NamedTuple):
    """The leading singular triplet, and what is known of its error.

    For one matrix every field but `u` and `v` is a scalar; for a stack of shape ``(..., M, N)``
    every field has the batch shape ``(...)``, `u` is ``(..., M)`` and `v` is ``(..., N)``.
    """

    sigma: Floats
    """Largest singular value (sigma itself, not its square), float64."""
    u: Vectors
    """Left unit vector; nan where sigma is nan or inf."""
    v: Vectors
    """Right unit vector; nan where sigma is nan or inf."""
    second: Floats
    """Second Ritz value, an estimate from below of the second singular value, but for rounding:
    about 1e-8 of sigma here, as squares are formed. nan if none."""
    lower: Floats
    """Lower end of the interval that holds sigma."""
    upper: Floats
    """Upper end of the interval that holds sigma."""
    residual: Floats
    """``sqrt(|A v - sigma u|**2 + |A^H u - sigma v|**2) / sigma``."""
    n_passes: Ints
    """Reads of the matrix."""
    converged: Bools
    """Whether the tolerance was reached."""
    method: Names
    """How sigma was found: ``"direct"`` for a small matrix, ``"lanczos"``, or ``"trivial"`` where
    no arithmetic was needed."""


class SpectralBounds(NamedTuple):
    """An interval that holds the largest singular value: ``lower <= sigma <= upper``.

    For one matrix the ends are scalars; for a stack they have the batch shape. `kind` and
    `failure_prob` are those of the call.
    """

    lower: Floats
    """Lower end, float64."""
    upper: Floats
    """Upper end, float64."""
    kind: str
    """``"probable"``: `upper` fails with probability `failure_prob` over the random start;
    ``"rigorous"``: both ends are proved."""
    failure_prob: float
    """The probability that was asked for; 0 for ``"rigorous"``."""
    n_passes: Ints
    """Reads of the matrix."""
    converged: Bools
    """Whether the width was reached."""


def shaped(column: NDArray[Any] | list[str], batch: tuple[int, ...]) -> Any:  # noqa: ANN401 - scalar or array
    """Return one entry per matrix of a stack in the batch shape, a scalar for a lone matrix."""
    if not batch:
        return column[0]
    # The type of no string at all would be float64.
    dtype = np.str_ if isinstance(column, list) else None
    return np.asarray(column, dtype).reshape(batch)
