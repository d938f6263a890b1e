"""An object that follows the norms of weights while they change."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from rsspecnorm import _core
from rsspecnorm.arrays import as_array, as_matrix, as_stepped
from rsspecnorm.options import common
from rsspecnorm.stepping import vector_dtype
from rsspecnorm.weights import (
    checked_state,
    items_of,
    like_container,
    matrix_of,
    moved,
    same_shape,
    stored_array,
    stored_shape,
    stored_sigma,
    value_of,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from rsspecnorm.options import Rng
    from rsspecnorm.weights import Container, Key

_VERSION = 1
_WIDTH = 3


class _Call(NamedTuple):
    """One weight on its way through the core, with a copy of its vectors."""

    key: Key
    shape: tuple[int, ...]
    turned: bool
    """Whether `matrix`, which is stored by rows, is the transpose."""
    matrix: NDArray[Any]
    vectors: NDArray[Any]


class SpectralTracker:
    """Follows the norm of each weight from call to call, at one read of the weight per call.

    For the weights of a model in training, whose norms are wanted at every step. Three vectors are
    kept for each weight, which makes sigma far more accurate under drift than the one vector of a
    power step does, at a third of its reads. Nothing is promised about the error: `spectral_norm`
    and `spectral_bounds` do that.

    Parameters
    ----------
    dim : int or list or dict of int, optional
        The axis of a weight that gives the rows of its matrix, as in `SpectralNormalizer`.
    num_threads : int, optional
        Threads of each call. Default: the setting in force, see `get_num_threads`.
    rng : None, int or numpy.random.Generator, optional
        Where new weights start from; a Generator is asked for one seed here.

    Raises
    ------
    TypeError
        If `rng` has the wrong type.

    Notes
    -----
    One step of LOBPCG on ``A' A`` per call, with the residual of the call before: Knyazev, *Toward
    the optimal preconditioned eigensolver*, SIAM J. Sci. Comput. 23 (2001). A new weight is given
    15 steps. Vectors are float64 for float64 weights, else float32. Objects can be pickled and
    copied.

    Examples
    --------
    >>> import numpy as np
    >>> from rsspecnorm import SpectralTracker
    >>> tracker = SpectralTracker()
    >>> weight = np.diag([3.0, 4.0, 1.0])
    >>> [round(sigma, 6) for sigma in tracker.update([weight])]
    [4.0]
    >>> [round(sigma, 6) for sigma in tracker.update([weight * 1.01])]
    [4.04]
    """

    def __init__(
        self,
        *,
        dim: Any = 0,  # noqa: ANN401 - an int, or a list or dict of them
        num_threads: int | None = None,
        rng: Rng = None,
    ) -> None:
        self.dim = dim
        self.num_threads = num_threads
        self._seed = common(None, False, rng)[0]
        self._state: dict[Key, tuple[tuple[int, ...], bool, NDArray[Any]]] = {}
        self._sigma: dict[Key, float] = {}
        self._kind: Container | None = None

    def update(self, weights: Container) -> Any:  # noqa: ANN401 - list or dict
        """Read each weight once and return its sigma.

        Parameters
        ----------
        weights : list or dict of array_like
            Weights of any shapes of two axes or more, and of any dtypes. A key that was seen before
            must come with the shape it had; keys may be left out or added.

        Returns
        -------
        list or dict of float
            Sigma of each weight, from below; 0 for a zero weight, nan or inf for one that is not
            finite, whose vectors are kept for the next call.

        Raises
        ------
        TypeError
            If `weights` is neither a list nor a dict, or a dtype is not accepted.
        ValueError
            If a weight, which the message names, has changed its shape or has fewer than two axes.
        """
        calls = [self._call(key, weight) for key, weight in items_of(weights, "weights")]
        options = (self._seed, common(self.num_threads, False, None)[1], False)
        matrices, states = [call.matrix for call in calls], [call.vectors for call in calls]
        sigma = _core.track(matrices, states, options)
        for call, value in zip(calls, sigma.tolist(), strict=True):
            self._state[call.key] = call.shape, call.turned, call.vectors
            self._sigma[call.key] = value
        self._kind = {} if isinstance(weights, Mapping) else []
        return like_container({call.key: self._sigma[call.key] for call in calls}, weights)

    @property
    def sigma(self) -> Any:  # noqa: ANN401 - list or dict
        """Sigma of each weight at its last call: float."""
        return like_container(self._sigma, {} if self._kind is None else self._kind)

    def __copy__(self) -> Self:
        """Return an object with a state of its own: one call moves one of them."""
        return copy.deepcopy(self)

    def state_dict(self) -> dict[str, Any]:
        """Return copies of sigma and the vectors by key, as `load_state_dict` takes them."""
        return {
            "version": _VERSION,
            "listed": isinstance(self._kind, list),
            "sigma": dict(self._sigma),
            "vectors": {
                key: (shape, turned, vectors.copy())
                for key, (shape, turned, vectors) in self._state.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the vectors of a `state_dict` in place of all that is kept.

        Parameters
        ----------
        state : dict
            What `state_dict` returned.

        Raises
        ------
        TypeError
            If `state` is no dict, or an entry is none that should be.
        ValueError
            If an entry is missing or of another version.
        """
        state = checked_state(state, {"sigma", "vectors"}, _VERSION)
        kept, sigma = {}, stored_sigma(state)
        for key, entry in state["vectors"].items():
            name = f"state['vectors'][{key!r}]"
            try:
                shape, turned, vectors = entry
            except (TypeError, ValueError):
                message = f"{name} must be a shape, a bool and vectors, got {entry!r}"
                raise TypeError(message) from None
            kept[key] = stored_shape(shape, name), bool(turned), stored_array(vectors, 2, name)
        self._state, self._sigma = kept, sigma
        self._kind = ([] if state["listed"] else {}) if sigma else None

    def _call(self, key: Key, weight: ArrayLike) -> _Call:
        name = f"weights[{key!r}]"
        array = as_array(weight, name)
        front = moved(array, value_of(self.dim, key, "dim"), name)
        matrix = as_stepped(as_matrix(matrix_of(front), name), name)
        before, turned, vectors = self._state.get(key, (array.shape, not _by_rows(matrix), None))
        same_shape(array.shape, before, name)
        by_rows = matrix.T if turned else matrix
        if not _by_rows(by_rows):
            by_rows = np.ascontiguousarray(by_rows)
        width, dtype = (_WIDTH, by_rows.shape[1]), vector_dtype(matrix.dtype)
        vectors = np.zeros(width, dtype) if vectors is None else np.array(vectors, dtype)
        if vectors.shape != width:
            message = f"{name} must keep its dim: its matrix is {matrix.shape} now"
            raise ValueError(message)
        return _Call(key, array.shape, turned, by_rows, vectors)


def _by_rows(a: NDArray[Any]) -> bool:
    return a.shape[1] <= 1 or a.strides[1] == a.itemsize
