"""The spectral norm of matrices: fast, accurate to a stated tolerance, with an upper bound.

Importing the package imports neither NumPy nor the compiled core: each name is loaded when it is
first touched, so that the command line starts at once and runs without NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rsspecnorm.bounds import spectral_bounds
    from rsspecnorm.convergence import ConvergenceWarning
    from rsspecnorm.info import __version__, build_info
    from rsspecnorm.norms import spectral_norm, spectral_norms
    from rsspecnorm.power import Normalized, PowerIteration, power_iteration, spectral_normalize
    from rsspecnorm.results import LeadingTriplet, SpectralBounds
    from rsspecnorm.threads import get_num_threads, set_num_threads, thread_limit
    from rsspecnorm.triplets import leading_triplet, leading_triplets

__all__ = [
    "spectral_norm",
    "spectral_norms",
    "leading_triplet",
    "leading_triplets",
    "spectral_bounds",
    "power_iteration",
    "spectral_normalize",
    "LeadingTriplet",
    "SpectralBounds",
    "PowerIteration",
    "Normalized",
    "ConvergenceWarning",
    "set_num_threads",
    "get_num_threads",
    "thread_limit",
    "build_info",
    "__version__",
]

_HOMES = {
    "spectral_norm": "norms",
    "spectral_norms": "norms",
    "leading_triplet": "triplets",
    "leading_triplets": "triplets",
    "spectral_bounds": "bounds",
    "power_iteration": "power",
    "spectral_normalize": "power",
    "LeadingTriplet": "results",
    "SpectralBounds": "results",
    "PowerIteration": "power",
    "Normalized": "power",
    "ConvergenceWarning": "convergence",
    "set_num_threads": "threads",
    "get_num_threads": "threads",
    "thread_limit": "threads",
    "build_info": "info",
    "__version__": "info",
}


def __getattr__(name: str) -> object:
    """Load a public name from the module it lives in, once."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
