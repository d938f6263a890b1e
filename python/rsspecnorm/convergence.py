"""Saying that a call stopped before it reached what it was asked for."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_PUBLIC_CALLER = 3  # this module's function, the public function, its caller


class ConvergenceWarning(UserWarning):
    """A result is the best found within the allowed passes, not within the asked tolerance.

    The message names the interval that holds sigma; so do the fields `lower` and `upper` of
    `LeadingTriplet` and `SpectralBounds`, next to ``converged=False``.
    """


Missed = tuple[int, float, float]
"""Flat index of a matrix, and the lower and upper end of the interval reached."""


def missed_of(
    converged: NDArray[np.bool_], lower: NDArray[np.float64], upper: NDArray[np.float64]
) -> list[Missed]:
    """Return the matrices that did not converge."""
    return [(int(i), float(lower[i]), float(upper[i])) for i in (~converged).nonzero()[0]]


def warn_stack(missed: Sequence[Missed], a: NDArray[Any]) -> None:
    """Warn the caller of a public function about matrices of a stack."""
    import numpy as np

    i = missed[0][0]
    place = tuple(int(k) for k in np.unravel_index(i, a.shape[:-2])) if a.ndim > 2 else ()  # noqa: PLR2004
    warnings.warn(
        _message(missed, f"a[{', '.join(map(str, place))}]" if place else "a"),
        ConvergenceWarning,
        stacklevel=_PUBLIC_CALLER,
    )


def warn_list(missed: Sequence[Missed]) -> None:
    """Warn the caller of a public function about matrices of a sequence."""
    message = _message(missed, f"arrays[{missed[0][0]}]")
    warnings.warn(message, ConvergenceWarning, stacklevel=_PUBLIC_CALLER)


def _message(missed: Sequence[Missed], first: str) -> str:
    _, lower, upper = missed[0]
    others = f" (and {len(missed) - 1} more)" if len(missed) > 1 else ""
    return (
        f"the tolerance was not reached for {first}{others}: its norm lies between "
        f"{lower:.17g} and {upper:.17g}"
    )
