from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, TypeAlias, TypedDict, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "bounds",
    "cpu_vendor",
    "gradient",
    "is_ready",
    "layer_gradient",
    "levels",
    "normalize",
    "norms",
    "num_threads",
    "set_num_threads",
    "track",
    "triplets",
    "version",
]

_F64s: TypeAlias = NDArray[np.float64]
_Matrices: TypeAlias = NDArray[np.generic] | list[NDArray[np.generic]]
_Common: TypeAlias = tuple[int, int | None, bool]

class _Triplets(TypedDict):
    sigma: _F64s
    u: _F64s
    v: _F64s
    second: _F64s
    lower: _F64s
    upper: _F64s
    residual: _F64s
    n_passes: NDArray[np.int64]
    converged: NDArray[np.bool_]
    method: list[str]

class _Bounds(TypedDict):
    lower: _F64s
    upper: _F64s
    n_passes: NDArray[np.int64]
    converged: NDArray[np.bool_]

def is_ready(a: object, /) -> bool: ...
def norms(
    matrices: _Matrices, rtol: float | None, common: _Common, /
) -> tuple[float | _F64s, list[tuple[int, float, float]] | None]: ...
def triplets(
    matrices: _Matrices,
    rtol: float | None,
    v0: _F64s | None,
    maxiter: int,
    common: _Common,
    /,
) -> _Triplets: ...
def bounds(
    matrices: _Matrices,
    width: float,
    failure_prob: float | None,
    v0: _F64s | None,
    maxiter: int,
    common: _Common,
    /,
) -> _Bounds: ...

# --- Power steps; `u`, `v` and `out` are written to ---

_Arrays: TypeAlias = NDArray[np.generic] | Sequence[NDArray[np.generic]]
_Steps: TypeAlias = tuple[int, float, str, bool, tuple[int, ...] | None]

def normalize(
    matrices: _Arrays,
    u: _Arrays,
    v: _Arrays,
    out: _Arrays | None,
    coefficient: _F64s,
    settings: _Steps,
    common: _Common,
    given: tuple[NDArray[np.generic] | None, NDArray[np.generic] | None] = ...,
    /,
) -> _F64s: ...

_Gradient: TypeAlias = tuple[
    NDArray[np.generic],
    NDArray[np.generic],
    NDArray[np.generic],
    NDArray[np.generic],
    NDArray[np.generic],
    float,
    float,
]

def gradient(rows: list[_Gradient], num_threads: int | None, /) -> None: ...
def layer_gradient(
    grad: NDArray[np.generic],
    x: NDArray[np.generic],
    u: NDArray[np.generic],
    v: NDArray[np.generic],
    out: NDArray[np.generic],
    scale: float,
    pull: float,
    num_threads: int | None,
    /,
) -> None: ...
def track(
    matrices: Sequence[NDArray[np.generic]],
    states: Sequence[NDArray[np.generic]],
    common: _Common,
    /,
) -> _F64s: ...
def set_num_threads(n: int | None, /) -> None: ...
def num_threads() -> int: ...
def version() -> str: ...
def cpu_vendor() -> str: ...
def levels() -> tuple[str, list[str]]: ...

# --- Checkpoints: the command's own half ---

_Listed: TypeAlias = tuple[str, str, list[int], str]
_Array: TypeAlias = tuple[str, str, str, Sequence[int], NDArray[np.uint8]]
_Settings: TypeAlias = tuple[float | None, str, int | None]
_OnRows: TypeAlias = Callable[[list[dict[str, Any]]], None]

@final
class Audit:
    def __new__(cls, files: Sequence[str | PathLike[str]], /) -> Audit: ...
    def tensors(self) -> list[_Listed]: ...
    def run(
        self, keep: Sequence[int], settings: _Settings, on_rows: _OnRows, /
    ) -> list[dict[str, Any]]: ...

def shards(path: str | PathLike[str], /) -> list[str]: ...
def audit_arrays(
    arrays: Sequence[_Array], settings: _Settings, on_rows: _OnRows, /
) -> list[dict[str, Any]]: ...
