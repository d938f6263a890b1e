"""The competitors: the ways in which Python programs compute a spectral norm today.

Each is called as its documentation shows, with its own defaults and as many threads as it takes by
itself.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import svdvals
from scipy.sparse.linalg import svds

import rsspecnorm

Matrix = NDArray[np.floating]

OURS = "rsspecnorm"
NUMPY = "NumPy"
SVDS = "SciPy svds"
SVDS_LOOSE = "SciPy svds, tol=1e-6"
SVDVALS = "SciPy svdvals"


def numpy_norm(a: Matrix) -> float:
    return np.linalg.norm(a, 2)


def numpy_matrix_norm(a: Matrix) -> float:
    return np.linalg.matrix_norm(a, ord=2)


def svds_norm(a: Matrix, tol: float = 0) -> float:
    """Sigma by ARPACK, which wants a third row and column; NumPy takes what is thinner."""
    if min(a.shape) < 3:
        return numpy_norm(a)
    return svds(a, k=1, tol=tol, return_singular_vectors=False)[0]


def svds_norm_loose(a: Matrix) -> float:
    """To the tolerance that rsspecnorm keeps by default for float32."""
    return svds_norm(a, tol=1e-6)


ONE: dict[str, Callable[[Matrix], float]] = {
    OURS: rsspecnorm.spectral_norm,
    NUMPY: numpy_norm,
    SVDS: svds_norm,
    SVDS_LOOSE: svds_norm_loose,
}


def looped(norm: Callable[[Matrix], float]) -> Callable[[Sequence[Matrix]], NDArray[np.float64]]:
    """Make a function of many matrices from one of a single matrix."""
    return lambda arrays: np.array([norm(a) for a in arrays], np.float64)


MANY: dict[str, Callable[[Sequence[Matrix]], NDArray[np.float64]]] = {
    OURS: rsspecnorm.spectral_norms,
    NUMPY: looped(numpy_norm),
    SVDS: looped(svds_norm),
    SVDS_LOOSE: looped(svds_norm_loose),
}

SMALL: dict[str, Callable[[Matrix], float]] = {
    OURS: rsspecnorm.spectral_norm,
    NUMPY: numpy_norm,
    "NumPy matrix_norm": numpy_matrix_norm,
}

# The widths that an interval must reach; what is compared is its upper end.
PROVED, PROBABLE = 1e-6, 1e-2


def svdvals_norm(a: Matrix) -> float:
    return svdvals(a)[0]


def proved_upper(a: Matrix) -> float:
    return float(rsspecnorm.spectral_bounds(a, kind="rigorous", width=PROVED).upper)


def probable_upper(a: Matrix) -> float:
    return float(rsspecnorm.spectral_bounds(a, width=PROBABLE).upper)


INTERVALS: dict[str, Callable[[Matrix], float]] = {OURS: proved_upper, SVDVALS: svdvals_norm}
LIKELY: dict[str, Callable[[Matrix], float]] = {OURS: probable_upper, SVDVALS: svdvals_norm}


def numpy_norms(a: NDArray[np.inexact]) -> NDArray[np.float64]:
    return np.linalg.norm(a, 2, axis=(-2, -1))


BATCH: dict[str, Callable[[NDArray[np.inexact]], NDArray[np.float64]]] = {
    OURS: rsspecnorm.spectral_norm,
    NUMPY: numpy_norms,
}

CALLS = {
    OURS: "`rsspecnorm.spectral_norm(a)`, `rsspecnorm.spectral_norms(arrays)`",
    NUMPY: "`numpy.linalg.norm(a, 2)`, of a stack with `axis=(-2, -1)`",
    SVDS: "`scipy.sparse.linalg.svds(a, k=1, return_singular_vectors=False)`",
    SVDS_LOOSE: "the same with `tol=1e-6`",
    SVDVALS: "`scipy.linalg.svdvals(a)`, beside `rsspecnorm.spectral_bounds`",
    "NumPy matrix_norm": "`numpy.linalg.matrix_norm(a, ord=2)`",
}


def reference(a: Matrix) -> float:
    """Sigma from a full SVD in doubles; of a tall or wide matrix through its triangular factor."""
    full = np.asarray(a, np.complex128 if a.dtype.kind == "c" else np.float64)
    full = full if full.shape[0] >= full.shape[1] else full.T
    if full.shape[0] > 2 * full.shape[1]:
        full = np.linalg.qr(full, mode="r")
    return np.linalg.svd(full, compute_uv=False)[0]
